"""Writes the checkpoints of this folder that are not from users' reports: `python make.py`, here.

Each folder has one checkpoint and `signs.json`: the names that polarity should give its weights, their
shapes, and their signs as PyTorch or NumPy sees them, in row-major order (`+`, `-`, `0`).

Needs PyTorch 2.11, NumPy, ml_dtypes and safetensors:

    python3 -m venv venv && venv/bin/pip install numpy ml_dtypes safetensors torch==2.11.0
    venv/bin/python make.py
"""

import argparse
import collections
import dataclasses
import datetime
import io
import json
import pathlib
import pickle
import random
import zipfile

import ml_dtypes
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(0)
np.random.seed(0)
# The old format keeps the source of classes, and where it lies.
torch.serialization.get_source_lines_and_file = lambda *_: ("class Net: ...", 1, "net.py")
HERE = pathlib.Path(__file__).parent


def signs(values):
    if isinstance(values, torch.Tensor):
        values = values.detach().resolve_neg().double().numpy()
    values = np.asarray(values).astype("f8")
    return {"shape": list(values.shape), "signs": "".join("0+-"[int(s)] for s in np.sign(values).ravel())}


def case(name, wanted, file, write):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    write(folder / file)
    text = json.dumps({key: signs(wanted[key]) for key in sorted(wanted)}, indent=1)
    (folder / "signs.json").write_text(text + "\n")


def pth(name, wanted, value, **how):
    case(name, wanted, "model.pth", lambda path: torch.save(value, path, **how))


def pkl(name, wanted, value, protocol):
    case(name, wanted, "w.pkl", lambda path: path.write_bytes(pickle.dumps(value, protocol)))


OLD = {"_use_new_zipfile_serialization": False}
w, v = torch.randn(5, 3), torch.randn(4, 5)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2))
        self.model = nn.Linear(4, 2)
        self.register_buffer("kept", torch.randn(2, 2))
        self.register_buffer("passing", torch.randn(2, 2), persistent=False)
        self.loose = torch.randn(2, 2)

    def forward(self, x):
        return self.features(x)


net = Net()
state = net.state_dict()
weights = {key: value for key, value in state.items() if value.ndim >= 2}
optimizer = torch.optim.Adam(net.parameters())
net(torch.randn(2, 1, 4, 4)).sum().backward()
optimizer.step()

# The bit for lazy negation, in every way of writing.
negative = torch.randn(5, 3, dtype=torch.complex64).conj().imag
pth("lazily-negated", {"neg": negative, "plain": w}, {"neg": negative, "plain": w})
pth("lazily-negated-old", {"neg": negative[1:4, ::2].t()}, {"neg": negative[1:4, ::2].t()}, **OLD)
pth("lazily-negated-parameter", {"neg": negative}, {"neg": nn.Parameter(negative)})

# Modules, whole.
pth("module", weights, net)
pth("module-old", weights, net, **OLD)
pth("module-of-data-parallel", {"module." + key: value for key, value in weights.items()}, nn.DataParallel(net))
pth("module-in-a-training", weights, {"model": net, "epoch": 3, "optimizer": optimizer.state_dict(), "ema": None})

# Trainings.
training = {
    "state_dict": state,
    "optimizer": optimizer.state_dict(),
    "lr_schedulers": [{"last_epoch": 1}],
    "epoch": 1,
    "args": argparse.Namespace(lr=0.1, resume=None),
    "torch_rng": torch.get_rng_state(),
    "numpy_rng": np.random.RandomState(0).get_state(),
    "python_rng": random.Random(0).getstate(),
    "best": np.float64(0.5),
    "when": datetime.datetime(2024, 1, 1),
    "path": pathlib.PurePosixPath("/x"),
    "set": {1, 2},
    "frozen": frozenset("a"),
    "bytes": bytearray(b"y"),
    "counter": collections.Counter("aab"),
    "lists": collections.defaultdict(list, {"a": [1]}),
    "big": 2**100,
    "small": -(2**70),
    "complex": 1j,
    "dtype": torch.float32,
    "device": torch.device("cpu"),
    "size": w.shape,
    "class": nn.Linear,
}
pth("training", weights, training)
pth("training-old", weights, training, **OLD)
pth("training-protocol-4", weights, training, pickle_protocol=4)
lightning = {
    "epoch": 0,
    "state_dict": collections.OrderedDict({"model.0.weight": w, "model.0.bias": w[0]}),
    "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.3)}},
    "optimizer_states": [optimizer.state_dict()],
    "hyper_parameters": {"lr": 0.1},
}
pth("training-lightning", {"model.0.weight": w}, lightning)
pth("average-beside", {"w": w}, {"model": {"w": w}, "ema": {"w": -w}, "optimizer": optimizer.state_dict()})
pth("average-alone", {"ema.w": w}, {"ema": {"w": w}, "step": 3})
pth("two-parts", {"generator.w": w, "discriminator.w": -w},
    {"generator": {"w": w}, "discriminator": {"w": -w}, "optim_g": optimizer.state_dict()})
