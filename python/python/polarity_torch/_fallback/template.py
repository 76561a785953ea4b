"""Templates and the signs of one tensor: the twin of `sign/template.rs`, a byte a weight."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np

from polarity_torch._fallback import file
from polarity_torch._fallback.stream import Stream, below

CREATED_BY = "polarity 0.1.0"
# Where the templates lie that the compiled part has in it.
SHIPPED = Path(__file__).parents[1] / "templates"

Layers = dict[str, tuple[tuple[int, ...], np.ndarray]]


class Signs:
    """The signs of one tensor. Without kernels it does not matter how its weights lie."""

    def __init__(self, entries: np.ndarray) -> None:
        self._entries = entries

    def laid_out(self, strides: list[int]) -> Signs:
        return self

    def entries(self) -> bytes:
        return self._entries.tobytes()


class Template:
    """The sign masks of a network by the names of its weights: int8 in row-major order."""

    def __init__(self, layers: Layers, source: str, created_by: str = CREATED_BY) -> None:
        self._layers = dict(sorted(layers.items()))
        self._source = source
        self._created_by = created_by

    @staticmethod
    def open(name_or_path: str) -> Template:
        if name_or_path in builtin():
            return Template.from_bytes((SHIPPED / f"{name_or_path}.safetensors").read_bytes(), name_or_path)
        try:
            data = Path(name_or_path).read_bytes()
        except FileNotFoundError:
            legal = ", ".join(builtin())
            raise FileNotFoundError(
                f"{name_or_path}: neither a file nor a built-in template; expected a path or one of [{legal}]"
            ) from None
        except OSError as error:
            raise OSError(f"{name_or_path}: cannot be read: {error}") from None
        return Template.from_bytes(data, name_or_path)

    @staticmethod
    def from_bytes(data: bytes, origin: str) -> Template:
        try:
            return Template(*file.read(data))
        except file.Flaw as flaw:
            raise ValueError(f"{origin}: {flaw}") from None

    @staticmethod
    def of_layers(source: str, layers: Iterable[tuple[str, list[int], bytes]]) -> Template:
        made: Layers = {}
        for name, shape, entries in layers:
            signs = np.sign(np.frombuffer(entries, dtype=np.int8))
            expected = file.product(shape)
            if name in made:
                raise ValueError(f"{name}: the layer is there already; expected each name once; take another name")
            if expected >= 1 << 64:
                raise ValueError(f"{name}: expected a shape with fewer than 2^64 weights, got {list(shape)}")
            if len(signs) != expected:
                raise ValueError(f"{name}: expected {expected} signs for shape {list(shape)}, got {len(signs)}")
            made[name] = tuple(shape), signs
        return Template(made, source)

    def to_bytes(self) -> bytes:
        return file.write(self._layers, self._source, self._created_by)

    def save(self, path: str) -> None:
        try:
            file.write_atomically(Path(path), self.to_bytes())
        except OSError as error:
            raise OSError(f"{path}: cannot be written: {error}") from None

    def digest(self) -> str:
        return file.digest(file.tensors(self._layers).values())

    def source(self) -> str:
        return self._source

    def created_by(self) -> str:
        return self._created_by

    def layers(self) -> list[tuple[str, list[int], int, int, int]]:
        return [
            (name, list(shape), len(signs), int((signs != 0).sum()), int((signs > 0).sum()))
            for name, (shape, signs) in self._layers.items()
        ]

    def signs(self, name: str) -> Signs:
        return Signs(self._layers[name][1])

    def shuffled(self, within: str, seed: int) -> Template:
        if within not in ("tensor", "filter"):
            raise ValueError(f"within: expected `tensor` or `filter`, got `{within}`")

        def change(name: str, shape: tuple[int, ...], signs: np.ndarray) -> np.ndarray:
            filters = 1 if within == "tensor" or not shape else shape[0]
            length = max(1, len(signs) // filters if filters else 0)
            numbers = Stream(seed, f"template/shuffle/{name}").each()
            groups = [_dealt(signs[start : start + length], numbers) for start in range(0, len(signs), length)]
            return np.concatenate(groups) if groups else signs

        return self._derived(f"shuffled within each {within}, seed {seed}", change)

    def flipped(self, fraction: float, seed: int) -> Template:
        _in_unit_interval("fraction", fraction)

        def change(name: str, shape: tuple[int, ...], signs: np.ndarray) -> np.ndarray:
            numbers = Stream(seed, f"template/flip/{name}").each()
            flipped = signs.copy()
            held = int((signs != 0).sum())
            flips = _rounded(fraction * held)
            for index in np.flatnonzero(signs):
                if flips == 0:
                    break
                if below(held, numbers) < flips:
                    flipped[index] *= -1
                    flips -= 1
                held -= 1
            return flipped

        return self._derived(f"flipped a fraction of {as_rust(fraction)}, seed {seed}", change)

    def opposite(self) -> Template:
        return self._derived("opposite", lambda name, shape, signs: -signs)

    def random_like(self, positive: float | None, seed: int) -> Template:
        if positive is not None:
            _in_unit_interval("positive", positive)

        def change(name: str, shape: tuple[int, ...], signs: np.ndarray) -> np.ndarray:
            stream, held = Stream(seed, f"template/random/{name}"), signs != 0
            count = int(held.sum())
            if count == 0:
                return signs
            share = int((signs > 0).sum()) / count if positive is None else positive
            drawn = signs.copy()
            drawn[held] = np.where(stream.uniform(count) < share, 1, -1)
            return drawn

        how = "each layer's share" if positive is None else f"a share of {as_rust(positive)}"
        return self._derived(f"redrawn with {how} positive, seed {seed}", change)

    def subset(self, prefixes: list[str]) -> Template:
        for prefix in prefixes:
            if not any(_is_below(name, prefix) for name in self._layers):
                near = difflib.get_close_matches(prefix, self._layers, n=1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                raise KeyError(
                    f"layer `{prefix}`: matches nothing; expected one of {', '.join(self._layers)}, or whole "
                    f"components from the left of one{hint}"
                )
        kept = {name: layer for name, layer in self._layers.items() if any(_is_below(name, p) for p in prefixes)}
        if len(kept) == len(self._layers):
            return self
        note = f"only {len(kept)} of {len(self._layers)} layers: {', '.join(kept)}"
        return Template(kept, f"{self._source}; {note}")

    def filled_from(self, other: Template) -> Template:
        def change(name: str, shape: tuple[int, ...], signs: np.ndarray) -> np.ndarray:
            if name not in other._layers:
                return signs
            _same_shape(name, shape, other._layers[name][0])
            return np.where(signs == 0, other._layers[name][1], signs)

        return self._derived(f"free weights as in: {other._source}", change)

    def agreement(self, other: Template) -> tuple[list[tuple[str, float | None]], float | None]:
        shares: dict[str, float | None] = dict.fromkeys(sorted({*self._layers, *other._layers}))
        equal = both = 0
        for name, (shape, signs) in self._layers.items():
            if name not in other._layers:
                continue
            theirs_shape, theirs = other._layers[name]
            _same_shape(name, shape, theirs_shape)
            held = int(((signs != 0) & (theirs != 0)).sum())
            same = int(((signs == theirs) & (signs != 0)).sum())
            shares[name] = same / held if held else None
            equal, both = equal + same, both + held
        return list(shares.items()), equal / both if both else None

    def _derived(self, note: str, change: Callable[[str, tuple[int, ...], np.ndarray], np.ndarray]) -> Template:
        layers = {name: (shape, change(name, shape, signs)) for name, (shape, signs) in self._layers.items()}
        return Template(layers, f"{self._source}; {note}")


def builtin() -> list[str]:
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def as_rust(number: float) -> str:
    """A number as Rust writes it: without a fraction of 0, and never with an exponent."""
    text = format(Decimal(repr(float(number))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _dealt(signs: np.ndarray, numbers: Iterator[int]) -> np.ndarray:
    """The entries of one group in an order drawn uniformly, by dealing out what is left of each kind."""
    positive, held, left = int((signs > 0).sum()), int((signs != 0).sum()), len(signs)
    dealt = np.zeros_like(signs)
    for index in range(left):
        draw = below(left, numbers)
        left -= 1
        if draw >= held:
            continue
        held -= 1
        if draw >= positive:
            dealt[index] = -1
        else:
            dealt[index] = 1
            positive -= 1
    return dealt


def _rounded(number: float) -> int:
    """To the nearest whole number, halves away from 0."""
    return int(number) + (number - int(number) >= 0.5)


def _is_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def _same_shape(name: str, expected: tuple[int, ...], got: tuple[int, ...]) -> None:
    if expected != got:
        raise ValueError(f"{name}: expected shape {list(expected)}, got {list(got)}; only equal shapes can be compared")


def _in_unit_interval(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{what}: expected a number in [0, 1], got `{value}`")
