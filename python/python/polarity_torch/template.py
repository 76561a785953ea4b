"""Templates: the signs of a network, one bit a weight, in the file that the Rust program reads and writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import torch
from torch import Tensor, nn

from polarity_torch import _memory, _names
from polarity_torch._backend import core

if TYPE_CHECKING:
    import numpy

Patterns = Union[str, Iterable[str], None]


@dataclass(frozen=True)
class Agreement:
    """How far two templates agree: the share of equal signs among the weights that both hold."""

    #: By layer, for those of either template; `None` where they hold no weight together.
    layers: dict[str, float | None]
    #: Over all layers; `None` where they hold no weight together.
    overall: float | None


class Layer(NamedTuple):
    """What a template says of one tensor."""

    #: `[out, in]`, OIHW, or any other.
    shape: tuple[int, ...]
    #: How many weights it has.
    weights: int
    #: How many of them are held.
    held: int
    #: How many are held positive.
    positive: int


class Template:
    """The sign masks of a network by the names of its weights, and where they came from.

    A template does not change: what is made from it is a new one, whose `source` says how. The same seed
    gives the same signs as the program's `polarity template`.

    >>> template = Template.load("alexnet-imagenet")
    >>> template.signs("features.0.weight").shape
    (64, 3, 11, 11)
    """

    __slots__ = ("_core", "_layers")

    _core: core.Template
    _layers: dict[str, Layer]

    def __init__(self) -> None:
        raise TypeError("a Template is made by Template.load, from_module, from_state_dict, random or from_signs")

    # Ways to come by one

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Template:
        """The template of a file, or a built-in one by its name (`polarity_torch.builtin_templates()`).

        Raises:
            FileNotFoundError: when there is neither.
            OSError: when the file cannot be read.
            ValueError: when it breaks a rule of the format; the message names file, layer and rule.
        """
        return cls._of(core.Template.open(os.fspath(path)))

    @classmethod
    def from_bytes(cls, data: bytes) -> Template:
        """The template whose file has these bytes.

        Raises:
            ValueError: when they break a rule of the format.
        """
        return cls._of(core.Template.from_bytes(bytes(data), "the bytes"))

    @classmethod
    def from_module(cls, module: nn.Module, *, include: Patterns = None, exclude: Patterns = None) -> Template:
        """The signs that a network's weights have now. A weight that is 0 is free.

        Taken are parameters of two or more dimensions, or those whose names match a pattern of `include`
        (`*` is any characters, `?` one), of any dimensions; not those that match one of `exclude`.

        Raises:
            KeyError: when a pattern matches no parameter.
            ValueError: when a weight is NaN, which has no sign; the message names parameter and index.
        """
        tensors = _tied_once(_names.parameters(module))
        source = f"the signs of a {type(_names.unwrapped(module)).__name__}"
        return cls._of_tensors(_chosen(tensors, include, exclude), source)

    @classmethod
    def from_state_dict(
        cls, state: Mapping[str, Tensor], *, include: Patterns = None, exclude: Patterns = None
    ) -> Template:
        """The signs of a state dict's tensors, chosen as in `from_module`; integer tensors are left out.

        Raises:
            KeyError, ValueError: as `from_module`.
        """
        tensors = {name: tensor for name, tensor in _names.of_state_dict(state).items() if tensor.is_floating_point()}
        return cls._of_tensors(_chosen(tensors, include, exclude), "the signs of a state dict")

    @classmethod
    def random(
        cls,
        module: nn.Module,
        seed: int,
        positive: float = 0.5,
        *,
        include: Patterns = None,
        exclude: Patterns = None,
    ) -> Template:
        """A random sign for every weight of a network, positive with probability `positive`; parameters are
        chosen as in `from_module`.

        Raises:
            KeyError: when a pattern matches no parameter.
            ValueError: when `positive` is not in [0, 1].
        """
        tensors = _chosen(_tied_once(_names.parameters(module)), include, exclude)
        layers = [(name, list(t.shape), b"\x01" * t.numel()) for name, t in tensors.items()]
        source = f"the shapes of a {type(_names.unwrapped(module)).__name__}"
        return cls._of(core.Template.of_layers(source, layers)).random_like(seed, positive)

    @classmethod
    def from_signs(cls, signs: Mapping[str, Any], source: str) -> Template:
        """The template of these signs, arrays or tensors by name: above 0, below 0, or 0 for free. `source`
        says where they came from.

        Raises:
            ValueError: when an entry is NaN.
        """
        tensors = {name: torch.as_tensor(entries) for name, entries in signs.items()}
        return cls._of_tensors(tensors, source)

    @classmethod
    def _of(cls, handle: core.Template) -> Template:
        template = object.__new__(cls)
        object.__setattr__(template, "_core", handle)
        layers = {name: Layer(tuple(shape), *counts) for name, shape, *counts in handle.layers()}
        object.__setattr__(template, "_layers", layers)
        return template

    @classmethod
    def _of_tensors(cls, tensors: Mapping[str, Tensor], source: str) -> Template:
        layers = [(name, list(t.shape), sign_bytes(t, name)) for name, t in tensors.items()]
        return cls._of(core.Template.of_layers(source, layers))

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the template's file, whole or not at all: the same bytes as the Rust program's.

        Raises:
            OSError: when it cannot be written.
        """
        self._core.save(os.fspath(path))

    def to_bytes(self) -> bytes:
        """The bytes of its file."""
        return self._core.to_bytes()

    @property
    def digest(self) -> str:
        """The SHA-256 of all bits, which `polarity template info` prints too. It does not cover names and
        shapes."""
        return self._core.digest()

    @property
    def source(self) -> str:
        """What the signs were taken from, and what was done to them since."""
        return self._core.source()

    @property
    def created_by(self) -> str:
        """The program that made it, with its version."""
        return self._core.created_by()

    # What is in it

    @property
    def layers(self) -> dict[str, Layer]:
        """Shape and counts of each layer, in the order of their names."""
        return dict(self._layers)

    def signs(self, name: str) -> numpy.ndarray:
        """The signs of one layer in its shape: int8, 1, −1, or 0 where a weight is free.

        Raises:
            KeyError: when there is no such layer.
        """
        import numpy

        signs = numpy.frombuffer(self._signs(name).entries(), dtype=numpy.int8)
        return signs.reshape(self._layers[name].shape).copy()

    @property
    def weights(self) -> int:
        """How many weights it speaks of, free ones included."""
        return sum(layer.weights for layer in self._layers.values())

    @property
    def held(self) -> int:
        """How many of them it holds."""
        return sum(layer.held for layer in self._layers.values())

    @property
    def positive(self) -> float | None:
        """The share of positive signs among the held weights; `None` when none is held."""
        positive = sum(layer.positive for layer in self._layers.values())
        return positive / self.held if self.held else None

    def _signs(self, name: str) -> core.Signs:
        """The signs of one layer as the kernel holds them."""
        if name not in self._layers:
            raise KeyError(f"{name}: no layer of the template{_names.hint(name, self)}")
        return self._core.signs(name)

    # What is made from it

    def subset(self, *prefixes: str) -> Template:
        """The layers whose names begin with one of `prefixes`, component by dotted component.

        Raises:
            KeyError: when a prefix is that of no layer.
        """
        return self._of(self._core.subset(list(prefixes)))

    def shuffle(self, seed: int, within: str = "tensor") -> Template:
        """The same entries in other places of their tensor, or of their `"filter"` (output channel): a
        control that keeps the shares of positive signs and loses their arrangement.

        Raises:
            ValueError: when `within` is neither `"tensor"` nor `"filter"`.
        """
        return self._of(self._core.shuffled(within, seed))

    def flip(self, fraction: float, seed: int) -> Template:
        """The template with a fraction of each layer's held signs inverted.

        Raises:
            ValueError: when `fraction` is not in [0, 1].
        """
        return self._of(self._core.flipped(fraction, seed))

    def opposite(self) -> Template:
        """The template with every held sign inverted."""
        return self._of(self._core.opposite())

    def random_like(self, seed: int, positive: float | None = None) -> Template:
        """A random sign for every held weight, positive with probability `positive` or, without it, with its
        own layer's share, as `polarity template random` draws them.

        Raises:
            ValueError: when `positive` is not in [0, 1].
        """
        return self._of(self._core.random_like(positive, seed))

    def filled_from(self, other: Template) -> Template:
        """The template with the sign that `other` has for it wherever a weight is free.

        Raises:
            ValueError: when a layer of the same name has another shape.
        """
        return self._of(self._core.filled_from(other._core))

    def agreement(self, other: Template) -> Agreement:
        """How far this template and `other` agree.

        Raises:
            ValueError: when a layer of the same name has another shape.
        """
        layers, overall = self._core.agreement(other._core)
        return Agreement(dict(layers), overall)

    # As Python has it

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __contains__(self, name: object) -> bool:
        return name in self._layers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Template):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Template does not change; its methods make new ones")

    def __reduce__(self) -> tuple[Any, ...]:
        return Template.from_bytes, (self.to_bytes(),)

    def __copy__(self) -> Template:
        return self

    def __deepcopy__(self, memo: object) -> Template:
        return self

    def __repr__(self) -> str:
        weights, held = self.weights, self.held
        share = f"{100 * held / weights:.1f} %" if weights else "nothing"
        # A layer of which some weights are free has a bit for that too.
        bits = sum(layer.weights * (1 if layer.held == layer.weights else 2) for layer in self._layers.values())
        return f"<Template: {weights:,} weights in {len(self)} tensors, {share} held, {bits:,} bits; {self.source}>"


