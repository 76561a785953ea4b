"""The names of a network's parameters, as they are without the wrappers around it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

# The component that `torch.compile` puts before the names of what it wraps.
COMPILED = "_orig_mod"


def unwrapped(module: nn.Module) -> nn.Module:
    """The module that `torch.compile`, DDP or DataParallel is wrapped around, if any."""
    while True:
        if isinstance(module, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
            module = module.module
        elif isinstance(inner := module._modules.get(COMPILED), nn.Module):
            module = inner
        else:
            return module


def parameters(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter by every name it has: tied ones stand under each of theirs.

    Raises:
        TypeError: when `module` is no module, or a parameter of it is lazy.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    every = unwrapped(module).named_parameters(remove_duplicate=False)
    named: dict[str, Tensor] = {plain(name): parameter for name, parameter in every}
    for name, parameter in named.items():
        # Not isinstance, which PyTorch answers for whatever says that it is a parameter.
        if issubclass(type(parameter), nn.parameter.UninitializedParameter):
            raise TypeError(f"{name}: is lazy and has no shape yet; run the network once, then ask for its signs")
    return named


def plain(name: str) -> str:
    """The name without what `torch.compile` of a part put into it."""
    return ".".join(part for part in name.split(".") if part != COMPILED)


def of_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state dict; a `module.` that all names begin with, DDP's, is left away."""
    tensors = {plain(name): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name[len("module.") :]: tensor for name, tensor in tensors.items()}
    return tensors


def tensors_of(source: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of a module, or the tensors of a state dict.

    Raises:
        TypeError: when it is neither.
    """
    if isinstance(source, Mapping):
        return of_state_dict(source)
    return parameters(source)


def first_names(named: Mapping[str, Tensor]) -> dict[Tensor, str]:
    """Each tensor once, with the first of its names."""
    first: dict[Tensor, str] = {}
    for name, tensor in named.items():
        first.setdefault(tensor, name)
    return first


def hint(name: str, names: Iterable[str]) -> str:
    """`; did you mean …` for the end of an error message, or nothing."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def listed(names: Iterable[str], at_most: int = 12) -> str:
    """Names for an error message."""
    names = [f"`{name}`" for name in names]
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more if names else "none"


def is_below(name: str, prefix: str) -> bool:
    """Whether `prefix` is `name` or whole dotted components from its left."""
    return name == prefix or name.startswith(prefix + ".")
