"""Makes the inputs of the corpora that are no copies of files in `src/weights/testdata` and
`tests/checkpoints`. Every file is small, right or nearly so, and goes another way through its reader.

    python3 fuzz/corpus/make.py
"""

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def write(name, data):
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def packed(data):
    return gzip.compress(data, mtime=0)


def template(layers):
    """Layers: name -> (shape, sign bytes, held bytes or None)."""
    tensors = {}
    for name, (_, sign, held) in layers.items():
        tensors[f"{name}.sign"] = sign
        if held is not None:
            tensors[f"{name}.held"] = held
    data, header = b"", {}
    for name in sorted(tensors):
        bits = tensors[name]
        header[name] = {"dtype": "U8", "shape": [len(bits)], "data_offsets": [len(data), len(data) + len(bits)]}
        data += bits
    shapes = {name: shape for name, (shape, _, _) in layers.items()}
    about = {
        "format": "polarity-template/1",
        "shapes": json.dumps(shapes),
        "digest": hashlib.sha256(data).hexdigest(),
        "source": "made by hand",
        "created_by": "make.py",
    }
    head = json.dumps({"__metadata__": about, **header}).encode()
    return struct.pack("<Q", len(head)) + head + data


def idx(shape, values):
    return bytes([0, 0, 8, len(shape)]) + b"".join(struct.pack(">I", n) for n in shape) + bytes(values)


def png(width, height, kind, depth, rows, level=9):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(12))) if kind == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + chunk(b"IDAT", zlib.compress(rows, level)) + chunk(b"IEND", b"")


