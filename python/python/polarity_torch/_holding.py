"""What an optimizer holds: which parameters, with which signs, what becomes of a violator, and what happened.

The same for the optimizers of `optim`, which step and project at once, and for `hold`, which projects after any
optimizer's step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Union

import torch
from torch import Tensor, nn

from polarity_torch import _memory, _names, _projection
from polarity_torch._backend import COMPILED, core
from polarity_torch.reset import Reset, ResetLike
from polarity_torch.rules import Rule, apply_rules
from polarity_torch.template import Template

#: A template, its file or built-in name, or rules.
Signs = Union[Template, str, Mapping[str, Rule]]

# PyTorch counts the versions of several tensors at once from 2.6 on.
TAKES_LISTS = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6)

#: Under which key an optimizer's state dict has what it holds.
KEY = "polarity"


@dataclass(frozen=True)
class Counts:
    """What the steps so far did to weights."""

    #: Violators that were replaced.
    resets: int = 0
    #: Weights strictly on one side of zero before a step and strictly on the other after it; `None` where only
    #: the projection was seen, not the step before it.
    sign_flips: int | None = 0


class Tally:
    """A count, parts of which may still be on another device: to ask for them would make the host wait."""

    def __init__(self) -> None:
        self._known = 0
        self._counted: Tensor | None = None

    def add(self, count: int | Tensor) -> None:
        if not isinstance(count, Tensor):
            self._known += count
        elif self._counted is None:
            self._counted = count
        else:
            self._counted = self._counted + count

    def total(self) -> int:
        if self._counted is not None:
            self._known += int(self._counted)
            self._counted = None
        return self._known

    def set(self, total: int) -> None:
        self._known, self._counted = total, None


class Held:
    """One parameter that is held."""

    def __init__(self, parameter: Tensor, name: str, signs: core.Signs, shape: tuple[int, ...]) -> None:
        self.parameter = parameter
        self.name = name
        self.shape = shape
        self.number = core.number(name)
        self.resets = Tally()
        self.sign_flips = Tally()
        self._signs = signs
        self._laid_out: dict[tuple[int, ...], core.Signs] = {}
        self._tensors: dict[torch.device, Tensor] = {}

    def laid_out(self) -> core.Signs:
        """The signs as the parameter's weights lie in memory now.

        Raises:
            ValueError: when the parameter has another shape by now.
        """
        if self.parameter.shape != self.shape:
            self.must_have_its_shape()
        if self.parameter.is_contiguous():
            return self._signs
        strides = self.parameter.stride()
        if strides not in self._laid_out:
            self._laid_out = {strides: self._signs.laid_out(list(strides))}
        return self._laid_out[strides]

    def tensor(self) -> Tensor:
        """The signs as int8 in the parameter's shape, where the parameter is.

        Raises:
            ValueError: when the parameter has another shape by now.
        """
        self.must_have_its_shape()
        device = self.parameter.device
        if device not in self._tensors:
            self._tensors = {device: entries(self._signs, self.shape).to(device)}
        return self._tensors[device]

    def must_have_its_shape(self) -> None:
        if self.parameter.shape != self.shape:
            raise ValueError(
                f"{self.name}: its signs are held in shape {self.shape}, it has {tuple(self.parameter.shape)} now; "
                "make the optimizer again with signs of that shape"
            )

    @cached_property
    def digest(self) -> str:
        """What tells these signs from others: the SHA-256 of shape and entries."""
        text = repr(tuple(self.shape)).encode()
        return hashlib.sha256(text + self._signs.entries()).hexdigest()


class Holding:
    """The held parameters of one optimizer."""

    def __init__(self, names: Mapping[str, Tensor], reset: ResetLike, seed: int) -> None:
        """Holds nothing yet. `names` has every parameter that may be held by every name it has."""
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 64:
            raise ValueError(f"seed: expected a whole number from 0 to 2^64 - 1, got {seed!r}")
        self.names = dict(names)
        self.first_names = _names.first_names(self.names)
        self.reset = Reset.of(reset)
        self.seed = seed
        self.released = False
        self.template: Template | None = None
        self.held: dict[Tensor, Held] = {}

    # What is held

    def take(self, signs: Signs, network: nn.Module | None) -> None:
        """Holds these signs.

        Raises:
            TypeError: when `signs` is neither a template, nor a name of one, nor rules; when a parameter is of a
                kind that cannot be held.
            KeyError: when it names a parameter that the network lacks.
            ValueError: when a shape differs, or two names of one tied parameter have other signs.
        """
        self.template = template_of(signs, network if network is not None else self.names)
        for name, (shape, _, count, _) in self.template.layers.items():
            parameter = self.names.get(name)
            if parameter is None:
                raise KeyError(
                    f"{name}: in the template but not in the network, which has "
                    f"{_names.listed(self.names)}{_names.hint(name, self.names)}; leave it out with "
                    "`template.subset(…)`, or rename it with `transfer_signs(…, rename=…)`"
                )
            _memory.must_be_writable(name, parameter)
            if tuple(parameter.shape) != shape:
                raise ValueError(
                    f"{name}: the network has shape {tuple(parameter.shape)}, the template {shape}; it was made for "
                    "another network"
                )
            held = Held(parameter, self.first_names[parameter], self.template._signs(name), shape)
            twin = self.held.get(parameter)
            if twin is not None and twin.digest != held.digest:
                raise ValueError(
                    f"{name}: is tied to `{twin.name}`, one parameter under two names, and the signs for the two "
                    "differ; give them the same, or name one only"
                )
            if twin is None and count > 0:
                self.held[parameter] = held

    def must_be_owned(self, owned: Iterable[Tensor], when: str) -> None:
        """Refuses held parameters that are trained by nobody who is looked after.

        Raises:
            ValueError: when a held parameter is not `owned` although it asks for a gradient, or violates.
        """
        owned = set(owned)
        for parameter, held in self.held.items():
            if parameter in owned:
                continue
            if parameter.requires_grad:
                raise ValueError(
                    f"{held.name}: is to be held, but the optimizer does not own it; {when}, or leave it out with "
                    "`template.subset(…)`"
                )
            _memory.must_be_readable(held.name, parameter)
            count = int(_projection.violators(parameter.detach(), held.tensor()).sum())
            if count:
                raise ValueError(
                    f"{held.name}: {count} weights are on the wrong side of zero, and no step will move them, since "
                    "the optimizer does not own it and it asks for no gradient; give them their signs first, with "
                    "`transfer_signs`"
                )

    def flip_violators(self, owned: Iterable[Tensor]) -> None:
        """Puts every weight of the `owned` parameters on its side, with the magnitude it has: the start of a run."""
        owned = set(owned)
        tensors = [held for parameter, held in self.held.items() if parameter in owned]
        _project(tensors, Reset("flip"), self.seed, 0, lambda held, resets: None)

    def name(self, name: str, parameter: Tensor) -> None:
        """Notes a name of a parameter.

        Raises:
            ValueError: when it is another parameter's already.
        """
        if self.names.setdefault(name, parameter) is not parameter:
            raise ValueError(f"params: two parameters are named `{name}`; give each its own name")
        self.first_names.setdefault(parameter, name)

    def of(self, parameter: Tensor) -> Held | None:
        """What holds the parameter, if anything does now."""
        return None if self.released else self.held.get(parameter)

    def name_of(self, parameter: Tensor, place: str) -> str:
        """The parameter's name, or its place where it has none."""
        return self.first_names.get(parameter, place)

    # What is done

    def project(self, step: int) -> None:
        """Replaces every violator of every held parameter, whoever put it there, and counts."""

        def count(held: Held, resets: int | Tensor) -> None:
            held.resets.add(resets)

        if not self.released:
            _project(self.held.values(), self.reset, self.seed, step, count)

    def violations(self) -> int:
        """How many held weights are on the wrong side of zero now: none, after a step."""
        count = 0
        for parameter, held in ({} if self.released else self.held).items():
            _memory.must_be_readable(held.name, parameter)
            count += int(_projection.violators(parameter.detach(), held.tensor()).sum())
        return count

    def counts_by_parameter(self) -> dict[str, Counts]:
        """What the steps so far did to each parameter, by name."""
        return {held.name: Counts(held.resets.total(), held.sign_flips.total()) for held in self.held.values()}

    def counts(self) -> Counts:
        """What they did to all."""
        counts = self.counts_by_parameter().values()
        return Counts(sum(count.resets for count in counts), sum(count.sign_flips or 0 for count in counts))

    # What is saved

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, as plain data: the signs are named by digest, not saved."""
        return {
            "reset": self.reset.written(),
            "seed": self.seed,
            "released": self.released,
            "signs": {held.name: held.digest for held in self.held.values()},
            "resets": {held.name: held.resets.total() for held in self.held.values()},
            "sign_flips": {held.name: held.sign_flips.total() for held in self.held.values()},
        }

    def must_fit(self, state: Mapping[str, Any]) -> None:
        """Refuses a saved state that held other signs.

        Raises:
            ValueError: naming the first parameter that differs.
        """
        missing = {"reset", "seed", "released", "signs"} - set(state)
        if missing:
            raise ValueError(f"state: {KEY!r} lacks {sorted(missing)}; load a whole state, or delete that key")
        saved = state["signs"]
        own = {held.name: held.digest for held in self.held.values()}
        for name in {**own, **saved}:
            if name not in saved:
                problem = "is held here, and was not in the saved state"
            elif name not in own:
                problem = "was held in the saved state, and is not here"
            elif own[name] != saved[name]:
                problem = "is held to other signs than in the saved state"
            else:
                continue
            raise ValueError(
                f"{name}: {problem}; load it into an optimizer of the same network with the same signs, or delete "
                f"the state's key {KEY!r} to go on with the signs here"
            )

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a `state` that fits."""
        self.reset, self.seed = Reset.of(state["reset"]), state["seed"]
        self.released = state["released"]
        for held in self.held.values():
            held.resets.set(state.get("resets", {}).get(held.name, 0))
            held.sign_flips.set(state.get("sign_flips", {}).get(held.name, 0))

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, whose parameters come along: signs in the form of a template."""
        state = dict(self.__dict__)
        del state["first_names"]
        state["held"] = [(p, held.name, held.resets.total(), held.sign_flips.total()) for p, held in self.held.items()]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # The tensors' hashes are their addresses: dicts of them are made anew.
        self.first_names = _names.first_names(self.names)
        self.held = {}
        template: Template = state["template"]
        for parameter, name, resets, sign_flips in state["held"]:
            layer = next(alias for alias in template if self.names[alias] is parameter)
            held = Held(parameter, name, template._signs(layer), template.layers[layer].shape)
            held.resets.set(resets)
            held.sign_flips.set(sign_flips)
            self.held[parameter] = held


def template_of(signs: Signs, network: nn.Module | Mapping[str, Tensor]) -> Template:
    """The template that `signs` says for a network.

    Raises:
        TypeError: when `signs` is neither a template, nor a name of one, nor rules.
    """
    if isinstance(signs, Template):
        return signs
    if isinstance(signs, str):
        return Template.load(signs)
    if isinstance(signs, Mapping):
        return apply_rules(signs, network).template
    raise TypeError(
        f"signs: expected a Template, the name or path of one, or a dict of rules, got a {type(signs).__name__}"
    )


def entries(signs: core.Signs, shape: tuple[int, ...]) -> Tensor:
    """Signs as an int8 tensor on the CPU."""
    data = signs.entries()
    if not data:
        return torch.zeros(shape, dtype=torch.int8)
    return torch.frombuffer(bytearray(data), dtype=torch.int8).reshape(shape)


@torch.no_grad()
def _project(
    tensors: Iterable[Held], reset: Reset, seed: int, step: int, count: Callable[[Held, int | Tensor], None]
) -> None:
    rows, raw, slices = [], [], _memory.Slices()
    for held in tensors:
        parameter = held.parameter
        weights = parameter.numel()
        if weights == 0:
            continue
        address = slices.plain((parameter,), parameter.shape) if COMPILED else None
        if address is None:
            _memory.must_be_writable(held.name, parameter)
            if not COMPILED or not _memory.is_raw(parameter):
                signs = held.tensor()
                count(held, _projection.project(parameter, signs, reset, seed, step, held.number))
                continue
            address = [slices.address(f"{held.name}: weights", parameter, weights)]
        rows.append((*address, weights, (held.laid_out(), held.number, step)))
        raw.append(held)
    if not rows:
        return
    done = call(core.project, rows, reset, seed, lambda row: raw[row].name)
    for held, (resets, _) in zip(raw, done):
        count(held, resets)
    increment_versions([held.parameter for held in raw])


def call(
    kernel: Callable[..., Any], rows: Any, reset: Reset, seed: int, name: Callable[[int], str]
) -> list[tuple[int, int]]:
    """Calls a kernel on as many threads as PyTorch uses; `name` says whose a row is.

    Returns:
        Resets and sign flips of each row.

    Raises:
        ValueError: when memory overlaps or cannot be used, by name.
    """
    try:
        return kernel(rows, (reset.compiled, seed, torch.get_num_threads()))
    except core.Refused as refused:
        row, part, problem, other = refused.args
        if other is not None:
            problem = f"shares memory with {other[1]} of {name(other[0])}; give each its own, by `.clone()`"
        raise ValueError(f"{name(row)}: {part}: {problem}") from None


def increment_versions(tensors: list[Tensor]) -> None:
    """Tells autograd that tensors were written: raw memory is written behind its back, and a backward pass that
    needs the old values must be refused as after any in-place operation."""
    tensors = [tensor for tensor in tensors if not tensor.is_inference()]
    if TAKES_LISTS:
        torch.autograd.graph.increment_version(tensors)
        return
    for tensor in tensors:
        torch.autograd.graph.increment_version(tensor)
