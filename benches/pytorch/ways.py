"""The ways that are compared: PyTorch's optimizers alone and with a projection behind them, parametrizations,
EG_optimiser's SGD, and ours. Each is written as one writes it by hand, in the fastest form that was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils import parametrize

from polarity_torch import FrozenAdam, FrozenSGD, Template, hold
from training import RATE, Training

#: What all ratios are to.
BASE = "Adam, fused"

Held = list[tuple[Tensor, Tensor]]
Part = Callable[[], object]


@dataclass
class Way:
    """One way to step weights and keep their signs."""

    name: str
    #: The step, and what puts weights back on their side where that is a part of its own. Both are timed.
    step: Part | None
    project: Part | None = None
    #: What comes before, and is not timed.
    before: Part | None = None
    #: The weights whose signs it keeps, with these signs.
    held: Held | None = None
    #: How many weights were put back since this was last asked, where `step` does it.
    resets: Callable[[], int] | None = None

    def run(self) -> None:
        """What is timed."""
        if self.step is not None:
            self.step()
        if self.project is not None:
            self.project()


def in_a_loop(case: str) -> tuple[int, int, list[Way]]:
    """How many weights and tensors a case has, and every way to step them."""
    usual = Training.of(case, 0.01)
    ways = [
        *by_adam(usual, "fused", fused=True),
        *by_adam(usual, "foreach", foreach=True),
        *by_adam(usual, "single", foreach=False),
        non_negative(Training.of(case, 0.01, one_sided=True)),
        parametrized(usual, "abs", torch.abs, lambda magnitudes: magnitudes),
        parametrized(usual, "softplus", softplus, lambda magnitudes: magnitudes.expm1().log()),
        *by_sgd(usual),
        frozen_adam(usual, None),
        frozen_adam(Training.of(case, 0.0), 0),
        frozen_adam(usual, 1),
        frozen_adam(Training.of(case, 0.04), 4),
        hooked(usual),
        *projections_alone(usual),
    ]
    return usual.weights, len(usual.parameters), ways


def by_adam(training: Training, form: str, **flags: bool) -> Iterator[Way]:
    """A form of PyTorch's Adam: alone, and with each projection behind it."""
    for name, projection in {"": None, " + in place": in_place, " + where": where}.items():
        adam = training.taken_up_by(torch.optim.Adam(training.parameters, lr=RATE, **flags))
        if projection is None:
            yield Way(f"Adam, {form}", adam.step)
        else:
            yield Way(f"Adam, {form}{name}", adam.step, projection(training.held), held=training.held)


def in_place(held: Held) -> Part:
    """The fastest projection by PyTorch's operations that was found, which resets to zero: products and a clamp in
    place. For many small tensors the lists' forms save Python's time."""
    weights, signs = map(list, zip(*held))

    def project() -> None:
        torch._foreach_mul_(weights, signs)
        torch._foreach_clamp_min_(weights, 0.0)
        torch._foreach_mul_(weights, signs)

    return project


def where(held: Held) -> Part:
    """The projection as it is mostly written, with random resets."""

    def project() -> None:
        for weight, signs in held:
            weight.copy_(torch.where(weight * signs < 0, signs * torch.rand_like(weight) * RATE, weight))

    return project


def non_negative(training: Training) -> Way:
    """A clamp at zero, for weights that are all to be positive."""
    adam = training.taken_up_by(torch.optim.Adam(training.parameters, lr=RATE, fused=True))
    weights = [weight for weight, _ in training.held]
    return Way(
        "Adam, fused + clamp_min_(0)", adam.step, lambda: torch._foreach_clamp_min_(weights, 0.0), held=training.held
    )


class Signed(nn.Module):
    """Weights of given signs whose magnitudes are a function of free numbers."""

    def __init__(self, signs: Tensor, magnitudes: Callable[[Tensor], Tensor], inverse: Callable[[Tensor], Tensor]):
        super().__init__()
        self.register_buffer("signs", signs)
        self.magnitudes, self.inverse = magnitudes, inverse

    def forward(self, free: Tensor) -> Tensor:
        return self.signs * self.magnitudes(free)

    def right_inverse(self, weights: Tensor) -> Tensor:
        return self.inverse(weights.abs())


def parametrized(
    training: Training, name: str, magnitudes: Callable[[Tensor], Tensor], inverse: Callable[[Tensor], Tensor]
) -> Way:
    """Held weights by `torch.nn.utils.parametrize`: every step computes them, and leads the gradient back."""
    signs = {weight.data_ptr(): signs for weight, signs in training.held}
    layers, gradients, free = [], [], []
    for parameter, gradient in zip(training.parameters, training.gradients):
        layer = nn.Module()
        layer.weight = nn.Parameter(parameter.detach().clone())
        if parameter.data_ptr() in signs:
            signed = Signed(signs[parameter.data_ptr()], magnitudes, inverse)
            parametrize.register_parametrization(layer, "weight", signed)
            layers.append(layer)
            gradients.append(gradient)
        else:
            layer.weight.grad = gradient
        free += layer.parameters()
    originals = [layer.parametrizations.weight.original for layer in layers]
    adam = torch.optim.Adam(free, lr=RATE, fused=True)

    def step() -> None:
        for original in originals:
            original.grad = None
        with torch.enable_grad():
            torch.autograd.backward([layer.weight for layer in layers], gradients)
        adam.step()

    return Way(f"Adam, fused, parametrize {name}", step)


