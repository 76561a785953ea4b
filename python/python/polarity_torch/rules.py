"""Rules without a source: which sign each weight keeps, chosen by its name.

A rule set is an ordered map from patterns of names to rules. The first pattern that matches a name decides it;
what no pattern names is free. The rules themselves are the Rust program's, one definition for both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from torch import Tensor, nn

from polarity_torch import _names
from polarity_torch._backend import core
from polarity_torch.template import Template, sign_bytes

#: Every weight is positive.
positive = "positive"
#: Every weight is negative.
negative = "negative"
#: Every weight keeps the sign that it has; one that is 0 is free.
own = "own"
#: No weight is held.
free = "free"

Rule = Union[str, Mapping[str, Any]]


def dale(units: float | Iterable[int], *, seed: int | None = None, axis: str = "column") -> dict[str, Any]:
    """Dale's law: one sign for each presynaptic unit, which is a column of a weight `[post, pre]`, or a row.

    Args:
        units: the share of positive (excitatory) units, whose places are drawn, or a sign for each: 1, -1, or
            0 where a unit's weights are free.
        seed: of the places of a share; 0 without it.
        axis: `"column"` or `"row"`.
    """
    if isinstance(units, (int, float)):
        return {"dale": units, "seed": 0 if seed is None else seed, "axis": axis}
    rule = {"dale": [_whole(unit) for unit in units], "axis": axis}
    return rule if seed is None else {**rule, "seed": seed}


def edges(table: str | os.PathLike[str] | Iterable[Sequence[Any]]) -> dict[str, Any]:
    """A wiring diagram: `from`, `to` (units, counted from 0) and `sign` (1 or "+", -1 or "-") of each edge, as
    rows or as a CSV file with that header. A weight without an edge is free.
    """
    if isinstance(table, (str, os.PathLike)):
        return {"edges": os.fspath(table)}
    return {"edges": [[_whole(field) for field in row] for row in table]}


@dataclass(frozen=True)
class Ruled:
    """What rules made of one tensor."""

    #: The tensor.
    name: str
    #: The pattern that decided it, and what its rule says; `None` where no pattern names it.
    decided: tuple[str, str] | None
    #: How many weights it has.
    weights: int
    #: How many of them are held.
    held: int
    #: How many are held positive.
    positive: int


@dataclass(frozen=True)
class RuleReport:
    """What rules made of a network: its template, and what decided each tensor."""

    template: Template
    tensors: tuple[Ruled, ...]

    @property
    def free(self) -> list[str]:
        """The tensors that no pattern names, which are free."""
        return [tensor.name for tensor in self.tensors if tensor.decided is None]

    def __str__(self) -> str:
        width = max((len(tensor.name) for tensor in self.tensors), default=0)
        lines = []
        for tensor in self.tensors:
            pattern, rule = tensor.decided or ("no pattern names it", "free")
            lines.append(f"{tensor.name:{width}}  {tensor.held:>10} of {tensor.weights} held  {pattern}: {rule}")
        return "\n".join(lines)


def apply_rules(rules: Mapping[str, Rule], module: nn.Module | Mapping[str, Tensor]) -> RuleReport:
    """The template that `rules` make of a network or a state dict.

    >>> net = nn.Sequential(nn.Linear(2, 3))
    >>> apply_rules({"*.bias": free, "0.weight": positive}, net).template.signs("0.weight").tolist()
    [[1, 1], [1, 1], [1, 1]]

    Raises:
        TypeError: when `rules` is no mapping of names to rules.
        KeyError: when a pattern matches no tensor.
        ValueError: when there is no such rule, when it does not fit a tensor, when a pattern decides nothing, or
            when tied parameters would get two rules; the message names the pattern or the tensor.
    """
    tensors = _names.tensors_of(module)
    tensors = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    parsed = core.Rules(_as_json(rules))
    rows = []
    for name, tensor in tensors.items():
        signs = sign_bytes(tensor, name, nan=2) if parsed.looks_at(name) else None
        rows.append((name, list(tensor.shape), signs))
    kind = "state dict" if isinstance(module, Mapping) else type(_names.unwrapped(module)).__name__
    handle, report = parsed.template(rows, f"a {kind}")
    decided = tuple(Ruled(*tensor) for tensor in report)
    return RuleReport(_tied_once(Template._of(handle), decided, tensors), decided)


def _tied_once(template: Template, report: tuple[Ruled, ...], tensors: Mapping[str, Tensor]) -> Template:
    """The template with tied parameters under the first of their names that a pattern decided.

    Raises:
        ValueError: when two names of one parameter have two rules.
    """
    first: dict[Tensor, Ruled] = {}
    twins = set()
    for ruled in report:
        if ruled.decided is None:
            continue
        other = first.setdefault(tensors[ruled.name], ruled)
        if other is ruled or other.decided is None:
            continue
        if other.decided[1] != ruled.decided[1]:
            raise ValueError(
                f"rules: `{other.name}` and `{ruled.name}` are one parameter, tied under two names, and have two "
                f"rules: {other.decided[1]} by `{other.decided[0]}`, {ruled.decided[1]} by `{ruled.decided[0]}`; give "
                "both the same, or name one only"
            )
        twins.add(ruled.name)
    kept = [name for name in template if name not in twins]
    return template if len(kept) == len(template) else template.subset(*kept)


def _as_json(rules: Mapping[str, Rule]) -> str:
    if not isinstance(rules, Mapping):
        raise TypeError(f"rules: expected a dict from names to rules, got {type(rules).__name__}")
    for pattern in rules:
        if not isinstance(pattern, str):
            raise TypeError(f"rules: expected names or patterns of names, got {pattern!r}")
    try:
        return json.dumps(rules, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise TypeError(f"rules: expected words, numbers and lists, {error}") from None


def _plain(value: object) -> object:
    """Numbers and rows of NumPy and PyTorch as JSON has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"got a {type(value).__name__}")


def _whole(value: Any) -> Any:
    """A whole number as an int, whatever kind of number it came as; else the value, for Rust to refuse."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value
