"""Images of a data set that `polarity data fetch NAME` has put into the cache, without torchvision."""

import math
import os
import sys
from pathlib import Path

import torch
from torch import Tensor


def load(name: str, part: str, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`count` images of a `part` ("train" or "t10k") of a data set, drawn with a seed, and their labels.

    Shapes: images `[count, 28, 28]`, from 0 to 1; labels `[count]`, whole numbers from 0 to 9.
    """
    images, labels = (_read(name, f"{part}-{what}-ubyte") for what in ("images-idx3", "labels-idx1"))
    if not 1 <= count <= len(images):
        sys.exit(f"--images: expected 1 to {len(images)}, as many as {name} has, got {count}")
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:count]
    return images[drawn] / 255, labels[drawn].long()


def _read(name: str, file: str) -> Tensor:
    """The numbers of a file in MNIST's format: a header of 4 bytes, the sizes as big-endian words, the values."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polarity"
    path = Path(os.environ.get("POLARITY_CACHE") or base) / "data" / name / file
    if not path.exists():
        sys.exit(f"{path}: missing; get it with `polarity data fetch {name}`")
    data = path.read_bytes()
    header = 4 + 4 * data[3]
    sizes = [int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4)]
    if len(data) != header + math.prod(sizes):
        sys.exit(f"{path}: damaged; get it again with `polarity data fetch {name}`")
    return torch.frombuffer(bytearray(data[header:]), dtype=torch.uint8).reshape(sizes)
