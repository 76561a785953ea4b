"""What the optimizers that hold signs share: groups, the step and its two routes, copies and checkpoints.

A step is planned parameter by parameter and then run. What is plain memory, float32 on the CPU, goes to the kernel,
all groups in one call; what is not goes by PyTorch's operations. Names, shapes and memory are looked at before
anything is written, so that a step that is refused leaves weights and state as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union

import torch
from torch import Tensor, nn

from polarity_torch import _memory, _names, _projection
from polarity_torch._backend import COMPILED, core
from polarity_torch._holding import KEY, Counts, Held, Holding, Signs, call, increment_versions
from polarity_torch.reset import ResetLike

Params = Union[nn.Module, Iterable[Tensor], Iterable[tuple[str, Tensor]], Iterable[dict[str, Any]]]


class FrozenOptimizer(torch.optim.Optimizer):
    """What the optimizers that hold signs share; make one of `FrozenAdam`, `FrozenAdamW`, `FrozenSGD`.

    Args:
        params: what to train: a module, its parameters, named parameters, or groups of them as PyTorch has them.
        signs: which signs to hold: a `Template`, the name or path of one, or a dict of rules. Weights that are on
            the wrong side now are flipped, with the magnitude they have.
        module: the network, where `params` are its parameters without names.
        reset: what replaces a weight that left its side: `"uniform"` (below 0.001), `"zero"`, `"flip"`,
            `{"uniform": NUMBER}` or `{"constant": NUMBER}`.
        seed: of the random resets, which depend on it, the step, the parameter's name and the weight's index, and
            on nothing else: not on threads, devices or ranks.

    Raises:
        TypeError: when parameters that are to be held have no names, or are of a kind that cannot be held.
        KeyError: when `signs` names a parameter that the network lacks, or a pattern matches none.
        ValueError: when a shape, a number or a flag is wrong; when a held parameter is in no group.
    """

    #: The kernel of the rule.
    KERNEL: str
    #: Whether its steps are multiplied into held weights.
    MULTIPLIES = False

    def __init__(
        self,
        params: Params,
        defaults: dict[str, Any],
        signs: Signs | None,
        module: nn.Module | None,
        reset: ResetLike,
        seed: int,
    ) -> None:
        if isinstance(params, nn.Module):
            module, params = params, params.parameters()
        if isinstance(params, Tensor):
            raise TypeError("params: expected a module or an iterable of parameters, got one Tensor; put it in a list")
        groups = [dict(group) if isinstance(group, dict) else group for group in params]
        self._holding = Holding({} if module is None else _names.parameters(module), reset, seed)
        self._started = False
        super().__init__(groups, defaults)  # type: ignore[arg-type]
        if signs is not None:
            if not self._holding.names:
                raise TypeError(
                    "signs: parameters have names in a template, and these have none; give the module itself as "
                    "`params`, or `module=…` beside them, or `module.named_parameters()`"
                )
            self._holding.take(signs, module)
            self._start(self._owned())
        self._started = True

    # Groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group as PyTorch does; parameters may be named, as `(name, parameter)`. Signs that were given for
        them hold from now on.

        Raises:
            TypeError, ValueError: for what is no parameter, or a hyperparameter out of its range.
        """
        group = dict(param_group)
        group["params"] = self._named(group["params"])
        self._must_be_legal({**self.defaults, **group})
        super().add_param_group(group)
        if self._started:
            self._start(self.param_groups[-1]["params"])

    def _named(self, params: Any) -> Any:
        """Takes the names off named parameters, and notes them."""
        if isinstance(params, Tensor):
            return [params]
        if isinstance(params, set):
            return params  # PyTorch refuses it, and says why
        plain = []
        for entry in params:
            if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
                name, entry = _names.plain(entry[0]), entry[1]
                self._holding.name(name, entry)
            plain.append(entry)
        return plain

    def _owned(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _start(self, new: Iterable[Tensor]) -> None:
        self._holding.must_be_owned(self._owned(), "add it to a parameter group")
        self._holding.flip_violators(new)

    # Hyperparameters

    def _must_be_legal(self, group: Mapping[str, Any]) -> None:
        """Refuses hyperparameters out of their range, and flags that are not built, by name."""
        self._must_be_in_range(group)
        for flag in ("amsgrad", "capturable", "differentiable"):
            if group.get(flag):
                raise ValueError(
                    f"{flag}: expected False, got {group[flag]!r}; {type(self).__name__} does not have it: use "
                    "torch's own optimizer and `polarity_torch.hold` beside it"
                )

    def _must_be_in_range(self, group: Mapping[str, Any]) -> None:
        raise NotImplementedError

    # Steps

    @torch._disable_dynamo
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step from the gradients as they are, then the projection. A parameter without a gradient stays as
        it is.

        Args:
            closure: computes the loss again, and its gradients.

        Returns:
            What `closure` returned.

        Raises:
            TypeError: for a sparse gradient; the message names the parameter.
            ValueError: when a parameter, gradient or state changed its shape, or shares memory with another.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        plan = Plan()
        for number, group in enumerate(self.param_groups):
            begin = len(plan.rows)
            buffers = self._buffers(group)
            for place, parameter in enumerate(group["params"]):
                gradient = parameter.grad
                if gradient is not None:
                    work = Work(parameter, self.state.get(parameter), self._holding.of(parameter), (place, number))
                    if not self._plan(plan, work, gradient, group, buffers):
                        self._plan_carefully(plan, work, gradient, group, buffers)
            if len(plan.rows) > begin:
                plan.groups.append((*self._scalars(group), plan.rows[begin:]))
        self._run(plan)
        return loss

    def _plan(self, plan: Plan, work: Work, gradient: Tensor, group: dict[str, Any], buffers: tuple[str, ...]) -> bool:
        """Prepares the step of a parameter that is what nearly all are: with a state, and plain memory all of it."""
        parameter, state = work.parameter, work.state
        if not COMPILED or not state or "step" not in state or group["maximize"]:
            return False
        shape = parameter.shape
        addresses = plan.slices.plain((parameter, gradient, *map(state.get, buffers)), shape)
        if addresses is None:
            return False
        plan.raw.append(work)
        plan.rows.append(self._row(work, addresses, shape.numel()))
        return True

    def _plan_carefully(
        self, plan: Plan, work: Work, gradient: Tensor, group: dict[str, Any], buffers: tuple[str, ...]
    ) -> None:
        """The same for what has no state yet, lies in another order, or is to be refused."""
        parameter, name = work.parameter, self._name_of(work)
        _memory.must_be_writable(name, parameter)
        if gradient.layout is not torch.strided:
            raise TypeError(
                f"{name}: has a sparse gradient; {type(self).__name__} takes dense ones: `sparse=False` of the "
                "embedding, or torch.optim.SparseAdam and `polarity_torch.hold` beside it"
            )
        _memory.must_be_readable(f"{name}: gradient", gradient)
        if gradient.shape != parameter.shape:
            raise ValueError(
                f"{name}: has shape {tuple(parameter.shape)}, its gradient {tuple(gradient.shape)}; call zero_grad() "
                "after changing a parameter"
            )
        if parameter.numel() == 0:
            return
        if group["maximize"]:
            gradient = -gradient
        work.buffers = {buffer: self._buffer(work, buffer, name) for buffer in buffers}
        if not COMPILED or not all(map(_memory.is_raw, (parameter, *work.buffers.values()))):
            kind = (id(group), parameter.device, parameter.dtype, gradient.dtype)
            plan.others.setdefault(kind, []).append((work, gradient, group))
            return
        weights, gradient = parameter.numel(), _memory.lying_as(gradient, parameter)
        parts = {"weights": parameter, "gradient": gradient, **work.buffers}
        addresses = [plan.slices.address(f"{name}: {part}", tensor, weights) for part, tensor in parts.items()]
        plan.raw.append(work)
        plan.rows.append(self._row(work, addresses, weights))

    def _buffer(self, work: Work, buffer: str, name: str) -> Tensor:
        """A buffer of the state, lying as the weights do, or a new one; the state has it once the step is done."""
        tensor, parameter = (work.state or {}).get(buffer), work.parameter
        if tensor is None:
            work.new = True
            return torch.zeros_like(parameter, memory_format=torch.preserve_format, requires_grad=False)
        _memory.must_be_readable(f"{name}: {buffer}", tensor)
        if tensor.shape != parameter.shape:
            raise ValueError(
                f"{name}: has shape {tuple(parameter.shape)}, its {buffer} {tuple(tensor.shape)}; load the state "
                "of a network of that shape, or make the optimizer again"
            )
        if tensor.device != parameter.device or not _memory.same_places(tensor, parameter):
            return torch.empty_like(parameter, requires_grad=False).copy_(tensor)
        return tensor

    def _name_of(self, work: Work) -> str:
        return self._holding.name_of(work.parameter, "parameter {} of group {}".format(*work.place))

    def _run(self, plan: Plan) -> None:
        holding = self._holding
        if plan.rows:
            kernel = getattr(core, self.KERNEL)
            name = lambda row: self._name_of(plan.raw[row])
            done = call(kernel, plan.groups, holding.reset, holding.seed, name)
            for work, counts in zip(plan.raw, done):
                self._finish(work, *counts)
            increment_versions([work.parameter for work in plan.raw])
        for others in plan.others.values():
            works = [work for work, _, _ in others]
            before = [work.parameter.clone() if work.held is not None else None for work in works]
            self._operations(works, [gradient for _, gradient, _ in others], others[0][2])
            for work, old in zip(works, before):
                if work.held is None or old is None:
                    self._finish(work, 0, 0)
                    continue
                signs, number = work.held.tensor(), work.held.number
                resets = _projection.project(work.parameter, signs, holding.reset, holding.seed, work.step, number)
                self._finish(work, resets, _projection.sign_flips(old, work.parameter))

    def _finish(self, work: Work, resets: int | Tensor, sign_flips: int | Tensor) -> None:
        """Notes that a parameter's step is done; one that is refused leaves no trace."""
        state = self.state[work.parameter] if work.state is None else work.state
        if work.buffers:
            state.update(work.buffers)
        if "step" in state:
            # A quarter of the time of adding 1.
            state["step"].fill_(work.step)
        else:
            state["step"] = torch.tensor(float(work.step), dtype=torch.float32)
        if work.held is not None:
            work.held.resets.add(resets)
            work.held.sign_flips.add(sign_flips)

    # What a rule adds

    def _buffers(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """What the rule keeps for each weight, in PyTorch's words."""
        raise NotImplementedError

    def _scalars(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """What the kernel needs of one group."""
        raise NotImplementedError

    def _row(self, work: Work, addresses: list[int], weights: int) -> tuple[Any, ...]:
        """What the kernel needs of one parameter: `addresses` are those of weights, gradient and buffers."""
        raise NotImplementedError

    def _operations(self, works: list[Work], gradients: list[Tensor], group: Mapping[str, Any]) -> None:
        """The step of parameters of one group, device and kind by PyTorch's operations."""
        raise NotImplementedError

    def _multiplied_signs(self, works: list[Work]) -> list[Tensor | None]:
        """The signs that steps are multiplied by, of each parameter that has such, where the rule does so."""
        return [work.held.tensor() if self.MULTIPLIES and work.held is not None else None for work in works]

    # What is held

    def release(self) -> None:
        """Lets every held sign go: from the next step on this is the plain optimizer."""
        self._holding.released = True

    def violations(self) -> int:
        """How many held weights are on the wrong side of zero now: none, after a step."""
        return self._holding.violations()

    def counts(self) -> Counts:
        """What the steps so far did to all held parameters."""
        return self._holding.counts()

    def counts_by_parameter(self) -> dict[str, Counts]:
        """`counts` of each held parameter, by its name."""
        return self._holding.counts_by_parameter()

    # Copies and checkpoints

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's, and under `"polarity"`, where signs are held, their digests and the counts, as plain data."""
        state = super().state_dict()
        if self._holding.held:
            state[KEY] = self._holding.state()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up a state of this optimizer or of PyTorch's: the next step is the one that would have come next.

        Raises:
            ValueError: when it held other signs; the message names the first parameter that differs.
        """
        saved = state_dict.get(KEY)
        if saved is not None:
            self._holding.must_fit(saved)
        super().load_state_dict(state_dict)
        if saved is not None:
            self._holding.load(saved)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_holding": self._holding, "_started": self._started}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)
            self._must_be_legal(group)
            for parameter in group["params"]:
                kept = self.state.get(parameter)
                if kept and "step" in kept:
                    # PyTorch's fused optimizers keep it on the device.
                    kept["step"] = torch.as_tensor(kept["step"], dtype=torch.float32, device="cpu")


# Shared by all that need no buffers of their own; never written.
NOTHING: dict[str, Tensor] = {}


class Work:
    """One parameter in one step."""

    __slots__ = ("buffers", "held", "new", "parameter", "place", "state", "step")

    def __init__(
        self, parameter: Tensor, state: dict[str, Any] | None, held: Held | None, place: tuple[int, int]
    ) -> None:
        self.parameter = parameter
        self.state = state
        self.held = held
        #: Which parameter of which group it is.
        self.place = place
        #: What the rule keeps for the weights, lying as they do; nothing where the state has it like that.
        self.buffers: dict[str, Tensor] = NOTHING
        #: Whether a buffer was made just now.
        self.new = False
        #: Which step of the parameter this is, from 1 on.
        self.step = int(state["step"]) + 1 if state and "step" in state else 1

    def signs(self) -> tuple[core.Signs, int, int] | None:
        """What the kernel needs to hold it."""
        held = self.held
        return None if held is None else (held.laid_out(), held.number, self.step)


class Plan:
    """One step: rows for the kernel by groups, and what goes by PyTorch's operations."""

    __slots__ = ("groups", "others", "raw", "rows", "slices")

    def __init__(self) -> None:
        self.groups: list[tuple[Any, ...]] = []
        self.rows: list[tuple[Any, ...]] = []
        #: The parameters of the rows.
        self.raw: list[Work] = []
        #: Parameters that go together by PyTorch's operations, with their gradients and their group.
        self.others: dict[Any, list[tuple[Work, Tensor, dict[str, Any]]]] = {}
        self.slices = _memory.Slices()
