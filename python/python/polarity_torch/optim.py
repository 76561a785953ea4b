"""Adam, AdamW, SGD and exponentiated gradient that hold signs: the projection in the optimizer's own pass.

They take PyTorch's arguments and keep PyTorch's state under its names, so that either's state dict loads into the
other. What `signs` leaves free trains as ever; with no signs at all they are PyTorch's plain optimizers. Weights of
float32 on the CPU are stepped and projected by one pass over the memory, all others by PyTorch's operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from polarity_torch import _steps
from polarity_torch._frozen import FrozenOptimizer, Params, Work
from polarity_torch._holding import Signs
from polarity_torch.reset import ResetLike


class FrozenAdam(FrozenOptimizer):
    """Adam that holds signs; `decoupled_weight_decay` makes it AdamW.

    >>> net = nn.Linear(3, 2)
    >>> optimizer = FrozenAdam(net, lr=1e-3, signs={"weight": "positive"})
    >>> net(torch.ones(1, 3)).sum().backward()
    >>> optimizer.step()
    >>> bool((net.weight >= 0).all())
    True

    `params`, `signs`, `module`, `reset` and `seed` are those of `FrozenOptimizer`; lr, betas, eps, weight_decay,
    maximize and decoupled_weight_decay are PyTorch's. foreach and fused, which choose between ways to compute the
    same in PyTorch, are taken and change nothing. amsgrad, capturable and differentiable are refused.

    Source: Kingma and Ba 2015, Loshchilov and Hutter 2019, in PyTorch's form; the scalars are computed in double
    precision and rounded once.
    """

    KERNEL = "adam"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        signs: Signs | None = None,
        module: nn.Module | None = None,
        reset: ResetLike = "uniform",
        seed: int = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, signs, module, reset, seed)

    def _must_be_in_range(self, group: Mapping[str, Any]) -> None:
        at_least_zero("lr", group["lr"])
        for number, beta in enumerate(group["betas"]):
            share(f"betas[{number}]", beta)
        at_least_zero("eps", group["eps"])
        at_least_zero("weight_decay", group["weight_decay"])

    def _buffers(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        return "exp_avg", "exp_avg_sq"

    def _scalars(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        beta1, beta2 = group["betas"]
        decay, decoupled = group["weight_decay"], group["decoupled_weight_decay"]
        return float(group["lr"]), float(beta1), float(beta2), group["eps"], decay, decoupled

    def _row(self, work: Work, addresses: list[int], weights: int) -> tuple[Any, ...]:
        return (*addresses, weights, work.step, work.signs())

    def _operations(self, works: list[Work], gradients: list[Tensor], group: Mapping[str, Any]) -> None:
        weights, signs = [work.parameter for work in works], self._multiplied_signs(works)
        state = {name: [work.buffers[name] for work in works] for name in self._buffers(group)}
        _steps.adam(weights, gradients, state, [work.step for work in works], group, signs)


class FrozenAdamW(FrozenAdam):
    """AdamW that holds signs: `FrozenAdam` whose weight decay, 0.01 unless given, is decoupled."""

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        signs: Signs | None = None,
        module: nn.Module | None = None,
        reset: ResetLike = "uniform",
        seed: int = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            signs=signs,
            module=module,
            reset=reset,
            seed=seed,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A state of Adam says that it is not.
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


class FrozenSGD(FrozenOptimizer):
    """Stochastic gradient descent that holds signs.

    `params`, `signs`, `module`, `reset` and `seed` are those of `FrozenOptimizer`; lr, momentum, dampening,
    weight_decay, nesterov and maximize are PyTorch's. foreach and fused are taken and change nothing; differentiable
    is refused. The state has a `step` beside PyTorch's `momentum_buffer`, which the random resets depend on.

    Source: PyTorch's form; Nesterov's momentum after Sutskever and others, 2013.
    """

    KERNEL = "sgd"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        signs: Signs | None = None,
        module: nn.Module | None = None,
        reset: ResetLike = "uniform",
        seed: int = 0,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults, signs, module, reset, seed)

    def _must_be_in_range(self, group: Mapping[str, Any]) -> None:
        at_least_zero("lr", group["lr"])
        at_least_zero("momentum", group["momentum"])
        at_least_zero("weight_decay", group["weight_decay"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "nesterov: expected False, or a momentum above 0 and a dampening of 0 beside it, got momentum "
                f"{group['momentum']} and dampening {group['dampening']}"
            )

    def _buffers(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def _scalars(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        decay, momentum = group["weight_decay"], group["momentum"]
        return float(group["lr"]), decay, momentum, group["dampening"], group["nesterov"]

    def _row(self, work: Work, addresses: list[int], weights: int) -> tuple[Any, ...]:
        momentum = (addresses[2], work.new) if len(addresses) > 2 else None
        return addresses[0], addresses[1], momentum, weights, work.signs()

    def _operations(self, works: list[Work], gradients: list[Tensor], group: Mapping[str, Any]) -> None:
        weights, signs = [work.parameter for work in works], self._multiplied_signs(works)
        buffers = [buffer for work in works for buffer in work.buffers.values()]
        _steps.sgd(weights, gradients, buffers, [work.new for work in works], group, signs)


class EG(FrozenSGD):
    """Exponentiated gradient: a step multiplies a held weight by e to the −lr · sign · direction, so that it keeps its
    sign by itself; the direction is SGD's, with its momentum. The learning rate is relative: a step changes a weight
    by about lr · gradient *times the weight*.

    Free weights take SGD's plain step. A held weight that would come under 1e-8 stays there, on its side, so that it
    can grow again; the exponent is kept within ±80; weight decay takes the same share off every held weight.

    Source: Kivinen and Warmuth 1997; Cornford and others, "Brain-like learning with exponentiated gradients", 2024.
    What they leave open is decided in `kernel::eg` of `polarity-core`.
    """

    KERNEL = "eg"
    MULTIPLIES = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 0.1,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        **others: Any,
    ) -> None:
        super().__init__(params, lr, momentum, dampening, weight_decay, nesterov, **others)


class EGAdamW(FrozenAdamW):
    """Exponentiated gradient along AdamW's quotient of moments: as `EG`, with a step that changes a held weight by
    about lr times the weight. Free weights take AdamW's plain step."""

    KERNEL = "eg_adam"
    MULTIPLIES = True


def at_least_zero(name: str, value: float | Tensor) -> None:
    """Refuses what is below 0, or no number."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"{name}: expected one number, got a tensor of shape {tuple(value.shape)}")
    if not float(value) >= 0:
        raise ValueError(f"{name}: expected a number of at least 0, got {value}")


def share(name: str, value: float | Tensor) -> None:
    """Refuses what is not in [0, 1)."""
    if not 0 <= float(value) < 1:
        raise ValueError(f"{name}: expected a number in [0, 1), got {value}")
