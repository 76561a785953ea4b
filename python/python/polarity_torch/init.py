"""A start for layers whose weights are all on one side of zero, so that they train at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polarity_torch import _memory, _names
from polarity_torch._holding import Signs, template_of
from polarity_torch.template import Layer

# The correlation of a layer's units that is kept from layer to layer: the paper's choice.
CORRELATION = 0.5


@torch.no_grad()
def init_one_sided(module: nn.Module, signs: Signs, *, generator: torch.Generator | None = None) -> list[str]:
    """Gives every layer whose weights are all held on one side magnitudes and a bias under which its outputs begin
    with mean 0 and variance 1, as those of an ordinary layer do: sums of positive numbers would else grow from layer
    to layer. Layers that are held on both sides, or free, are left as they are.

    For a layer of n ReLU inputs, of variance 1 and correlation ρ = ½ before the ReLU, weights are log-normal with
    mean μ and variance τ and the bias is −nμ/√2π (the signs of both turned for negative weights), where

        μ² = ρ · 2π / (n (π − n + (n − 1) (√(1 − ρ²) + ρ (π − arccos ρ))))     τ = 2 (1 − ρ) / n

    so that mean, variance and correlation of the outputs before their ReLU are those of the inputs, as long as these
    are near normal: at width 200 the variance after 1, 2, 3 and 5 layers is 0.8, 1.2, 1.6 and 20, since what all
    units share grows where it is positive and is cut off where it is not.

    Source: Hoedt and Klambauer, "Principled weight initialisation for input-convex neural networks", NeurIPS 2023;
    without its noise on the biases.

    Args:
        module: the network, with the biases of its layers beside their weights (`NAME.weight`, `NAME.bias`).
        signs: what will be held.
        generator: of the random magnitudes; PyTorch's own without it.

    Returns:
        The names of the weights that were set.

    Raises:
        KeyError: when `signs` names a parameter that the network lacks.
        ValueError: when such a layer has no bias, or one that is held on the other side.
    """
    named = _names.parameters(module)
    template = template_of(signs, module)
    layers = []
    for name, layer in template.layers.items():
        one_sided = layer.held == layer.weights and layer.positive in (0, layer.weights)
        if len(layer.shape) < 2 or not one_sided or layer.weights == 0:
            continue
        if name not in named:
            raise KeyError(f"{name}: in the template but not in the network, which has {_names.listed(named)}")
        _memory.must_be_writable(name, named[name])
        side = 1 if layer.positive else -1
        layers.append((name, named[name], _bias_of(name, named, template.layers, side), side))
    for _, weight, bias, side in layers:
        start = Start.of(weight[0].numel())
        weight.copy_(side * start.weights(weight, generator))
        bias.fill_(-side * start.shift)
    return [name for name, *_ in layers]


@dataclass(frozen=True)
class Start:
    """The law of a layer's weights, and what its bias is moved by."""

    #: Mean of the logarithm of a weight.
    log_mean: float
    #: Its standard deviation.
    log_deviation: float
    #: The mean of the weighted sum of the inputs.
    shift: float

    @classmethod
    def of(cls, inputs: int) -> Start:
        """For a layer of this many inputs."""
        rho = CORRELATION
        mixed = math.sqrt(1 - rho**2) + rho * (math.pi - math.acos(rho))
        mean_squared = rho * 2 * math.pi / (inputs * (math.pi - inputs + (inputs - 1) * mixed))
        variance = 2 * (1 - rho) / inputs
        log_variance = math.log1p(variance / mean_squared)
        log_mean = (math.log(mean_squared) - log_variance) / 2
        return cls(log_mean, math.sqrt(log_variance), inputs * math.sqrt(mean_squared / (2 * math.pi)))

    def weights(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Positive weights of this law."""
        normal = torch.empty(like.shape, dtype=torch.float32, device=like.device)
        return normal.normal_(self.log_mean, self.log_deviation, generator=generator).exp_()


def _bias_of(name: str, named: Mapping[str, Tensor], held: Mapping[str, Layer], side: int) -> Tensor:
    """The bias beside a weight, which may take any value."""
    bias_name = name.removesuffix("weight") + "bias" if name.endswith("weight") else ""
    bias = named.get(bias_name)
    if bias is None or bias.dim() != 1:
        raise ValueError(
            f"{name}: has no bias beside it, and sums of weights on one side of zero cannot begin around 0 without; "
            "give the layer one, or leave its weight out of the rules here"
        )
    layer = held.get(bias_name)
    wrong = 0 if layer is None else layer.positive if side > 0 else layer.held - layer.positive
    if wrong:
        need = "negative" if side > 0 else "positive"
        raise ValueError(
            f"{bias_name}: is held on the side of its weights and has to begin {need}, to bring their sums around 0; "
            "leave the bias free"
        )
    return bias
