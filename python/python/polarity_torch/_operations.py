"""The steps and the projection by PyTorch's operations, for every device and kind of float.

For float32 on the CPU they give the kernel's bits: the same operations, each rounded once, in one order.
bfloat16 and half are computed in float32 and rounded at the end; float64 in float64.

Shapes: everything here has the weight's shape, in whatever order it lies in memory.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from polarity_torch.reset import Reset

#: The least magnitude of a held weight after a step of exponentiated gradient, and the greatest exponent of one.
EG_FLOOR = 1e-8
EG_LIMIT = 80.0

LOG2_E = 1.442_695_040_888_963_4
#: The bits of 1 as a float32.
ONE = 0x3F80_0000
LOW = 0xFFFF_FFFF
WORD = 0xFFFF_FFFF_FFFF_FFFF


def number(name: str) -> int:
    """The number that names a tensor to the random resets: the first 8 bytes of its name's SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def mixed(seed: int, step: int, tensor: int, high: int) -> int:
    """The key of a tensor's draws: SplitMix64's finaliser over all that they depend on (`kernel::draw`)."""
    key = 0
    for word in (seed, step, tensor, high):
        z = ((key ^ word) + 0x9E37_79B9_7F4A_7C15) & WORD
        z = (z ^ z >> 30) * 0xBF58_476D_1CE4_E5B9 & WORD
        z = (z ^ z >> 27) * 0x94D0_49BB_1331_11EB & WORD
        key = z ^ z >> 31
    return key


def uniform(seed: int, step: int, tensor: int, index: Tensor, weights: int) -> Tensor:
    """The uniform numbers in [0, 1) of those of a tensor's `weights` that have these row-major indices (int64), as
    float32 multiples of 2⁻²⁴: what `kernel::draw` defines, in integers of 64 bits because PyTorch has no products
    of unsigned ones of 32."""
    draws = torch.empty(index.shape, dtype=torch.float32, device=index.device)
    for high in range(max(1, (weights - 1 >> 32) + 1)):
        # One key for all indices that agree above their low 32 bits.
        part = slice(None) if weights <= 1 << 32 else index >> 32 == high
        draws[part] = _draws(mixed(seed, step, tensor, high), index[part])
    return draws


def _draws(key: int, index: Tensor) -> Tensor:
    x = (index + (key & LOW)) & LOW
    x = ((x ^ x >> 17) * 0xED5A_D4BB) & LOW
    x = ((x ^ x >> 11 ^ key >> 32) * 0xAC4C_1B51) & LOW
    x = ((x ^ x >> 15) * 0x3184_8BAB) & LOW
    x = x ^ x >> 14
    return (x >> 8).to(torch.float32) * 2.0**-24


def violators(weight: Tensor, signs: Tensor) -> Tensor:
    """Where a weight is strictly on the other side of zero than its sign (int8: 1, −1, or 0 for free)."""
    return ((weight < 0) & (signs > 0)) | ((weight > 0) & (signs < 0))


def project(weight: Tensor, signs: Tensor, reset: Reset, seed: int, step: int, tensor: int) -> int:
    """Replaces every violator of `weight`, and gives back how many there were."""
    if weight.dim() == 0:
        weight, signs = weight.view(1), signs.view(1)
    places = violators(weight, signs).nonzero(as_tuple=True)
    count = places[0].numel()
    if count == 0:
        return 0
    old = weight[places]
    if reset.rule == "zero":
        new = torch.zeros_like(old)
    elif reset.rule == "flip":
        new = -old
    else:
        magnitude = torch.tensor(reset.magnitude, dtype=torch.float32, device=old.device)
        sizes = magnitude.expand(count)
        if reset.rule == "uniform":
            index = row_major(places, weight.shape)
            draws = uniform(seed, step, tensor, index, weight.numel())
            sizes = sizes.to(exact(old.dtype)) * draws
        new = (sizes * signs[places]).to(old.dtype)
    weight[places] = new
    return count


def row_major(places: tuple[Tensor, ...], shape: torch.Size) -> Tensor:
    """The row-major index of each place."""
    index = torch.zeros_like(places[0])
    for along, size in zip(places, shape):
        index = index * size + along
    return index


