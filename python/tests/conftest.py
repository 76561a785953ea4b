"""What the tests share: small networks, gradients without data, and the vectors that Rust wrote."""

import copy
import json
import os
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

if os.environ.get("POLARITY_TORCH_TESTS") == "fallback":
    # As where the compiled part cannot be loaded.
    sys.modules["polarity_torch._core"] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

VECTORS = Path(__file__).parent / "vectors"


def network(seed=0):
    """A small network with convolutions, a norm, biases and a head."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(5 * 4 * 4, 7),
    )


def give_gradients(module, seed):
    """Random gradients, the same for the same seed however the weights lie in memory."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        gradient = torch.randn(parameter.shape, generator=generator)
        # As backward lays it out.
        parameter.grad = torch.empty_like(parameter).copy_(gradient)


def train(module, optimizer, steps, first=0):
    for step in range(first, first + steps):
        give_gradients(module, step)
        optimizer.step()


def weights(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def bits(tensor):
    return tensor.detach().contiguous().view(torch.int32)


def same_bits(one, other):
    """Whether two lists of float32 tensors are the same numbers, −0 told from 0."""
    return len(one) == len(other) and all(torch.equal(bits(a), bits(b)) for a, b in zip(one, other))


def violators(module, template):
    """How many held weights are on the wrong side, in plain PyTorch."""
    named = dict(module.named_parameters())
    return sum(int((named[name].detach().cpu() * torch.tensor(template.signs(name)) < 0).sum()) for name in template)


@pytest.fixture
def net():
    return network()


@pytest.fixture
def twin(net):
    return copy.deepcopy(net)


@pytest.fixture(scope="session")
def steps():
    return json.loads((VECTORS / "steps.json").read_text())
