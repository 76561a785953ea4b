"""The steps by PyTorch's operations, for every device and kind of float: many tensors at a time (`torch._foreach`).

For float32 on the CPU they give the kernel's bits: the same operations, each rounded once, in one order. bfloat16 and
half are computed in float32 and rounded at the end; float64 in float64.

Shapes: the lists go together, a tensor of each for one parameter, all on one device and of one kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from polarity_torch._projection import exact

#: The least magnitude of a held weight after a step of exponentiated gradient, and the greatest exponent of one.
EG_FLOOR = 1e-8
EG_LIMIT = 80.0

LOG2_E = 1.442_695_040_888_963_4
#: The bits of 1 as a float32.
ONE = 0x3F80_0000

Tensors = list[Tensor]


def adam(
    weights: Tensors,
    gradients: Tensors,
    state: Mapping[str, Tensors],
    steps: Sequence[int],
    group: Mapping[str, Any],
    signs: Sequence[Tensor | None],
) -> None:
    """Steps of Adam or AdamW, each tensor's with its number (from 1 on), in the order of `kernel::adam`. Where a tensor
    has `signs` its step is multiplied into held weights, as `kernel::eg` does."""
    lr, eps, decay = float(group["lr"]), float(group["eps"]), float(group["weight_decay"])
    beta1, beta2 = map(float, group["betas"])
    w, g, first, second = map(_exact, (weights, gradients, state["exp_avg"], state["exp_avg_sq"]))
    if decay != 0 and not group["decoupled_weight_decay"]:
        g = list(torch._foreach_add(g, torch._foreach_mul(_decaying(w, signs), decay)))
    torch._foreach_mul_(first, beta1)
    torch._foreach_add_(first, torch._foreach_mul(g, 1 - beta1))
    squares = list(torch._foreach_mul(g, 1 - beta2))
    torch._foreach_mul_(squares, g)
    torch._foreach_mul_(second, beta2)
    torch._foreach_add_(second, squares)
    _flush(first)
    _flush(second)
    roots = _rooted(second)
    torch._foreach_mul_(roots, [1 / math.sqrt(1 - beta2**step) for step in steps])
    torch._foreach_add_(roots, eps)
    changes = list(torch._foreach_mul(first, [lr / (1 - beta1**step) for step in steps]))
    torch._foreach_div_(changes, roots)
    if group["decoupled_weight_decay"]:
        torch._foreach_mul_(w, 1 - lr * decay)
    _take(w, changes, signs, weights)
    for kept, new in ((state["exp_avg"], first), (state["exp_avg_sq"], second)):
        _keep(kept, new)


def sgd(
    weights: Tensors,
    gradients: Tensors,
    buffers: Tensors,
    first: Sequence[bool],
    group: Mapping[str, Any],
    signs: Sequence[Tensor | None],
) -> None:
    """Steps of SGD, the `first` of a tensor or not, in the order of `kernel::sgd`; with `signs` as in `adam`."""
    lr, momentum, decay = float(group["lr"]), float(group["momentum"]), float(group["weight_decay"])
    w, g = _exact(weights), _exact(gradients)
    if decay != 0:
        g = list(torch._foreach_add(g, torch._foreach_mul(_decaying(w, signs), decay)))
    if momentum != 0:
        decayed = list(torch._foreach_mul(_exact(buffers), momentum))
        torch._foreach_add_(decayed, torch._foreach_mul(g, 1 - float(group["dampening"])))
        new = [gradient.clone() if begins else old for gradient, old, begins in zip(g, decayed, first)]
        _flush(new)
        _keep(buffers, new)
        g = list(torch._foreach_add(g, torch._foreach_mul(new, momentum))) if group["nesterov"] else new
    _take(w, list(torch._foreach_mul(g, lr)), signs, weights)


def _exact(tensors: Tensors) -> list[Tensor]:
    """Tensors in the kind of float that they are computed in: themselves, where they are of it."""
    return [tensor.to(exact(tensor.dtype)) for tensor in tensors]


def _keep(tensors: Tensors, new: Tensors) -> None:
    """Writes what was computed, rounded to what `tensors` are, where it was not computed in them."""
    for tensor, value in zip(tensors, new):
        if tensor is not value:
            tensor.copy_(value)


def _flush(states: Tensors) -> None:
    """Makes numbers 0 that are smaller than float32's smallest normal one, as the kernel does: they move no weight, and
    slow the CPU down. On other devices they do not."""
    for state in states:
        if state.is_cpu:
            state.masked_fill_(state.abs() < torch.finfo(torch.float32).tiny, 0.0)


def _rooted(tensors: Tensors) -> list[Tensor]:
    """Square roots, rounded once. PyTorch's own of float32 on the CPU can be a unit in the last place off (MKL's)."""
    if tensors[0].is_cpu and tensors[0].dtype is torch.float32:
        return [tensor.double().sqrt().float() for tensor in tensors]
    return list(torch._foreach_sqrt(tensors))


def _decaying(weights: Tensors, signs: Sequence[Tensor | None]) -> list[Tensor]:
    """What decay through the gradient draws towards 0: weights, or the signs of those that are multiplied."""
    return [
        weight if sign is None else torch.where(sign != 0, sign.to(weight.dtype), weight)
        for weight, sign in zip(weights, signs)
    ]


def _take(w: list[Tensor], changes: Tensors, signs: Sequence[Tensor | None], weights: Tensors) -> None:
    """Takes `changes` off `w`, or multiplies them into it, and writes it to `weights`."""
    if all(sign is None for sign in signs):
        torch._foreach_sub_(w, changes)
    else:
        less = list(torch._foreach_sub(w, changes))
        for place, sign in enumerate(signs):
            if sign is not None:
                dtype = weights[place].dtype
                less[place] = torch.where(sign != 0, _multiplied(w[place], changes[place], sign, dtype), less[place])
        w = less
    _keep(weights, w)


def _multiplied(weight: Tensor, change: Tensor, sign: Tensor, kept_as: torch.dtype) -> Tensor:
    """Held weights times e to the −sign · change, not below the floor on their side."""
    multiplied = weight * exponential((sign * change).neg_().clamp_(-EG_LIMIT, EG_LIMIT))
    along = multiplied * sign
    # half does not hold the floor.
    floor = max(EG_FLOOR, 2.0**-14) if kept_as is torch.float16 else EG_FLOOR
    return torch.where((along >= 0) & (along < floor), sign.to(weight.dtype) * floor, multiplied)


def exponential(exponent: Tensor) -> Tensor:
    """e to the `exponent`, which is within ±80: for float32 the polynomial of `kernel::eg`, bit for bit."""
    if exponent.dtype is torch.float64:
        return exponent.exp()
    # Adding it rounds to a whole number, which then is the low bits of the sum.
    shift = 1.5 * 2**23
    shifted = exponent * LOG2_E + shift
    whole = shifted - shift
    rest = exponent - whole * (355 / 512) - whole * -2.121_944_4e-4
    series = torch.full_like(rest, 1 / 5040)
    for coefficient in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5):
        series = series * rest + coefficient
    power = ((shifted.view(torch.int32) << 23) + ONE).view(torch.float32)
    return (series * (rest * rest) + rest + 1.0) * power
