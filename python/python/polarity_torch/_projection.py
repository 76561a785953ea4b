"""The projection by PyTorch's operations, for every device and kind of float.

On the CPU only the violators are looked at. Elsewhere it goes over all weights instead, since to find the violators
would make the host wait for the device at every parameter of every step.

Shapes: `weight` and its `signs` (int8: 1, −1, or 0 for free) have one shape, whatever their order in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from polarity_torch import _draws

if TYPE_CHECKING:
    from polarity_torch.reset import Reset


def violators(weight: Tensor, signs: Tensor) -> Tensor:
    """Where a weight is strictly on the other side of zero than its sign."""
    return ((weight < 0) & (signs > 0)) | ((weight > 0) & (signs < 0))


def project(weight: Tensor, signs: Tensor, reset: Reset, seed: int, step: int, tensor: int) -> int | Tensor:
    """Replaces every violator of `weight`, and gives back how many there were: a number, or a tensor on its device."""
    if weight.is_cpu:
        return project_sparsely(weight, signs, reset, seed, step, tensor)
    return project_densely(weight, signs, reset, seed, step, tensor)


def project_sparsely(weight: Tensor, signs: Tensor, reset: Reset, seed: int, step: int, tensor: int) -> int:
    """The projection of the violators alone."""
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
        sizes = _magnitude(reset, old).expand(count)
        if reset.rule == "uniform":
            index = row_major(places, weight.shape)
            sizes = sizes * _draws.uniform(seed, step, tensor, index, weight.numel()).to(sizes.dtype)
        new = (sizes * signs[places]).to(old.dtype)
    weight[places] = new
    return count


def project_densely(weight: Tensor, signs: Tensor, reset: Reset, seed: int, step: int, tensor: int) -> Tensor:
    """The projection of all weights, violators or not."""
    wrong = violators(weight, signs)
    if reset.rule == "zero":
        weight.masked_fill_(wrong, 0.0)
    elif reset.rule == "flip":
        weight.copy_(torch.where(wrong, -weight, weight))
    else:
        sizes = _magnitude(reset, weight)
        if reset.rule == "uniform":
            sizes = sizes * _draws.uniform_for_all(seed, step, tensor, weight).to(sizes.dtype)
        weight.copy_(torch.where(wrong, (sizes * signs).to(weight.dtype), weight))
    return wrong.sum()


def _magnitude(reset: Reset, like: Tensor) -> Tensor:
    """The reset's magnitude, as float32 has it, in the kind of float that resets of `like` are computed in."""
    magnitude = torch.tensor(reset.magnitude, dtype=torch.float32)
    return magnitude.to(device=like.device, dtype=exact(like.dtype))


def row_major(places: tuple[Tensor, ...], shape: torch.Size) -> Tensor:
    """The row-major index of each place."""
    index = torch.zeros_like(places[0])
    for along, size in zip(places, shape):
        index = index * size + along
    return index


def sign_flips(before: Tensor, after: Tensor) -> int | Tensor:
    """How many weights are strictly on one side of zero in `before` and on the other in `after`."""
    flips = (((before < 0) & (after > 0)) | ((before > 0) & (after < 0))).sum()
    return int(flips) if flips.is_cpu else flips


def exact(dtype: torch.dtype) -> torch.dtype:
    """The kind of float that weights of `dtype` are computed in."""
    return torch.float64 if dtype is torch.float64 else torch.float32
