"""What optimizers step: weights, the signs that they are to keep, and gradients that make a given share of them leave
their side in every step.

The optimizers that are compared take turns at one and the same training: the same weights, gradients and moments.
Every weight moves by about RATE in a step. A given share of the held weights is smaller than that, and its gradient
pushes it over zero; what a way puts back is smaller again, so that it leaves at the next step too. All others are
pushed away from zero. So the share does not depend on who steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# The learning rate, and the largest magnitude of a weight that was put back.
RATE = 1e-5

Shape = tuple[int, ...]


def alexnet(hidden: int, classes: int) -> list[Shape]:
    """The shapes of an AlexNet's tensors, as in torchvision but for the width of its two hidden layers."""
    convolutions = [(64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3)]
    linear = [(hidden, 9216), (hidden, hidden), (classes, hidden)]
    return [shape for weight in convolutions + linear for shape in (weight, weight[:1])]


def resnet18(classes: int = 1000) -> list[Shape]:
    """The shapes of a ResNet-18's 62 tensors, as in torchvision."""
    convolutions, inputs = [(64, 3, 7, 7)], 64
    for outputs in (64, 128, 256, 512):
        convolutions += [(outputs, inputs, 3, 3), *[(outputs, outputs, 3, 3)] * 3]
        if outputs != inputs:
            convolutions.append((outputs, inputs, 1, 1))
        inputs = outputs
    normalised = [shape for weight in convolutions for shape in (weight, weight[:1], weight[:1])]
    return [*normalised, (classes, 512), (classes,)]


#: The shapes of each case by its name. The first is `alexnet-mini` of the Rust program with 13 hidden units.
SHAPES: dict[str, list[Shape]] = {
    "60k": [(32, 1, 5, 5), (32,), (64, 32, 3, 3), (64,), (13, 3136), (13,), (10, 13), (10,)],
    "3.8M": alexnet(hidden=144, classes=10),
    "61M": alexnet(hidden=4096, classes=1000),
    "resnet18": resnet18(),
    "tiny": [(8, 8)] * 62,
}


class Training:
    """Weights under way, which any number of optimizers step in turn."""

    def __init__(self, parameters: list[nn.Parameter], share: float, *, one_sided: bool = False) -> None:
        """Gives the parameters their first values and gradients. In each step a `share` of the weights leaves its
        side; `one_sided` weights are all positive."""
        self.parameters = parameters
        self.module = nn.ParameterList(parameters)
        self.held: list[tuple[Tensor, Tensor]] = []
        self.gradients: list[Tensor] = []
        self._generator = torch.Generator().manual_seed(1)
        for parameter in parameters:
            self._start(parameter, share, one_sided)
            parameter.grad = self.gradients[-1]
        #: Adam's state of each parameter, under PyTorch's names.
        self.moments = [
            {"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
            for p in parameters
        ]

    @classmethod
    def of(cls, case: str, share: float, *, one_sided: bool = False) -> Training:
        """A training of the tensors of a case."""
        return cls([nn.Parameter(torch.empty(shape)) for shape in SHAPES[case]], share, one_sided=one_sided)

    @torch.no_grad()
    def _start(self, parameter: nn.Parameter, share: float, one_sided: bool) -> None:
        coins, chances, sizes, slopes = torch.rand(4, *parameter.shape, generator=self._generator)
        is_held = parameter.dim() > 1
        signs = torch.where(coins < (1.0 if one_sided else 0.5), 1.0, -1.0)
        leaves = chances < (share if is_held else 0.0)
        bound = torch.where(leaves, RATE, parameter[0].numel() ** -0.5)
        parameter.copy_(signs * bound * (1 - sizes))
        self.gradients.append(torch.where(leaves, signs, -signs) * (1 + slopes))
        if is_held:
            self.held.append((parameter.detach(), signs))

    def push(self) -> None:
        """Puts the gradients in place of those that a backward pass left."""
        for parameter, gradient in zip(self.parameters, self.gradients):
            parameter.grad.copy_(gradient)

    def taken_up_by(self, adam: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Gives an Adam the moments that all share."""
        for parameter, moments in zip(self.parameters, self.moments):
            adam.state[parameter] = moments
        return adam

    @property
    def weights(self) -> int:
        """How many weights there are, biases included."""
        return sum(parameter.numel() for parameter in self.parameters)


def violators(held: list[tuple[Tensor, Tensor]]) -> float:
    """The share of weights that are on the other side of zero than their signs."""
    wrong = sum(int((weights * signs < 0).sum()) for weights, signs in held)
    return wrong / sum(weights.numel() for weights, _ in held)
