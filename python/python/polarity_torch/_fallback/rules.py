"""Rules: the twin of `sign/rule/`."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

import numpy as np

from polarity_torch._fallback.file import product
from polarity_torch._fallback.stream import Stream, shuffle
from polarity_torch._fallback.template import Template, _rounded, as_rust

SPELLINGS = (
    "`positive`, `negative`, `own`, `free`, `{dale: SHARE, seed: N}`, `{dale: [SIGN, …]}`, `{edges: FILE}` or "
    "`{edges: [[FROM, TO, SIGN], …]}`"
)
HEADER = ["from", "to", "sign"]

Shape = list[int]
Report = tuple[str, Union[tuple[str, str], None], int, int, int]


class Rules:
    """An ordered map from patterns of names to rules."""

    def __init__(self, text: str) -> None:
        try:
            written = json.loads(text, object_pairs_hook=_pairs)
            if not isinstance(written, dict):
                raise ValueError(f"expected a map from patterns of names to rules, each {SPELLINGS}")
        except ValueError as error:
            raise ValueError(f"rules: {error}") from None
        self._rules = {}
        for pattern, rule in written.items():
            try:
                self._rules[pattern] = _rule(rule)
            except ValueError as error:
                raise ValueError(f"rules: {pattern}: {error}") from None

    def looks_at(self, name: str) -> bool:
        decided = self._decide(name)
        return decided is not None and str(self._rules[decided]) == "own"

    def template(self, tensors: list[tuple[str, Shape, bytes | None]], origin: str) -> tuple[Template, list[Report]]:
        self._must_each_decide_one_of([name for name, _, _ in tensors])
        layers, report = [], []
        for name, shape, signs in tensors:
            decided = self._decide(name)
            rule = Plain("free") if decided is None else self._rules[decided]
            if product(shape) >= 1 << 64:
                raise ValueError(f"{name}: expected a shape with fewer than 2^64 weights, got {shape}")
            try:
                mask = rule.mask(name, shape, signs)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            held = int((mask != 0).sum())
            said = None if decided is None else (decided, str(rule))
            report.append((name, said, len(mask), held, int((mask > 0).sum())))
            if held:
                layers.append((name, shape, mask.astype(np.int8).tobytes()))
        return Template.of_layers(f"rules {self} for {origin}", layers), report

    def __str__(self) -> str:
        return "{" + ", ".join(f"{pattern}: {rule}" for pattern, rule in self._rules.items()) + "}"

    def _decide(self, name: str) -> str | None:
        return next((pattern for pattern in self._rules if matching(pattern, [name])), None)

    def _must_each_decide_one_of(self, names: list[str]) -> None:
        for pattern in self._rules:
            matched = matching(pattern, names)
            if not matched:
                near = difflib.get_close_matches(pattern, names, n=1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                raise KeyError(
                    f"pattern `{pattern}`: matches no tensor; expected one of {', '.join(names)}, or a pattern of one "
                    f"(`*` is any characters, `?` one){hint}"
                )
            if all(self._decide(name) != pattern for name in matched):
                raise ValueError(
                    f"pattern `{pattern}`: decides no tensor, since `{self._decide(matched[0])}` comes first and "
                    f"matches `{matched[0]}`; put `{pattern}` above it"
                )


def matching(pattern: str, names: list[str]) -> list[str]:
    """Which of `names` a pattern matches."""
    parts = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    expression = re.compile("".join(parts), re.DOTALL)
    return [name for name in names if expression.fullmatch(name)]


class Plain:
    """One of the rules that are a word."""

    def __init__(self, word: str) -> None:
        self._word = word

    def mask(self, name: str, shape: Shape, signs: bytes | None) -> np.ndarray:
        if self._word == "own":
            own = np.frombuffer(signs or b"", dtype=np.int8)
            if (own == 2).any():
                raise ValueError(
                    f"weight {int(np.flatnonzero(own == 2)[0])}: has no sign; expected a number, got `NaN`; take a "
                    "checkpoint from before the training diverged"
                )
            return own
        return np.full(product(shape), {"positive": 1, "negative": -1, "free": 0}[self._word], dtype=np.int8)

    def __str__(self) -> str:
        return self._word


class Dale:
    """One sign for each presynaptic unit, given or drawn."""

    def __init__(self, units: list[int] | float, seed: int, axis: str) -> None:
        self._units = units
        self._seed = seed
        self._axis = axis

    def mask(self, name: str, shape: Shape, signs: bytes | None) -> np.ndarray:
        dimension = 0 if self._axis == "row" else 1
        if len(shape) <= dimension:
            hint = "; with `axis: row` each entry is a unit's" if len(shape) == 1 else ""
            raise ValueError(
                f"dale: expected a tensor with {self._axis}s, one for each presynaptic unit, got shape {shape}{hint}"
            )
        units = self._signs(name, shape[dimension])
        if len(units) != shape[dimension]:
            raise ValueError(
                f"dale: expected {shape[dimension]} signs, one for each {self._axis} of shape {shape}, got {len(units)}"
            )
        along = [1] * len(shape)
        along[dimension] = -1
        return np.broadcast_to(np.array(units, dtype=np.int8).reshape(along), shape).reshape(-1)

    def _signs(self, name: str, units: int) -> list[int]:
        if isinstance(self._units, list):
            return self._units
        positive = _rounded(self._units * units)
        signs = [1] * positive + [-1] * (units - positive)
        shuffle(signs, Stream(self._seed, f"rule/dale/{name}").each())
        return signs

    def __str__(self) -> str:
        if isinstance(self._units, list):
            return f"dale({len(self._units)} {self._axis}s as given)"
        return f"dale({as_rust(self._units)} of the {self._axis}s positive, seed {self._seed})"


class Edges:
    """A sign for each edge of a wiring diagram."""

    def __init__(self, rows: list[tuple[int, int, int]], origin: str | None) -> None:
        self._rows = rows
        self._origin = origin

    def mask(self, name: str, shape: Shape, signs: bytes | None) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(f"edges: expected a tensor [to, from, ...], got shape {shape}")
        mask = np.zeros(shape[:2], dtype=np.int8)
        first: dict[tuple[int, int], int] = {}
        for row, (source, target, sign) in enumerate(self._rows, 1):
            for column, units, got in (("from", shape[1], source), ("to", shape[0], target)):
                if got >= units:
                    raise ValueError(f"edges: row {row}: {column}: expected a unit below {units}, got `{got}`")
            if (source, target) in first:
                earlier = first[source, target]
                other = " with the other sign" if self._rows[earlier - 1][2] != sign else ""
                raise ValueError(
                    f"edges: row {row}: the edge from {source} to {target} is there already, in row {earlier}{other}; "
                    "expected each edge once"
                )
            first[source, target] = row
            mask[target, source] = sign
        inner = mask.reshape(*mask.shape, *[1] * (len(shape) - 2))
        return np.broadcast_to(inner, shape).reshape(-1)

    def __str__(self) -> str:
        count = len(self._rows)
        return f"edges({count})" if self._origin is None else f"edges({count} of {self._origin})"


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for number, (key, _) in enumerate(pairs):
        if key in dict(pairs[:number]):
            raise ValueError(f"pattern `{key}`: is there already; expected each pattern once")
    return dict(pairs)


def _rule(written: Any) -> Plain | Dale | Edges:
    if written in ("positive", "negative", "own", "free"):
        return Plain(written)
    if isinstance(written, dict) and "dale" in written:
        return _dale(written)
    if isinstance(written, dict) and "edges" in written:
        _only(written, ("edges",))
        return _edges(written["edges"])
    raise ValueError(f"expected {SPELLINGS}, got `{_json(written)}`")


def _dale(written: Mapping[str, Any]) -> Dale:
    _only(written, ("dale", "seed", "axis"))
    units, axis = written["dale"], written.get("axis", "column")
    if axis not in ("column", "row"):
        raise ValueError(f"dale: axis: expected `column` or `row`, got `{_json(axis)}`")
    if isinstance(units, list):
        if "seed" in written:
            raise ValueError("dale: seed: is for a share of positive units; a list draws none")
        for unit, sign in enumerate(units):
            if type(sign) is not int or sign not in (-1, 0, 1):
                raise ValueError(
                    f"dale: unit {unit}: expected 1 (excitatory), -1 (inhibitory) or 0 (free), got `{_json(sign)}`"
                )
        return Dale(units, 0, axis)
    if type(units) not in (int, float):
        raise ValueError(
            f"dale: expected a share of positive units in [0, 1], or a list of signs, got `{_json(units)}`"
        )
    if not 0 <= units <= 1:
        raise ValueError(f"dale: expected a share of positive units in [0, 1], got `{units}`")
    seed = written.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 1 << 64:
        raise ValueError(f"dale: seed: expected a whole number from 0 on, got `{_json(seed)}`")
    return Dale(float(units), seed, axis)


def _edges(table: Any) -> Edges:
    if isinstance(table, list):
        return Edges([_edge(number, row) for number, row in enumerate(table, 1)], None)
    if not isinstance(table, str):
        raise ValueError(f"edges: expected a file or [[FROM, TO, SIGN], …], got `{_json(table)}`")
    try:
        text = Path(table).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"edges: {table}: cannot be read: {error}") from None
    lines = text.removeprefix("\ufeff").splitlines() or [""]
    if [field.strip() for field in lines[0].split(",")] != HEADER:
        raise ValueError(f"edges: {table}: expected the first line `from,to,sign`, got `{lines[0]}`")
    try:
        rows = [_parsed(number, line) for number, line in enumerate(lines[1:], 1)]
    except ValueError as error:
        raise ValueError(f"edges: {table}: {error}") from None
    return Edges(rows, f"{Path(table).name}, sha256 {hashlib.sha256(text.encode()).hexdigest()}")


def _edge(row: int, written: Any) -> tuple[int, int, int]:
    if not isinstance(written, list) or len(written) != 3:
        raise ValueError(f"edges: row {row}: expected three fields, `from,to,sign`, got `{_json(written)}`")
    source, target, sign = written
    for column, unit in (("from", source), ("to", target)):
        if type(unit) is not int or not 0 <= unit < 1 << 64:
            raise ValueError(
                f"edges: row {row}: {column}: expected the number of a unit, counted from 0, got `{_json(unit)}`"
            )
    signs = {1: 1, "+": 1, -1: -1, "-": -1}
    if type(sign) not in (int, str) or sign not in signs:
        raise ValueError(_no_sign(row, _json(sign), "edges: "))
    return source, target, signs[sign]


def _parsed(row: int, line: str) -> tuple[int, int, int]:
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 3:
        raise ValueError(f"row {row}: expected three fields, `from,to,sign`, got `{line}`")
    for column, field in zip(HEADER[:2], fields):
        if not re.fullmatch(r"\+?[0-9]+", field):
            raise ValueError(f"row {row}: {column}: expected the number of a unit, counted from 0, got `{field}`")
    signs = {"1": 1, "+1": 1, "+": 1, "-1": -1, "-": -1}
    if fields[2] not in signs:
        raise ValueError(_no_sign(row, fields[2]))
    return int(fields[0]), int(fields[1]), signs[fields[2]]


def _no_sign(row: int, got: str, where: str = "") -> str:
    return (
        f"{where}row {row}: sign: expected 1, +1 or + (excitatory), -1 or - (inhibitory), got `{got}`; leave out edges "
        "that shall be free"
    )


def _only(written: Mapping[str, Any], legal: tuple[str, ...]) -> None:
    for key in written:
        if key not in legal:
            raise ValueError(f"expected {SPELLINGS}, got the key `{key}`")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