pth("two-networks", {}, {"model": {"fc.weight": w}, "net": {"fc.weight": -w, "head.weight": v}, "epoch": 3})

# Tensors.
pth("tied", {"a": w, "b": w.t(), "c": w[1:3], "d": w.view(3, 5)}, {"a": w, "b": w.t(), "c": w[1:3], "d": w.view(3, 5)})
kinds = {"h": w.half(), "b": w.bfloat16(), "d": w.double(), "f": w}
others = {"i": torch.zeros(2, 2, dtype=torch.int32), "x": torch.zeros(2, 2, dtype=torch.complex64)}
pth("kinds", kinds, {**kinds, **others})
pth("kinds-old", kinds, {**kinds, **others}, **OLD)
eighths = {"a": w.to(torch.float8_e4m3fn), "b": w.to(torch.float8_e5m2)}
pth("eight-bits", {key: value.float() for key, value in eighths.items()}, eighths)
pth("containers", {"0": w, "1.0": v, "1.1": w, "2.7": v}, [w, (v, w), {7: v}, {}, [], ()])
pth("alone", {"model": w}, w)
parameter = nn.Parameter(w.clone())
parameter.tag = "x"
pth("parameter-with-attributes", {"w": w}, {"w": parameter})


class Subclass(torch.Tensor):
    pass


subclass = w.as_subclass(Subclass)
subclass.info = {"a": 1}
pth("subclass-old", {"w": w}, {"w": subclass}, **OLD)


@dataclasses.dataclass
class State:
    step: int
    params: dict


class Dict(dict):
    pass


class Slots:
    __slots__ = ("w", "n")

    def __init__(self):
        self.w, self.n = w, 3


Pair = collections.namedtuple("Pair", "mu nu")
own = {"state": State(3, {"w": w}), "dict": Dict(w=w), "slots": Slots(), "pair": Pair(w, 1)}
pth("classes-of-ones-own", {"state.params.w": w, "dict.w": w, "slots.w": w, "pair.0": w}, own)
arrays = {"f": np.asfortranarray(w.numpy()), "be": w.numpy().astype(">f4"), "h": w.numpy().astype("f2")}
pth("numpy-inside", arrays, {**arrays, "i": np.arange(4).reshape(2, 2), "s": np.array(["a"]), "o": np.array([1, None])})


