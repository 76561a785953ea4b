"""Which tensors may be worked on, and which of them as raw memory.

Three questions, asked in this order. Is it a kind of tensor whose values are simply there (`must_be_readable`)?
Does each weight have a place of its own (`must_be_dense`)? May the kernel have its address (`is_raw`, `Slices`)?
What PyTorch alone knows is checked here, what numbers show once more in the compiled part.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

# Subclasses may mean anything by their memory.
PLAIN = (nn.Parameter, Tensor)
# Strided float32 on the CPU, not negated lazily: `isinstance` answers at once what else are four questions.
FLOATS = torch.FloatTensor


def must_be_readable(name: str, tensor: Tensor) -> None:
    """Refuses, by name, tensors that have no values, or keep them elsewhere.

    Raises:
        TypeError: for what is no plain dense tensor of real numbers.
        ValueError: when its storage was freed or is too small; PyTorch's own operations would read past its end.
    """
    if type(tensor) not in PLAIN:
        _must_be_a_plain_subclass(name, tensor)
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name}: is a sparse tensor; give it as a dense one: `.to_dense()`")
    if tensor.is_meta:
        raise TypeError(f"{name}: is on the meta device and has no values; make it on a real one: `.to_empty`")
    if tensor.is_complex():
        raise TypeError(f"{name}: is complex; complex weights have no sign")
    weights = tensor.numel()
    if weights:
        end = tensor.storage_offset() + 1 + sum((n - 1) * by for n, by in zip(tensor.shape, tensor.stride()))
        room = tensor.untyped_storage().nbytes()
        if end * tensor.element_size() > room:
            raise ValueError(
                f"{name}: its storage has {room} bytes, too few for {weights} weights; it was freed or resized (FSDP "
                "does so between steps)"
            )


def must_be_writable(name: str, tensor: Tensor) -> None:
    """Refuses, by name, tensors whose values cannot be changed weight by weight.

    Raises:
        TypeError: as `must_be_readable`, for integers, and for inference tensors.
        ValueError: for memory with gaps, or shared between weights.
    """
    must_be_readable(name, tensor)
    if not tensor.is_floating_point():
        raise TypeError(f"{name}: has type {tensor.dtype}; signs are held in floating-point weights")
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        raise TypeError(
            f"{name}: was made under torch.inference_mode and cannot be trained; make it outside, or clone it"
        )
    must_be_dense(name, tensor)


def must_be_dense(name: str, tensor: Tensor) -> None:
    """Refuses views with gaps and expanded tensors, by name.

    Raises:
        ValueError: when the weights do not fill their memory, each its own place.
    """
    if tensor.is_contiguous():
        return
    dense = 1
    sides = sorted(zip(tensor.stride(), tensor.shape))
    for stride, size in sides:
        if size > 1:
            if stride != dense:
                raise ValueError(
                    f"{name}: shape {tuple(tensor.shape)} with strides {tensor.stride()} leaves gaps in memory, or "
                    "lays two weights on one place (a view, or an expanded tensor); train a `.contiguous()` "
                    "parameter and take the view in `forward`"
                )
            dense *= size


def _must_be_a_plain_subclass(name: str, tensor: Tensor) -> None:
    kinds = {kind.__name__ for kind in type(tensor).__mro__}
    if "DTensor" in kinds:
        raise TypeError(
            f"{name}: is a DTensor (FSDP2, tensor parallelism): each rank has a shard, and signs are held by the "
            "places of the whole tensor; use DDP, or leave this module out of `fully_shard`"
        )
    # A class that answers operations itself need not keep its values in its own memory.
    foreign = [kind for kind in type(tensor).__mro__ if kind not in Tensor.__mro__ and kind is not nn.Parameter]
    if any("__torch_dispatch__" in vars(kind) for kind in foreign):
        raise TypeError(
            f"{name}: is a {type(tensor).__name__}, whose values need not be in its memory; hold signs in plain "
            "parameters"
        )


def is_raw(tensor: Tensor) -> bool:
    """Whether the kernel may have the tensor's memory: float32 on the CPU, of PyTorch's own kind."""
    return (
        type(tensor) in PLAIN
        and tensor.is_cpu
        and tensor.dtype is torch.float32
        and tensor.layout is torch.strided
        and not tensor.is_neg()
    )


class Slices:
    """Addresses for one call of the kernel, and the storages that must live through it.

    References to the tensors would not do: `tensor.data` can be set to other memory, from another Python
    thread, while the kernel works without the interpreter's lock.
    """

    def __init__(self) -> None:
        self.storages: list[torch.UntypedStorage] = []

    def plain(self, tensors: tuple[Any, ...], shape: torch.Size) -> list[int] | None:
        """The addresses of tensors that are what nearly all are, raw and contiguous, of one shape; `None` where one is
        not, and has to be looked at more carefully. A function for every check would cost more than the kernel."""
        addresses, keep, length = [], self.storages.append, 4 * shape.numel()
        for tensor in tensors:
            if (
                type(tensor) not in PLAIN
                or not isinstance(tensor, FLOATS)
                or tensor.shape != shape
                or not tensor.is_contiguous()
            ):
                return None
            storage = tensor.untyped_storage()
            start = 4 * tensor.storage_offset()
            if not 0 < length <= storage.nbytes() - start:
                return None
            keep(storage)
            addresses.append(storage.data_ptr() + start)
        return addresses

    def address(self, name: str, tensor: Tensor, weights: int) -> int:
        """Where the `weights` float32 values of a raw and dense tensor begin.

        Raises:
            ValueError: when its storage ends before they do, which another thread may have changed just now.
        """
        storage = tensor.untyped_storage()
        self.storages.append(storage)
        start = 4 * int(tensor.storage_offset())
        if start + 4 * weights > storage.nbytes():
            raise ValueError(f"{name}: its storage has {storage.nbytes()} bytes, too few for {weights} weights")
        return storage.data_ptr() + start


def lying_as(tensor: Tensor, other: Tensor) -> Tensor:
    """The tensor's values as raw memory in the order of `other`, copied where they are not."""
    if is_raw(tensor) and same_places(tensor, other):
        return tensor
    return torch.empty_like(other).copy_(tensor)


def same_places(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one shape lay their weights out in the same order."""
    if one.is_contiguous() and other.is_contiguous():
        return True
    strides = zip(one.stride(), other.stride(), one.shape)
    return all(a == b for a, b, size in strides if size > 1)


def bytes_of(tensor: Tensor) -> bytes:
    """The bytes of a tensor's values in row-major order.

    NumPy's `tobytes` would do, but PyTorch need not have been built beside the NumPy that is here.
    """
    tensor = tensor.detach().cpu().contiguous()
    length = tensor.numel() * tensor.element_size()
    return ctypes.string_at(tensor.data_ptr(), length) if length else b""
