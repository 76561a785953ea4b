"""Writes the pickles that the tests of `numpy.rs` read: `python make.py`, with NumPy 1.26 or 2."""

import pickle

import numpy as np

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

odd = {
    "integers": {"w": np.arange(3)},
    "big-endian": {"w": np.arange(3, dtype=">f4")},
    "column-major": {"w": np.asfortranarray(np.ones((2, 3), dtype="f4"))},
    "scalar": {"w": 0.5},
}
for name, value in odd.items():
    with open(f"{name}.pickle", "wb") as file:
        pickle.dump(value, file, protocol=4)
