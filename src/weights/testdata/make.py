"""Writes the files that the tests of the room `weights` read: `python make.py`, in this folder.

Needs NumPy 2 (or 1.26), safetensors 0.8 and PyTorch 2.11:

    python3 -m venv venv && venv/bin/pip install numpy safetensors torch==2.11.0
    venv/bin/python make.py

Pickles hold what Flax and Caffe's converters save; `net*` are the same two layers by every library,
and `net.signs` is what NumPy says of their signs, a byte a weight.
"""

import pickle

import numpy as np
import safetensors.torch
import torch
from torch import nn

tree = {
    "Net_0": {
        "Conv_0": {
            "kernel": np.arange(-6, 6, dtype="f4").reshape(1, 2, 2, 3),
            "bias": np.array([0.5, -0.25, 0.0], dtype="f4"),
        },
        "Dense_0": {"kernel": np.array([[1.5], [-2.5]], dtype="f8")},
    },
}
for protocol in (2, 3, 4, 5):
    with open(f"protocol-{protocol}.pickle", "wb") as file:
        pickle.dump(tree, file, protocol=protocol)

kernel = np.arange(-6, 6, dtype="f4").reshape(2, 2, 1, 3)
lists = {"conv1": [kernel, np.array([0.5, -0.25, 0.0], dtype="f4")]}
odd = {
    "integers": {"w": np.arange(3)},
    "big-endian": {"w": np.arange(3, dtype=">f4")},
    "column-major": {"w": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3))},
    "scalar": {"w": 0.5},
    "lists": lists,
}
for name, value in odd.items():
    with open(f"{name}.pickle", "wb") as file:
        pickle.dump(value, file, protocol=4)

matrix = np.arange(-3, 3, dtype="f4").reshape(2, 3)
np.save("matrix.npy", matrix)
np.save("column-major.npy", np.asfortranarray(matrix.astype("f8")))
np.save("dict.npy", lists, allow_pickle=True)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 3, 2))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(3, 5))


torch.manual_seed(0)
net = Net()
with torch.no_grad():
    net.features[0].weight[1, 0, 0, 1] = 0.0
    net.classifier[1].weight[2, 2] = -0.0
state = net.state_dict()
torch.save(state, "net.pth")
torch.save(state, "net-legacy.pth", _use_new_zipfile_serialization=False)
torch.save(dict(net.named_parameters()), "net-parameters.pth")
safetensors.torch.save_file(state, "net.safetensors")
arrays = {name: tensor.numpy() for name, tensor in state.items()}
np.savez("net.npz", **arrays)
np.savez_compressed("net-compressed.npz", **arrays)
kernels = [arrays[name] for name in sorted(arrays) if arrays[name].ndim > 1]
with open("net.signs", "wb") as file:
    file.write(b"".join(np.sign(kernel).astype("i1").tobytes() for kernel in kernels))

# Views, other types, a weight used twice, and a counter of batches.
table = torch.arange(-6.0, 6.0).reshape(3, 4)
views = {
    "transposed": table.t(),
    "column": table[:, 1:2],
    "expanded": table[:1, :1].expand(2, 2),
    "tied": table,
    "half": table.half(),
    "brain": table.bfloat16(),
    "double": table.double(),
    "norm": nn.BatchNorm1d(2).state_dict(),
}
torch.save(views, "views.pth")
torch.save(views, "views-legacy.pth", _use_new_zipfile_serialization=False)

torch.save(net, "module.pth")
torch.save({"w": torch.arange(3)}, "integers.pth")
torch.save({"epoch": 3, "state_dict": state}, "training.pth")
