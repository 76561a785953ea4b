"""Holding signs with any optimizer of PyTorch's kind: a projection after each of its steps."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from polarity_torch import _names
from polarity_torch._frozen import FrozenOptimizer
from polarity_torch._holding import KEY, Counts, Holding, Signs
from polarity_torch.reset import ResetLike

# From the first use of torch.compile on, PyTorch 2.2 runs no step hooks of its optimizers, without a word.
DROPS_HOOKS = torch.__version__.startswith("2.2.")

# Where an optimizer keeps what holds its signs.
ATTRIBUTE = "_polarity_hold"


def hold(
    optimizer: torch.optim.Optimizer,
    module: nn.Module,
    signs: Signs,
    reset: ResetLike = "uniform",
    *,
    seed: int = 0,
) -> Hold:
    """Makes any optimizer hold signs: after each of its steps, every weight that left its side of zero is put back.

    It stays the optimizer it is: there is no wrapper. Its copies and pickles hold too, its `state_dict` says under
    `"polarity"` what is held, and loading one that held other signs is refused. `FrozenAdam`, `FrozenAdamW` and
    `FrozenSGD` do the same in the optimizer's own pass, and faster.

    >>> net = nn.Linear(3, 2)
    >>> optimizer = torch.optim.RMSprop(net.parameters())
    >>> handle = hold(optimizer, net, {"weight": "positive"})
    >>> net(torch.ones(1, 3)).sum().backward()
    >>> optimizer.step()
    >>> handle.violations()
    0

    Args:
        optimizer: one that is made from parameters of `module`.
        module: the network; its parameters' names are those of `signs`.
        signs: a `Template`, the name or path of one, or a dict of rules. Weights that are on the wrong side now are
            flipped, with the magnitude they have.
        reset: what replaces a weight that left its side, as in `FrozenAdam`.
        seed: of the random resets.

    Returns:
        What lets go of the signs again, and says what happened.

    Raises:
        TypeError: when `optimizer` is no optimizer, `signs` no signs, or a parameter of a kind that cannot be held.
        KeyError: when `signs` names a parameter that the network lacks, or a pattern matches none.
        ValueError: when a shape differs, the optimizer does not own a held parameter, or a magnitude is not above 0.
        RuntimeError: when the optimizer holds signs already.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer: expected a torch.optim.Optimizer, got {type(optimizer).__name__}")
    if isinstance(optimizer, FrozenOptimizer):
        raise RuntimeError(f"optimizer: {type(optimizer).__name__} holds signs itself; give them to it as `signs=…`")
    if Hold.of(optimizer) is not None:
        raise RuntimeError("optimizer: holds signs already; call release() of what `hold` returned first")
    holding = Holding(_names.parameters(module), reset, seed)
    holding.take(signs, module)
    owned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    holding.must_be_owned(owned, "make it from this module's parameters")
    holding.flip_violators(owned)
    return Hold(optimizer, holding, 0)


class Hold:
    """Signs that an optimizer holds, as `hold` returns it."""

    def __init__(self, optimizer: torch.optim.Optimizer, holding: Holding, step: int) -> None:
        self._optimizer = optimizer
        self._holding = holding
        self._step = step
        self._loading: Mapping[str, Any] | None = None
        self._calls = 0
        self._hooks = [
            optimizer.register_step_post_hook(self._after_step),
            optimizer.register_state_dict_post_hook(self._after_state_dict),
            optimizer.register_load_state_dict_pre_hook(self._before_load),
            optimizer.register_load_state_dict_post_hook(self._after_load),
        ]
        self._watched = self._watch(optimizer) if DROPS_HOOKS else None
        setattr(optimizer, ATTRIBUTE, self)
        # Copies and pickles drop hooks: an optimizer is reduced together with what it holds. Both ask the instance.
        optimizer.__reduce_ex__ = self._reduce  # type: ignore[method-assign, assignment]

    @staticmethod
    def of(optimizer: torch.optim.Optimizer) -> Hold | None:
        """What holds the signs of an optimizer, a copied one for example; `None` where nothing does."""
        return optimizer.__dict__.get(ATTRIBUTE)

    def release(self) -> None:
        """Lets every held sign go: from the next step on the optimizer is as it was."""
        if self._holding.released:
            return
        self._holding.released = True
        for hook in self._hooks:
            hook.remove()
        own = self._optimizer.__dict__
        del own[ATTRIBUTE], own["__reduce_ex__"]
        if self._watched is not None and own.get("step") is self._watched:
            own["step"] = self._unwatched

    def violations(self) -> int:
        """How many held weights are on the wrong side of zero now: none, after a step."""
        return self._holding.violations()

    def counts(self) -> Counts:
        """How many weights were put back, in all steps so far. What the optimizer itself moved across zero is not
        seen: `sign_flips` is `None`."""
        return Counts(self._holding.counts().resets, None)

    def counts_by_parameter(self) -> dict[str, Counts]:
        """`counts` of each held parameter, by its name."""
        by_parameter = self._holding.counts_by_parameter()
        return {name: Counts(counts.resets, None) for name, counts in by_parameter.items()}

    def __repr__(self) -> str:
        held = self._holding.held
        if self._holding.released:
            return "<Hold: released>"
        weights = sum(parameter.numel() for parameter in held)
        return f"<Hold: {weights:,} weights in {len(held)} parameters of {type(self._optimizer).__name__}>"

    # Hooks

    def _watch(self, optimizer: torch.optim.Optimizer) -> Any:
        """Projects after those steps of the optimizer that run no hook."""
        self._unwatched = inner = optimizer.step

        @functools.wraps(inner)
        def step(own: torch.optim.Optimizer, *arguments: Any, **named: Any) -> Any:
            calls = self._calls
            result = inner(*arguments, **named)
            if self._calls == calls and not self._holding.released:
                self._after_step(own)
            return result

        # A method: learning rate schedulers ask whose it is.
        optimizer.step = types.MethodType(step, optimizer)  # type: ignore[method-assign]
        return optimizer.step

    @torch._disable_dynamo
    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._calls += 1
        # GradScaler calls PyTorch's fused optimizers for steps that it skips, too.
        skipped = getattr(optimizer, "found_inf", None)
        if skipped is not None and bool(skipped):
            return
        self._step += 1
        self._holding.project(self._step)

    def _after_state_dict(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        return {**state, KEY: {**self._holding.state(), "step": self._step}}

    def _before_load(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        self._loading = state.get(KEY)
        if self._loading is not None:
            self._holding.must_fit(self._loading)

    def _after_load(self, optimizer: torch.optim.Optimizer) -> None:
        if self._loading is not None:
            self._holding.load(self._loading)
            self._step = self._loading.get("step", 0)
        self._loading = None
        if self._holding.released:
            self._holding.released = False
            self.release()

    # Copies

    def _reduce(self, protocol: int) -> tuple[Any, ...]:
        optimizer = self._optimizer
        reduced = type(optimizer).__reduce_ex__(optimizer, protocol)
        return _again, (reduced[0], reduced[1], reduced[2], self._holding, self._step)


def _again(make: Any, arguments: tuple[Any, ...], state: Any, holding: Holding, step: int) -> Any:
    """A copied or unpickled optimizer that holds what the first one held."""
    optimizer = make(*arguments)
    optimizer.__setstate__(state)
    Hold(optimizer, holding, step)
    return optimizer