# Archives.
def archived(value, how=zipfile.ZIP_STORED, folder=None, macos=False, order=None):
    buffer, out = io.BytesIO(), io.BytesIO()
    torch.save(value, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(out, "w", how) as new:
        for name in old.namelist():
            bytes_, inner = old.read(name), name.split("/", 1)[1]
            if order and inner == "byteorder":
                bytes_ = b"big"
            if order and inner.startswith("data/"):
                bytes_ = np.frombuffer(bytes_, order).byteswap().tobytes()
            path = name if folder is None else folder + inner
            if macos:
                new.writestr("__MACOSX/._" + path, b"x")
            new.writestr(path, bytes_)
    return out.getvalue()


def archive(name, wanted, content):
    case(name, wanted, "model.pth", lambda path: path.write_bytes(content))


plain = {"w": w, "v": v}
archive("zip-deflated", plain, archived(plain, zipfile.ZIP_DEFLATED))
archive("zip-in-folders", plain, archived(plain, folder="a/b c/"))
archive("zip-of-a-mac", plain, archived(plain, zipfile.ZIP_DEFLATED, folder="x/", macos=True))
archive("zip-padded", plain, archived(plain) + b"\0" * 512)
archive("zip-big-endian", plain, archived(plain, order="u4"))
zeros = {"z": torch.zeros(20, 1000), "w": w}
archive("zip-of-zeros", zeros, archived(zeros, zipfile.ZIP_DEFLATED))
torch.serialization.set_crc32_options(False)
pth("zip-without-checksums", plain, plain)
torch.serialization.set_crc32_options(True)


# TorchScript, and what tch makes of it.
class Script(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 2)
        self.rest = nn.ModuleList([nn.Linear(2, 2)])
        self.names = ["a", "b"]

    def forward(self, x):
        return self.rest[0](self.first(x))


class Holder(nn.Module):
    def __init__(self, tensors):
        super().__init__()
        for key, value in tensors.items():
            self.register_buffer(key.replace(".", "|"), value)

    def forward(self, x):
        return x


def without_sources(module):
    """The archive of a scripted module without what it says of the source's folders."""
    saved, out = io.BytesIO(), io.BytesIO()
    torch.jit.save(module, saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if not name.endswith(".debug_pkl"):
                new.writestr(name, old.read(name))
    return out.getvalue()


script = Script()
scripted = {key: value for key, value in script.state_dict().items() if value.ndim >= 2}
case("torchscript", scripted, "model.pt", lambda path: path.write_bytes(without_sources(torch.jit.script(script))))
traced = torch.jit.trace(script, torch.zeros(1, 3))
case("torchscript-traced", scripted, "model.pt", lambda path: path.write_bytes(without_sources(traced)))
holder = torch.jit.script(Holder({"features.0.weight": w, "features.0.bias": w[0]}))
case("tch", {"features.0.weight": w}, "model.ot", lambda path: path.write_bytes(without_sources(holder)))

# Plain pickles.
turned = w.numpy()[::2, ::-1]
mixed = {"a": {"w": w.numpy()}, "f": arrays["f"], "turned": turned, "step": 3, "set": {1}, "sc": np.float64(2), "b": b"\xff"}
for protocol in range(6):
    pkl(f"pickle-{protocol}-numpy", {"a.w": w, "f": w, "turned": turned}, mixed, protocol)
    pkl(f"pickle-{protocol}-torch", {"w": w, "v": v.t()}, {"w": w, "v": v.t(), "n": 3}, protocol)
brain = {"w": w.numpy().astype(ml_dtypes.bfloat16), "q": w.numpy().astype(ml_dtypes.float8_e4m3fn)}
pkl("pickle-of-brain-floats", {key: value.astype("f4") for key, value in brain.items()}, brain, 4)
moments = ({"count": np.int32(1), "mu": {"kernel": w.numpy()}}, ())
flax = {"step": np.int32(3), "params": {"Dense_0": {"kernel": w.numpy()}}, "opt_state": moments}
pkl("flax-state", {"params.Dense_0.kernel": w}, flax, 4)
parts = {"params": {"k": w.numpy()}, "batch_stats": {"m": v.numpy()}}
pkl("flax-parts", {"params.k": w, "batch_stats.m": v}, parts, 4)

# NumPy's own files.
solid = np.asfortranarray(np.random.randn(2, 3, 4).astype(">f8"))
case("npy-column-major", {"w": solid}, "w.npy", lambda path: np.save(path, solid))
objects = np.empty((1, 2), object)
objects[0, 0], objects[0, 1] = w.numpy(), v.numpy()
case("npy-of-objects", {"0": w, "1": v}, "w.npy", lambda path: np.save(path, objects, allow_pickle=True))
inner = {"params": {"w": w.numpy()}, "step": 3, "a/b": v.numpy()}
case("npz-of-objects", {"params.w": w, "a/b": v}, "w.npz", lambda path: np.savez(path, **inner))
wide = np.zeros((20, 1000), "f4")
case("npz-compressed", {"w": w, "z": wide}, "w.npz", lambda path: np.savez_compressed(path, w=w.numpy(), z=wide))


# Checkpoints in several files.
def sharded(path):
    ending = path.name.split(".")[1]
    names = [f"model-0000{part}-of-00002.{ending}" for part in (1, 2)]
    save = save_file if ending == "safetensors" else torch.save
    save({"a.w": w}, path.with_name(names[0]))
    save({"b.w": v, "i": torch.arange(3)}, path.with_name(names[1]))
    index = {"metadata": {"total_size": 164}, "weight_map": {"a.w": names[0], "b.w": names[1], "i": names[1]}}
    path.write_text(json.dumps(index))


case("shards", {"a.w": w, "b.w": v}, "model.safetensors.index.json", sharded)
case("shards-of-pytorch", {"a.w": w, "b.w": v}, "model.bin.index.json", sharded)