def builtin_templates() -> list[str]:
    """The names of the templates that ship with the package."""
    return core.builtin()


def sign_bytes(tensor: Tensor, name: str, nan: int | None = None) -> bytes:
    """The signs of a tensor's values in row-major order, as int8; `nan` stands for NaN.

    Raises:
        TypeError: when the tensor has no values that can be read, or complex ones.
        ValueError: when a value is NaN and `nan` is not given.
    """
    _memory.must_be_readable(name, tensor)
    tensor = tensor.detach()
    signs = (tensor > 0).to(torch.int8) - (tensor < 0).to(torch.int8)
    unsigned = tensor != tensor
    if bool(unsigned.any()):
        if nan is None:
            index = int(unsigned.flatten().nonzero()[0])
            raise ValueError(
                f"{name}: weight {index}: has no sign; expected a number, got `NaN`; take a checkpoint from "
                "before the training diverged"
            )
        signs.masked_fill_(unsigned, nan)
    return _memory.bytes_of(signs)


def _tied_once(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for tensor, name in _names.first_names(tensors).items()}


def _chosen(tensors: Mapping[str, Tensor], include: Patterns, exclude: Patterns) -> dict[str, Tensor]:
    """The tensors that `include` and `exclude` leave; without `include` those of two or more dimensions."""
    if include is None:
        names = {name for name, tensor in tensors.items() if tensor.dim() >= 2}
    else:
        names = _matching("include", include, tensors)
    names -= _matching("exclude", exclude, tensors)
    return {name: tensor for name, tensor in tensors.items() if name in names}


def _matching(what: str, patterns: Patterns, tensors: Mapping[str, Tensor]) -> set[str]:
    if patterns is None:
        return set()
    found: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matched = core.matching(pattern, list(tensors))
        if not matched:
            raise KeyError(
                f"{what}: `{pattern}` matches none of {_names.listed(tensors)}{_names.hint(pattern, tensors)}"
            )
        found.update(matched)
    return found