def sign_flips(before: Tensor, after: Tensor) -> int:
    """How many weights are strictly on one side of zero in `before` and on the other in `after`."""
    return int((((before < 0) & (after > 0)) | ((before > 0) & (after < 0))).sum())


def exact(dtype: torch.dtype) -> torch.dtype:
    """The kind of float that a step is computed in."""
    return torch.float64 if dtype is torch.float64 else torch.float32


def flushed(state: Tensor) -> Tensor:
    """`state` with 0 where it is smaller than float32's smallest normal number, as the kernel keeps it."""
    return state.masked_fill_(state.abs() < torch.finfo(torch.float32).tiny, 0.0)


def adam(
    weight: Tensor,
    gradient: Tensor,
    state: Mapping[str, Tensor],
    step: int,
    group: Mapping[str, Any],
    signs: Tensor | None,
) -> None:
    """Step number `step` (from 1 on) of Adam or AdamW, in the order of `kernel::adam`; with `signs` it is multiplied
    into held weights, as `kernel::eg` does."""
    lr, eps, decay = float(group["lr"]), group["eps"], group["weight_decay"]
    beta1, beta2 = map(float, group["betas"])
    dtype = exact(weight.dtype)
    w, g = weight.to(dtype), gradient.to(dtype)
    first, second = state["exp_avg"].to(dtype), state["exp_avg_sq"].to(dtype)
    if decay != 0 and not group["decoupled_weight_decay"]:
        g = g + decaying(w, signs) * decay
    first = flushed(first * beta1 + g * (1 - beta1))
    second = flushed(second * beta2 + g * (1 - beta2) * g)
    root = rooted(second) * (1 / math.sqrt(1 - beta2**step)) + eps
    if group["decoupled_weight_decay"]:
        w = w * (1 - lr * decay)
    weight.copy_(stepped(w, first * (lr / (1 - beta1**step)) / root, signs, weight.dtype))
    state["exp_avg"].copy_(first)
    state["exp_avg_sq"].copy_(second)


def sgd(
    weight: Tensor,
    gradient: Tensor,
    state: Mapping[str, Tensor],
    first: bool,
    group: Mapping[str, Any],
    signs: Tensor | None,
) -> None:
    """A step of SGD, the `first` of its tensor or not, in the order of `kernel::sgd`; with `signs` it is multiplied
    into held weights, as `kernel::eg` does."""
    lr, momentum, decay = float(group["lr"]), group["momentum"], group["weight_decay"]
    dtype = exact(weight.dtype)
    w, g = weight.to(dtype), gradient.to(dtype)
    if decay != 0:
        g = g + decaying(w, signs) * decay
    if momentum != 0:
        kept = state["momentum_buffer"]
        buffer = flushed(g.clone() if first else kept.to(dtype) * momentum + g * (1 - group["dampening"]))
        kept.copy_(buffer)
        g = g + buffer * momentum if group["nesterov"] else buffer
    weight.copy_(stepped(w, g * lr, signs, weight.dtype))


def rooted(values: Tensor) -> Tensor:
    """Square roots, rounded once. PyTorch's own of float32 on the CPU can be a unit in the last place off (MKL's)."""
    if values.is_cpu and values.dtype is torch.float32:
        return values.double().sqrt().float()
    return values.sqrt()


def decaying(weight: Tensor, signs: Tensor | None) -> Tensor:
    """What decay through the gradient draws towards 0: the weight, or the sign of one that is multiplied."""
    return weight if signs is None else torch.where(signs != 0, signs.to(weight.dtype), weight)


def stepped(weight: Tensor, change: Tensor, signs: Tensor | None, kept_as: torch.dtype) -> Tensor:
    """`weight` less `change`; with `signs`, held weights times e to the −sign · change."""
    less = weight - change
    if signs is None:
        return less
    factor = exponential((signs * change).neg_().clamp_(-EG_LIMIT, EG_LIMIT))
    multiplied = weight * factor
    along = multiplied * signs
    # half does not hold the floor.
    floor = max(EG_FLOOR, 2.0**-14) if kept_as is torch.float16 else EG_FLOOR
    low = (along >= 0) & (along < floor)
    multiplied = torch.where(low, signs.to(weight.dtype) * floor, multiplied)
    return torch.where(signs != 0, multiplied, less)


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