def by_sgd(training: Training) -> Iterator[Way]:
    """SGD without momentum: PyTorch's, EG_optimiser's with frozen signs, ours."""
    yield Way("SGD, fused", torch.optim.SGD(training.parameters, lr=RATE, fused=True).step)
    yield eg_optimiser(training)
    sgd = FrozenSGD(training.module, lr=RATE, signs=template(training), reset={"uniform": RATE})
    yield Way("ours: FrozenSGD, 1 % reset", sgd.step, held=training.held, resets=counter(sgd.counts))


def eg_optimiser(training: Training) -> Way:
    """SGD that freezes signs as the authors of "Brain-like learning with exponentiated gradients" write it (`sgd` in
    optim_eg/sgd_eg.py of github.com/linclab/EG_optimiser, with `freeze_gd_signs=True`): the sign is that which a weight
    has before the step, and a weight that lost it becomes ±1e-18. The weights are its own, since a step that holds
    nothing would give them other signs."""
    tiny = 1e-18
    signs_of = {weight.data_ptr(): signs for weight, signs in training.held}
    weights = [parameter.detach().clone() for parameter in training.parameters]
    is_held = [parameter.data_ptr() in signs_of for parameter in training.parameters]
    held = [
        (weight, signs_of[parameter.data_ptr()])
        for weight, parameter in zip(weights, training.parameters)
        if parameter.data_ptr() in signs_of
    ]

    def step() -> None:
        for weight, gradient, frozen in zip(weights, training.gradients, is_held):
            before = weight.sign() if frozen else None
            weight.add_(gradient, alpha=-RATE)
            if frozen:
                lost = before * weight < 0
                weight[lost] = tiny * before[lost]

    def resets() -> int:
        return sum(int((weight.abs() == tiny).sum()) for weight, _ in held)

    return Way("EG_optimiser's SGD, signs frozen", step, held=held, resets=resets)


def frozen_adam(training: Training, percent: int | None) -> Way:
    """Our Adam, which holds nothing, or everything at a training that resets so many percent."""
    signs = None if percent is None else template(training)
    adam = FrozenAdam(training.module, lr=RATE, signs=signs, reset={"uniform": RATE})
    training.taken_up_by(adam)
    if percent is None:
        return Way("ours: FrozenAdam, nothing held", adam.step)
    return Way(
        f"ours: FrozenAdam, {percent} % reset", adam.step, held=training.held, resets=counter(adam.counts)
    )


def hooked(training: Training) -> Way:
    """PyTorch's Adam with our projection as its hook."""
    adam = training.taken_up_by(torch.optim.Adam(training.parameters, lr=RATE, fused=True))
    handle = hold(adam, training.module, template(training), {"uniform": RATE})
    return Way("ours: Adam, fused + hold()", adam.step, held=training.held, resets=counter(handle.counts))


class Still(torch.optim.Optimizer):
    """An optimizer that does nothing, so that its hooks are all that a step takes."""

    def __init__(self, params: list[nn.Parameter]) -> None:
        super().__init__(params, {})

    def step(self, closure: None = None) -> None:
        """Leaves everything as it is."""


def projections_alone(training: Training) -> Iterator[Way]:
    """What is left of the ways with a projection behind them when only that is timed."""
    adam = training.taken_up_by(torch.optim.Adam(training.parameters, lr=RATE, fused=True))
    still = Still(training.parameters)
    hold(still, training.module, template(training), {"uniform": RATE})
    parts = {
        "projection alone, in place": in_place(training.held),
        "projection alone, where": where(training.held),
        "ours: projection alone, hold()": still.step,
    }
    for name, project in parts.items():
        yield Way(name, None, project, before=adam.step, held=training.held)


def template(training: Training) -> Template:
    """The signs that a training's held weights are to keep."""
    names = {parameter.data_ptr(): name for name, parameter in training.module.named_parameters()}
    signs = {names[weight.data_ptr()]: signs for weight, signs in training.held}
    return Template.from_signs(signs, "the benchmark")


def counter(counts: Callable[[], object]) -> Callable[[], int]:
    """How many resets were counted since it was last asked."""
    before = 0

    def since() -> int:
        nonlocal before
        now = counts().resets
        before, new = now, now - before
        return new

    return since