def tar(entries, form=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data, kind in entries:
            about = tarfile.TarInfo(name)
            about.type, about.size = kind, len(data)
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                about.linkname = "/etc/passwd"
            archive.addfile(about, io.BytesIO(data))
    # Python fills its last record with zeros; two blocks of them end an archive.
    data = out.getvalue().rstrip(b"\0")
    return data + bytes(-len(data) % 512 + 1024)


# A baseline JPEG of 8 x 8 grey pixels: quantisation, frame, the two Huffman tables that it needs, scan.
JPEG = bytes.fromhex(
    "ffd8ffdb004300" + "01" * 64 + "ffc0000b080008000801011100ffc4001400010000000000000000000000000000000"
    "0ffc40014100100000000000000000000000000000000ffda0008010100003f003fffd9"
)

POINTS = """\
name: points
data: {name: xor-5d, train_sizes: [20], validation: 40, test: 40}
model: {name: mlp, hidden: 3}
arms:
  frozen: {signs: init, hold: all}
  fluid: {signs: init, hold: none}
baseline: fluid
train: {optimizer: {adam: {lr: 0.03}}, batch: 10, epochs: 2}
seeds: 0..2
figures: [fig2]
"""

IMAGES = """\
name: images
data: {name: fashion-mnist, image_size: 28, train_sizes: [50, 100], validation: 500, test: 2000}
model: {name: alexnet-mini}
source: {train: {data: {name: fashion-mnist}, epochs: 4, seed: 7}}
arms:
  a: &own {signs: source, hold: all}
  b: {<<: *own, hold: none}
  c: {signs: {shuffled: source}, hold: [features.0], reset: {uniform: 0.001}}
train: {optimizer: {sgd: {lr: 0.1, momentum: 0.9}}, batch: 10, steps: 80, evaluate_at: [0, 5]}
seeds: [1, 2]
claims: [{text: t, arms: [a, b], measure: test_error, is: less}]
"""


def main():
    one = {"features.0.weight": ([2, 3], b"\x15", None), "classifier.weight": ([3, 3], b"\x55\x01", b"\x7f\x01")}
    write("template/two-layers.safetensors", template(one))
    write("template/empty.safetensors", template({"a": ([0], b"", None)}))

    index = {"metadata": {"total_size": 1}, "weight_map": {"features.0.weight": "1.safetensors", "fc.weight": "1.safetensors"}}
    write("shards/index.json", json.dumps(index))
    write("shards/elsewhere.json", json.dumps({"weight_map": {"a": "../1.safetensors"}}))

    write("idx/images", idx([2, 2, 3], range(12)))
    write("idx/labels", idx([3], [0, 1, 2]))
    write("idx/images.gz", packed(idx([2, 2, 3], range(12))))

    names = [f"data_batch_{n}.bin" for n in range(1, 6)] + ["test_batch.bin"]
    rows = [bytes([n]) + bytes([n * 7 + 1]) * 3072 for n in range(6)]
    batches = [(f"c/{name}", data, tarfile.REGTYPE) for name, data in zip(names, rows)]
    write("cifar/small.tar.gz", packed(tar(batches)))
    write("cifar/one-missing.tar.gz", packed(tar(batches[:-1])))

    write("pictures/dot.png", png(1, 1, 0, 8, b"\x00\x80"))
    write("pictures/colours.png", png(3, 2, 2, 8, (b"\x01" + bytes(range(9))) * 2))
    write("pictures/palette.png", png(4, 2, 3, 2, b"\x00\x1b\x02\xe4"))
    write("pictures/deep.png", png(2, 2, 6, 16, (b"\x04" + bytes(range(16))) * 2))
    write("pictures/grey.jpg", JPEG)

    file = ("p-1.0/p/weights", b"abc", tarfile.REGTYPE)
    write("archive/plain.tar", tar([("p-1.0/setup.py", b"1\n", tarfile.REGTYPE), file]))
    write("archive/packed.tar.gz", packed(tar([file])))
    elsewhere = [("../../p/weights", b"out", tarfile.REGTYPE), ("/p/weights", b"", tarfile.SYMTYPE), file]
    write("archive/elsewhere.tar", tar(elsewhere))
    write("archive/long.tar.gz", packed(tar([("d/" * 60 + "p/weights", b"abc", tarfile.REGTYPE)], tarfile.GNU_FORMAT)))
    write("archive/pax.tar.gz", packed(tar([("d/" * 130 + "p/weights", b"abc", tarfile.REGTYPE)], tarfile.PAX_FORMAT)))

    write("experiment/points.yaml", POINTS)
    write("experiment/images.yaml", IMAGES)
    laughs = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    write("experiment/laughs.yaml", "l0: &l0 [1]\n" + laughs)

    write("override/some", 'train.batch=50\narms."frozen".hold=none\nseeds=[1, 2]\nmodel.hidden=[4, 4]\n')
    write("override/wrong", 'train.btch=5\n"a.b".c=\nfigures=[fig2, {kind: weights, arms: [a]}]\ndata.test=-1\n')

    specs = [(HERE / "../../tests/golden" / name).read_text().splitlines()[0] for name in GOLDEN]
    records = [record(json.loads(line)["spec"], images) for line, images in zip(specs, (100, 500))]
    write("segment/cells.jsonl", "".join(json.dumps(r, separators=(",", ":")) + "\n" for r in records))
    failed = {**records[0], "outcome": {**records[0]["outcome"], "status": "failed"}, "reason": "it was cold"}
    write("segment/failed.jsonl", json.dumps(failed, separators=(",", ":")) + "\n")

    weights = {
        "weights/a.weight": ("F32", [2, 1], struct.pack("<2f", 1, -2)),
        "optimizer/a.weight.step": ("I64", [], struct.pack("<q", 3)),
        "losses/sum": ("F64", [], struct.pack("<d", 0.5)),
    }
    notes = {"cell": "0" * 16, "seconds": 1.5, "job": {"step": 3}}
    write("under-way/image.safetensors", under_way(weights, notes))
    write("under-way/empty.safetensors", under_way({"none": ("F32", [0, 4], b"")}, None))


GOLDEN = ["spec-points.jsonl", "spec-images.jsonl"]


def under_way(tensors, notes):
    """A cell under way: its last tensor is the check sum of all bytes before it."""
    header, data = {"__metadata__": {"polarity": json.dumps(notes)}}, b""
    for name, (kind, shape, values) in [*tensors.items(), ("check", ("I64", [], bytes(8)))]:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    body = struct.pack("<Q", len(text)) + text + data[:-8]
    return body + struct.pack("<q", zlib.crc32(body))


def record(spec, images):
    """A line of a segment; its name and its digest are put right by who reads it here."""
    point = {"step": 0, "train_loss": None, "validation_loss": 0.7, "validation_error": 0.25, "resets": 0, "sign_flips": 1}
    errors = {f"{part}_error{last}": None for last in ("", "_last") for part in ("test", "validation", "train")}
    counts = {"steps": 2, "violations_after": 0, "resets": 3, "sign_flips": 4}
    outcome = {"status": "done", **errors, "best_step": 0, "validation_images": images, "test_images": 200, **counts}
    return {"id": "0" * 16, "spec": spec, "outcome": outcome, "curve": [point], "timing": {"total": 1.0}}


if __name__ == "__main__":
    main()
