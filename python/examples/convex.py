"""An input-convex network learns a convex function from noisy values of it, and its convexity is checked on chords.

    python convex.py

Sums with weights that are not negative, and ReLU, keep a function convex: so the weights between layers are held
positive, and those from the input are free (Amos, Xu and Kolter, "Input convex neural networks", ICML 2017). The same
network with every weight free comes to fit the noise: it is not convex, and in the end errs more.
"""

import argparse
import copy

import torch
from torch import Tensor, nn

from polarity_torch import FrozenAdam, init_one_sided, positive

INPUTS = 4


class Convex(nn.Module):
    """Convex in its input `[batch, inputs]` where the weights of `hidden` and `out` are not negative."""

    def __init__(self, inputs: int, units: int = 64) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, units)
        self.hidden, self.skip = nn.Linear(units, units), nn.Linear(inputs, units, bias=False)
        self.out, self.skip_out = nn.Linear(units, 1), nn.Linear(inputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        units = torch.relu(self.first(x))
        units = torch.relu(self.hidden(units) + self.skip(x))
        return (self.out(units) + self.skip_out(x)).squeeze(1)


def main(words: list[str] | None = None) -> dict[str, Convex]:
    options = parse(words)
    trained = {}
    for arm, rules in {"held": {"hidden.weight": positive, "out.weight": positive}, "free": {}}.items():
        torch.manual_seed(options.seed)
        net = Convex(INPUTS)
        if rules:
            init_one_sided(net, rules)
        fit(net, FrozenAdam(net, lr=3e-3, signs=rules or None), options)
        share, worst = above_chords(net, options.chords)
        print(f"{arm}: error {test_error(net):.3f}; above {100 * share:.1f} % of the chords, by {worst:.3f} at most")
        trained[arm] = net
    return trained


def target(x: Tensor) -> Tensor:
    """What is to be learned: convex, with kinks."""
    return x.abs().amax(1) + 0.25 * x.square().sum(1)


def fit(net: nn.Module, optimizer: torch.optim.Optimizer, options: argparse.Namespace) -> None:
    x = torch.randn(options.points, INPUTS)
    noisy = target(x) + 0.5 * torch.randn(len(x))
    for _ in range(options.steps):
        batch = torch.randint(len(x), (50,))
        optimizer.zero_grad()
        (net(x[batch]) - noisy[batch]).square().mean().backward()
        optimizer.step()


@torch.no_grad()
def test_error(net: nn.Module) -> float:
    """The root mean square of the error on points without noise."""
    x = torch.randn(10000, INPUTS)
    return float((net(x) - target(x)).square().mean().sqrt())


@torch.no_grad()
def above_chords(net: nn.Module, chords: int) -> tuple[float, float]:
    """How often f(ta + (1−t)b) > t f(a) + (1−t) f(b) for random a, b and t, and by how much at most.

    In double precision, where rounding errors are far below 1e-12.
    """
    a, b = (2 * torch.randn(chords, INPUTS, dtype=torch.float64) for _ in "ab")
    t = torch.rand(chords, 1, dtype=torch.float64)
    f = copy.deepcopy(net).double()
    above = f(t * a + (1 - t) * b) - (t.squeeze(1) * f(a) + (1 - t.squeeze(1)) * f(b))
    return float((above > 1e-12).double().mean()), max(float(above.max()), 0.0)


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=500, help="noisy values to learn from")
    parser.add_argument("--steps", type=int, default=3000, help="optimizer steps, of 50 points each")
    parser.add_argument("--chords", type=int, default=100000, help="chords to check")
    parser.add_argument("--seed", type=int, default=0, help="of weights and points")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
