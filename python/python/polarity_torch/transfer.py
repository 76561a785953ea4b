"""Signs of one network into another: a fresh network takes them and keeps its magnitudes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polarity_torch import _memory, _names, _projection
from polarity_torch._holding import entries
from polarity_torch.template import Template


@dataclass(frozen=True)
class Taken:
    """A parameter that took the template's signs."""

    #: Its name in the network.
    name: str
    #: Its name in the template.
    source: str
    #: How many weights it has.
    weights: int
    #: How many of them changed sign.
    changed: int


@dataclass(frozen=True)
class TransferReport:
    """What was transferred, tensor by tensor of either side."""

    #: The signs that the network now has in every parameter of two or more dimensions, and in those that took any:
    #: what to hold. Free where the source leaves a weight free.
    template: Template
    #: What took the source's signs.
    taken: tuple[Taken, ...]
    #: What did not, and why, by the name in the side that has it.
    left: dict[str, str]

    def __str__(self) -> str:
        lines = [
            f"{taken.name}: {taken.changed} of {taken.weights} signs changed"
            + (f", from {taken.source}" if taken.source != taken.name else "")
            for taken in self.taken
        ]
        return "\n".join(lines + [f"{name}: left, {why}" for name, why in self.left.items()])


@torch.no_grad()
def transfer_signs(
    template: Template | str,
    module: nn.Module,
    *,
    rename: Mapping[str, str] | None = None,
    leave: Iterable[str] = (),
) -> TransferReport:
    """Gives a network's weights the signs of `template`; every magnitude stays bit for bit.

    A weight that is 0 stays 0, and one that the template leaves free keeps its sign. All that can be wrong is looked
    for before the first weight is written.

    >>> net = nn.Sequential(nn.Linear(3, 2))
    >>> source = Template.from_signs({"body.weight": -torch.ones(2, 3)}, "an example")
    >>> report = transfer_signs(source, net, rename={"body": "0"})
    >>> report.taken[0].source, bool((net[0].weight <= 0).all())
    ('body.weight', True)

    Args:
        template: the signs, or the name or path of a template.
        module: the network.
        rename: layers that have another name in the template: its prefix → the network's.
        leave: layers of the network that keep their own signs, by prefix.

    Raises:
        KeyError: when template and network have no tensor in common, or `leave` names no layer.
        ValueError: when a shape differs, two tensors of the template come to one, or a weight is NaN.
    """
    template = Template.load(template) if isinstance(template, str) else template
    named = _names.parameters(module)
    first_names = _names.first_names(named)
    leave = [leave] if isinstance(leave, str) else list(leave)
    for prefix in leave:
        if not any(_names.is_below(name, prefix) for name in named):
            raise KeyError(f"leave: `{prefix}` is no layer of the network, which has {_names.listed(named)}")
    pairs, left = _pairs(template, named, first_names, rename or {}, leave)

    for parameter, name in first_names.items():
        if parameter.dim() >= 2 and name not in pairs:
            left[name] = "it is to be left" if _is_left(name, leave) else "the template lacks it"
    signs = {name: entries(template._signs(source), tuple(named[name].shape)) for name, source in pairs.items()}
    kept = Template.from_module(module).layers.keys() - signs.keys()
    signs.update({name: torch.sign(named[name]) for name in kept})

    taken = []
    for name, source in sorted(pairs.items()):
        wrong = _projection.violators(named[name], signs[name].to(named[name].device))
        named[name].copy_(torch.where(wrong, -named[name], named[name]))
        taken.append(Taken(name, source, named[name].numel(), int(wrong.sum())))
    return TransferReport(Template.from_signs(signs, template.source), tuple(taken), dict(sorted(left.items())))


def _is_left(name: str, leave: Iterable[str]) -> bool:
    return any(_names.is_below(name, prefix) for prefix in leave)


def _pairs(
    template: Template,
    named: Mapping[str, Tensor],
    first_names: Mapping[Tensor, str],
    rename: Mapping[str, str],
    leave: Iterable[str],
) -> tuple[dict[str, str], dict[str, str]]:
    """The source of each parameter that takes signs, and the tensors of the template that go nowhere."""
    pairs: dict[str, str] = {}
    left, misfits = {}, []
    for source, layer in template.layers.items():
        alias = _renamed(source, rename)
        if alias not in named:
            left[source] = "the network lacks it"
            continue
        name = first_names[named[alias]]
        if _is_left(name, leave) or _is_left(alias, leave):
            continue
        _memory.must_be_writable(name, named[name])
        if tuple(named[name].shape) != layer.shape:
            misfits.append(f"{name}: the network has shape {tuple(named[name].shape)}, the template {layer.shape}")
        elif name in pairs and template._signs(source).entries() != template._signs(pairs[name]).entries():
            raise ValueError(
                f"{name}: both `{pairs[name]}` and `{source}` of the template come to it, with other signs; give each "
                "another name with `rename`"
            )
        else:
            pairs.setdefault(name, source)
    if misfits:
        raise ValueError(
            f"the template does not fit the network: {'; '.join(misfits)}; keep these layers' own signs with `leave`"
        )
    if not pairs:
        raise KeyError(
            f"no tensor of the template is in the network: the template has {_names.listed(template)}; the network "
            f"has {_names.listed(named)}; give the names that go together with `rename`"
        )
    return pairs, left


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    for source, target in rename.items():
        if _names.is_below(name, source):
            return target + name[len(source) :]
    return name
