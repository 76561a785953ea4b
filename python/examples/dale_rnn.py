"""A recurrent network under Dale's law reads handwritten digits row by row.

    polarity data fetch mnist
    python dale_rnn.py

A neuron excites all that it reaches or inhibits all: a column of a weight matrix, which is what one unit sends out,
has one sign. Four of five units are excitatory here, in the recurrent weights and in those that read the digit out.
"""

import argparse

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import images
from polarity_torch import FrozenAdam, dale


class Recurrent(nn.Module):
    """Firing rates h ← (1 − leak) h + leak · relu(rec h + input x), and a readout of the last."""

    def __init__(self, inputs: int, units: int, classes: int, leak: float = 0.5) -> None:
        super().__init__()
        self.input = nn.Linear(inputs, units)
        self.rec = nn.Linear(units, units, bias=False)
        self.readout = nn.Linear(units, classes)
        self.leak = leak

    def forward(self, rows: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, rows, columns]`."""
        rates = rows.new_zeros(len(rows), self.rec.in_features)
        for drive in self.input(rows).unbind(1):
            rates = rates + self.leak * (torch.relu(self.rec(rates) + drive) - rates)
        return self.readout(rates)


def main(words: list[str] | None = None) -> tuple[Recurrent, Tensor]:
    options = parse(words)
    torch.manual_seed(options.seed)
    net = Recurrent(28, options.units, 10)
    inhibitory = options.units // 5
    cells = torch.ones(options.units)
    cells[-inhibitory:] = -1

    rules = {"rec.weight": dale(cells), "readout.weight": dale(cells)}
    optimizer = FrozenAdam(net, lr=2e-3, signs=rules, seed=options.seed)  # flips what is on the wrong side
    balance(net, inhibitory)

    train(net, optimizer, options)
    print(f"{100 * error(net, options):.1f} % errors, {optimizer.counts().resets} weights put back on their side")
    for name in rules:
        weight = net.get_parameter(name)
        one_sign = ((weight * cells) >= 0).all(0)  # in plain PyTorch: is every column on its side?
        print(f"{name}: {int(one_sign.sum())} of {weight.shape[1]} columns have one sign")
    return net, cells


@torch.no_grad()
def balance(net: Recurrent, inhibitory: int) -> None:
    """Makes inhibition as strong as excitation, though fewer units inhibit, and the spectral radius of `rec` 1.

    The start decides how well such networks learn, more than the signs: Li and others, "Learning better with Dale's
    Law: A spectral perspective", NeurIPS 2023.
    """
    units = net.rec.in_features
    for weight in (net.rec.weight, net.readout.weight):
        weight[:, -inhibitory:] *= units / inhibitory - 1
    net.rec.weight /= torch.linalg.eigvals(net.rec.weight).abs().max()


def train(net: nn.Module, optimizer: torch.optim.Optimizer, options: argparse.Namespace) -> None:
    inputs, labels = images.load("mnist", "train", options.images, options.seed)
    for step in range(options.steps):
        batch = torch.randint(len(inputs), (100,))
        loss = cross_entropy(net(inputs[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}")


@torch.no_grad()
def error(net: nn.Module, options: argparse.Namespace) -> float:
    """The share of test images that the network gets wrong."""
    inputs, labels = images.load("mnist", "t10k", options.tested)
    return float((net(inputs).argmax(1) != labels).float().mean())


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60000, help="images to learn from")
    parser.add_argument("--tested", type=int, default=10000, help="images to test on")
    parser.add_argument("--steps", type=int, default=600, help="optimizer steps, of 100 images each")
    parser.add_argument("--units", type=int, default=100, help="recurrent units")
    parser.add_argument("--seed", type=int, default=0, help="of weights, images and resets")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
