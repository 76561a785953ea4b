"""Whether a network keeps its signs: a check that needs no optimizer, for any module or checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polarity_torch import _memory, _names, _projection
from polarity_torch._holding import Signs, entries, template_of


@dataclass(frozen=True)
class Violation:
    """What one tensor violates."""

    #: How many of its weights are on the wrong side of zero.
    count: int
    #: The index of the first of them, in row-major order.
    first: tuple[int, ...]
    #: Its value.
    value: float


@dataclass(frozen=True)
class CheckReport:
    """What a check found; true where nothing violates."""

    #: The tensors that violate, by name.
    violations: dict[str, Violation]
    #: How many weights are held.
    held: int

    @property
    def count(self) -> int:
        """How many weights are on the wrong side of zero."""
        return sum(violation.count for violation in self.violations.values())

    def __bool__(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        if self:
            return f"no violator among {self.held} held weights"
        lines = [f"{self.count} violators among {self.held} held weights"]
        for name, violation in self.violations.items():
            lines.append(f"  {name}: {violation.count}, the first at {list(violation.first)}: {violation.value:g}")
        return "\n".join(lines)


@torch.no_grad()
def check(module: nn.Module | Mapping[str, Tensor], signs: Signs) -> CheckReport:
    """Which weights of a network or a state dict are on the other side of zero than `signs` says. Zero is on
    neither side, nor is NaN.

    Raises:
        TypeError: when `module` is no module and no state dict, or `signs` no signs.
        KeyError: when `signs` names a tensor that is not there.
        ValueError: when a shape differs.
    """
    tensors = _names.tensors_of(module)
    template = template_of(signs, module)
    violations = {}
    for name, layer in template.layers.items():
        tensor = fitting(tensors, name, layer.shape)
        wrong = _projection.violators(tensor, entries(template._signs(name), layer.shape).to(tensor.device))
        count = int(wrong.sum())
        if count:
            first = tuple(wrong.nonzero()[0].tolist())
            violations[name] = Violation(count, first, float(tensor[first]))
    return CheckReport(violations, template.held)


def assert_held(module: nn.Module | Mapping[str, Tensor], signs: Signs) -> None:
    """Refuses a network that violates `signs`.

    Raises:
        AssertionError: naming every tensor that violates, with its first violator.
        TypeError, KeyError, ValueError: as `check`.
    """
    report = check(module, signs)
    if not report:
        raise AssertionError(str(report))


def fitting(tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor of this name, which has this shape.

    Raises:
        KeyError: when there is none of this name.
        ValueError: when it has another shape.
    """
    tensor = tensors.get(name)
    if tensor is None:
        raise KeyError(
            f"{name}: in the template but not in the network, which has {_names.listed(tensors)}"
            f"{_names.hint(name, tensors)}"
        )
    _memory.must_be_readable(name, tensor)
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name}: the network has shape {tuple(tensor.shape)}, the template {shape}")
    return tensor.detach()
