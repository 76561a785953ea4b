"""The random numbers of the `uniform` reset by PyTorch's operations: what `kernel::draw` defines, bit for bit.

A draw is a function of seed, step, tensor and the weight's row-major index alone.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

LOW = 0xFFFF_FFFF
WORD = 0xFFFF_FFFF_FFFF_FFFF
# Weights whose numbers are drawn at a time, so that integers beside them take no more memory than they do.
PIECE = 1 << 24


def number(name: str) -> int:
    """The number that names a tensor to the random resets: the first 8 bytes of its name's SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def mixed(seed: int, step: int, tensor: int, high: int) -> int:
    """The key of the draws whose indices have these high 32 bits: SplitMix64's finaliser over all it depends on."""
    key = 0
    for word in (seed, step, tensor, high):
        z = ((key ^ word) + 0x9E37_79B9_7F4A_7C15) & WORD
        z = (z ^ z >> 30) * 0xBF58_476D_1CE4_E5B9 & WORD
        z = (z ^ z >> 27) * 0x94D0_49BB_1331_11EB & WORD
        key = z ^ z >> 31
    return key


def uniform(seed: int, step: int, tensor: int, index: Tensor, weights: int) -> Tensor:
    """The numbers in [0, 1) of those of a tensor's `weights` that have these indices (int64), as float32."""
    draws = torch.empty(index.shape, dtype=torch.float32, device=index.device)
    for high in range(max(1, (weights - 1 >> 32) + 1)):
        part = slice(None) if weights <= 1 << 32 else index >> 32 == high
        draws[part] = _hashed(mixed(seed, step, tensor, high), index[part])
    return draws


def uniform_for_all(seed: int, step: int, tensor: int, like: Tensor) -> Tensor:
    """The numbers in [0, 1) of all weights of `like`, in its shape, as float32, without a word to the host."""
    weights = like.numel()
    draws = torch.empty(weights, dtype=torch.float32, device=like.device)
    for start in range(0, weights, PIECE):
        end = min(start + PIECE, weights)
        index = torch.arange(start, end, device=like.device)
        draws[start:end] = _hashed(mixed(seed, step, tensor, start >> 32), index)
    return draws.reshape(like.shape)


def _hashed(key: int, index: Tensor) -> Tensor:
    """The hash triple32, in integers of 64 bits, because PyTorch has no products of unsigned ones of 32."""
    x = (index + (key & LOW)) & LOW
    x = ((x ^ x >> 17) * 0xED5A_D4BB) & LOW
    x = ((x ^ x >> 11 ^ key >> 32) * 0xAC4C_1B51) & LOW
    x = ((x ^ x >> 15) * 0x3184_8BAB) & LOW
    x = x ^ x >> 14
    return (x >> 8).to(torch.float32) * 2.0**-24
