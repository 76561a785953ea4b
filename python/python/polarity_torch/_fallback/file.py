"""The template file, `polarity-template/1`: the twin of `sign/file/`, whose rules the numbers are."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "polarity-template/1"
REQUIRED = ("format", "shapes", "digest", "source", "created_by")

Layers = dict[str, tuple[tuple[int, ...], np.ndarray]]


class Flaw(Exception):
    """A rule of the format that is broken."""


def product(shape: Iterable[int]) -> int:
    weights = 1
    for size in shape:
        weights *= size
    return weights


# Writing


def tensors(layers: Layers) -> dict[str, bytes]:
    """The tensors of the file by name, in that order."""
    made = {}
    for name, (_, signs) in layers.items():
        made[f"{name}.sign"] = _packed(signs > 0)
        if not (signs != 0).all():
            made[f"{name}.held"] = _packed(signs != 0)
    return dict(sorted(made.items()))


def _packed(bits: np.ndarray) -> bytes:
    return np.packbits(bits, bitorder="little").tobytes()


def digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _seal(metadata: Mapping[str, str]) -> str:
    lines = (f"{key}={metadata[key]}\n".encode() for key in sorted(metadata) if key != "seal")
    return digest(lines)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def write(layers: Layers, source: str, created_by: str) -> bytes:
    """The bytes of the file: the same for equal templates."""
    parts = tensors(layers)
    metadata = {
        "format": FORMAT,
        "shapes": _json({name: list(shape) for name, (shape, _) in layers.items()}),
        "digest": digest(parts.values()),
        "source": source,
        "created_by": created_by,
    }
    metadata["seal"] = _seal(metadata)
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    start = 0
    for name, data in parts.items():
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [start, start + len(data)]}
        start += len(data)
    text = _json(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts.values())


def write_atomically(path: Path, data: bytes) -> None:
    """Into a new file of the same folder, to the disk, then over the name."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".polarity-", delete=False) as new:
        try:
            new.write(data)
            new.flush()
            os.fsync(new.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(new.name, 0o666 & ~umask)
            os.replace(new.name, path)
        except BaseException:
            os.unlink(new.name)
            raise


# Reading


def read(data: bytes) -> tuple[Layers, str, str]:
    """The layers, the source and the program of a file.

    Raises:
        Flaw: the first rule that it breaks.
    """
    header, body = _container(data)
    metadata = header.pop("__metadata__", {})
    _check_metadata(metadata)
    shapes = _shapes(metadata["shapes"])
    parts = _parts(header, body)
    _check_names(parts, shapes)
    layers = {name: (shape, _mask(name, shape, parts)) for name, shape in shapes.items()}
    got = digest(parts[name][1] for name in sorted(parts))
    if metadata["digest"] != got:
        raise Flaw(
            f"metadata `digest`: expected `{metadata['digest']}`, got `{got}` from the tensors; copy or make the file "
            "again"
        )
    return layers, metadata["source"], metadata["created_by"]


def _container(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Rule 1: a safetensors file."""
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > len(data) - 8 or data[8:9] != b"{":
            raise ValueError("it is too short, or its header does not begin")
        header = json.loads(data[8 : 8 + length].decode(), object_pairs_hook=_once, parse_constant=_no_constant)
        return header, data[8 + length :]
    except ValueError as error:
        raise Flaw(f"no whole safetensors file: {error}; copy or make it again") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)


def _no_constant(text: str) -> None:
    raise ValueError(f"`{text}` is no JSON")


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Flaw("no whole safetensors file: its metadata are no texts; copy or make it again")
    if metadata.get("format", FORMAT) != FORMAT:
        raise Flaw(f"metadata `format`: expected `{FORMAT}`, got `{metadata['format']}`; a newer program may read it")
    for key in REQUIRED:
        if key not in metadata:
            raise Flaw(
                f"metadata `{key}`: missing; expected {', '.join(REQUIRED)}; a checkpoint becomes a template with "
                "`polarity template extract`"
            )
    for key in sorted(metadata):
        if key not in (*REQUIRED, "seal"):
            raise Flaw(f"metadata `{key}`: unknown; expected {', '.join(REQUIRED)}")
    if "seal" in metadata and metadata["seal"] != (got := _seal(metadata)):
        raise Flaw(
            f"metadata `seal`: expected `{metadata['seal']}`, got `{got}` from the metadata; copy or make the file "
            "again"
        )


def _shapes(text: str) -> dict[str, tuple[int, ...]]:
    try:
        shapes = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        sizes = [size for shape in shapes.values() for size in shape]
        if not all(type(size) is int and 0 <= size < 1 << 64 for size in sizes):
            raise ValueError("a size is no whole number from 0 on")
        if not all(isinstance(shape, list) for shape in shapes.values()):
            raise ValueError("a shape is no list")
    except (ValueError, AttributeError, TypeError) as error:
        raise Flaw(f"metadata `shapes`: expected a JSON object of names and lists of sizes: {error}") from None
    return dict(sorted((name, tuple(shape)) for name, shape in shapes.items()))


def _parts(header: Mapping[str, Any], body: bytes) -> dict[str, tuple[Any, bytes]]:
    """Each tensor's description and bytes; together they are all of the body, in the order of their offsets."""
    try:
        placed = sorted((*info["data_offsets"], name, info) for name, info in header.items())
        end = 0
        for start, stop, _, info in placed:
            if set(info) != {"dtype", "shape", "data_offsets"} or start != end or stop < start:
                raise ValueError("its tensors leave holes, or overlap")
            if info["dtype"] == "U8" and product(info["shape"]) != stop - start:
                raise ValueError("a tensor is not as long as its shape says")
            end = stop
        if end != len(body):
            raise ValueError("its tensors are not all of it")
    except (ValueError, TypeError, KeyError) as error:
        raise Flaw(f"no whole safetensors file: {error}; copy or make it again") from None
    return {name: (info, body[start:stop]) for start, stop, name, info in placed}


def _check_names(parts: Mapping[str, Any], shapes: Mapping[str, Any]) -> None:
    for tensor in sorted(parts):
        layer, _, kind = tensor.rpartition(".")
        if kind == "sign" and layer not in shapes:
            raise Flaw(f"{layer}.sign: has no shape; expected `{layer}` in the metadata `shapes`")
        if kind == "held" and f"{layer}.sign" not in parts:
            raise Flaw(f"{layer}.held: has no signs; expected a tensor `{layer}.sign`")
        if kind not in ("sign", "held"):
            raise Flaw(f"{tensor}: unknown tensor; expected a name that ends in `.sign` or `.held`")


def _mask(layer: str, shape: tuple[int, ...], parts: Mapping[str, tuple[Any, bytes]]) -> np.ndarray:
    weights = product(shape)
    if weights >= 1 << 64:
        raise Flaw(f"{layer}: expected a shape with fewer than 2^64 weights, got {list(shape)}")
    if f"{layer}.sign" not in parts:
        raise Flaw(f"{layer}: has a shape but no signs; expected a tensor `{layer}.sign`")
    positive = _bits(f"{layer}.sign", weights, parts)
    if f"{layer}.held" not in parts:
        return np.where(positive, 1, -1).astype(np.int8)
    held = _bits(f"{layer}.held", weights, parts)
    wrong = np.flatnonzero(positive & ~held)
    if len(wrong):
        raise Flaw(f"{layer}.sign: expected sign bit 0 for weight {wrong[0]}, which is free, got 1")
    if held.all():
        raise Flaw(f"{layer}.held: all weights are held; expected no such tensor then")
    return (np.where(positive, 1, -1) * held).astype(np.int8)


def _bits(tensor: str, weights: int, parts: Mapping[str, tuple[Any, bytes]]) -> np.ndarray:
    info, data = parts[tensor]
    expected = (weights + 7) // 8
    if info["dtype"] != "U8":
        raise Flaw(f"{tensor}: expected type U8, got {info['dtype']}")
    if info["shape"] != [expected]:
        raise Flaw(f"{tensor}: expected shape [{expected}] for {weights} weights, got {info['shape']}")
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little").astype(bool)
    if bits[weights:].any():
        raise Flaw(f"{tensor}: expected 0 in the unused bits of the last byte, got `{data[-1]:#010b}`")
    return bits[:weights]
