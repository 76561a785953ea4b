"""One seed, streams of random numbers by purpose: the twin of `random.rs`, ChaCha8 by NumPy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

BLOCK = 16
WORD = 0xFFFF_FFFF_FFFF_FFFF


class Stream:
    """Random numbers for one purpose of one seed."""

    def __init__(self, seed: int, purpose: str) -> None:
        if not 0 <= seed <= WORD:
            raise OverflowError("seed: can't convert a negative number, or one of more than 64 bits")
        key = hashlib.sha256(b"polarity-stream/1\0" + seed.to_bytes(8, "little") + purpose.encode()).digest()
        self._key = np.frombuffer(key, dtype="<u4").astype(np.uint32)
        self._blocks = 0

    def bits(self, count: int) -> np.ndarray:
        """Uniform numbers of 64 bits. A stream is asked once, or for whole blocks at a time."""
        blocks = -(-2 * count // BLOCK)
        counters = np.arange(self._blocks, self._blocks + blocks, dtype=np.uint64)
        self._blocks += blocks
        words = _chacha8(self._key, counters).astype(np.uint64)
        return (words[0::2] | words[1::2] << np.uint64(32))[:count]

    def each(self) -> Iterator[int]:
        """Uniform numbers of 64 bits, one after another."""
        while True:
            yield from self.bits(1 << 12).tolist()

    def uniform(self, count: int) -> np.ndarray:
        """Uniform numbers in [0, 1), multiples of 2⁻⁵³."""
        return (self.bits(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def below(bound: int, numbers: Iterator[int]) -> int:
    """A uniform number below `bound`, without bias."""
    unbiased = WORD - (WORD % bound + 1) % bound
    for number in numbers:
        if number <= unbiased:
            return number % bound
    raise AssertionError("a stream has no end")


def shuffle(items: list[int], numbers: Iterator[int]) -> None:
    """Puts `items` in an order drawn uniformly from all orders (Fisher–Yates)."""
    for last in range(len(items) - 1, 0, -1):
        other = below(last + 1, numbers)
        items[last], items[other] = items[other], items[last]


def _chacha8(key: np.ndarray, counters: np.ndarray) -> np.ndarray:
    """The words of ChaCha8's blocks with these counters, in order."""
    state = np.empty((16, len(counters)), dtype=np.uint32)
    state[:4] = np.frombuffer(b"expand 32-byte k", dtype="<u4").astype(np.uint32)[:, None]
    state[4:12] = key[:, None]
    state[12] = (counters & np.uint64(0xFFFF_FFFF)).astype(np.uint32)
    state[13] = (counters >> np.uint64(32)).astype(np.uint32)
    state[14:] = 0
    mixed = state.copy()
    for _ in range(4):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            _quarter(mixed, a, b, c, d)
        for a, b, c, d in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            _quarter(mixed, a, b, c, d)
    return (mixed + state).T.reshape(-1)


def _quarter(x: np.ndarray, a: int, b: int, c: int, d: int) -> None:
    for one, other, turned, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        x[one] += x[other]
        x[turned] ^= x[one]
        x[turned] = x[turned] << np.uint32(bits) | x[turned] >> np.uint32(32 - bits)
