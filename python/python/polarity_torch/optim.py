"""Adam, AdamW, SGD and exponentiated gradient that hold signs: the projection in the optimizer's own pass.

They take PyTorch's arguments and keep PyTorch's state under its names, so that either's state dict loads into the
other. What `signs` leaves free trains as ever; with no signs at all they are PyTorch's plain optimizers. float32 weights
on the CPU are stepped and projected by one pass over the memory, all others by PyTorch's operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union

import torch
from torch import Tensor, nn

from polarity_torch import _memory, _names, _operations
from polarity_torch._backend import COMPILED, core
from polarity_torch._holding import KEY, Counts, Held, Holding, Signs, call, increment_versions
from polarity_torch.reset import ResetLike

Params = Union[nn.Module, Iterable[Tensor], Iterable[tuple[str, Tensor]], Iterable[dict[str, Any]]]


class FrozenOptimizer(torch.optim.Optimizer):
    """What the optimizers that hold signs share; make one of `FrozenAdam`, `FrozenAdamW`, `FrozenSGD`.

    Args:
        params: what to train: a module, its parameters, named parameters, or groups of them as PyTorch has them.
        signs: which signs to hold: a `Template`, the name or path of one, or a dict of rules. Weights that are on
            the wrong side now are flipped, with the magnitude they have.
        module: the network, where `params` are its parameters without names.
        reset: what replaces a weight that left its side: `"uniform"` (below 0.001), `"zero"`, `"flip"`,
            `{"uniform": NUMBER}` or `{"constant": NUMBER}`.
        seed: of the random resets, which depend on it, the step, the parameter's name and the weight's index, and
            on nothing else: not on threads, devices or ranks.

    Raises:
        TypeError: when parameters that are to be held have no names, or are of a kind that cannot be held.
        KeyError: when `signs` names a parameter that the network lacks, or a pattern matches none.
        ValueError: when a shape, a number or a flag is wrong; when a held parameter is in no group.
    """

    #: The kernel of the rule.
    KERNEL: str
    #: Whether its steps are multiplied into held weights.
    MULTIPLIES = False

    def __init__(
        self,
        params: Params,
        defaults: dict[str, Any],
        signs: Signs | None,
        module: nn.Module | None,
        reset: ResetLike,
        seed: int,
    ) -> None:
        if isinstance(params, nn.Module):
            module, params = params, params.parameters()
        if isinstance(params, Tensor):
            raise TypeError("params: expected a module or an iterable of parameters, got one Tensor; put it in a list")
        groups = [dict(group) if isinstance(group, dict) else group for group in params]
        self._holding = Holding({} if module is None else _names.parameters(module), reset, seed)
        self._started = False
        super().__init__(groups, defaults)
        if signs is not None:
            if not self._holding.names:
                raise TypeError(
                    "signs: parameters have names in a template, and these have none; give the module itself as "
                    "`params`, or `module=…` beside them, or `module.named_parameters()`"
                )
            self._holding.take(signs, module)
            self._start(self._owned())
        self._started = True

    # Groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group as PyTorch does; parameters may be named, as `(name, parameter)`. Signs that were given for
        them hold from now on.

        Raises:
            TypeError, ValueError: for what is no parameter, or a hyperparameter out of its range.
        """
        group = dict(param_group)
        group["params"] = self._named(group["params"])
        super().add_param_group(group)
        self._must_be_legal(self.param_groups[-1])
        if self._started:
            self._start(self.param_groups[-1]["params"])

    def _named(self, params: Any) -> Any:
        """Takes the names off named parameters, and notes them."""
        if isinstance(params, Tensor):
            return [params]
        if isinstance(params, set):
            return params  # PyTorch refuses it, and says why
        plain = []
        for entry in params:
            if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
                name, entry = _names.plain(entry[0]), entry[1]
                self._holding.name(name, entry)
            plain.append(entry)
        return plain

    def _owned(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _start(self, new: Iterable[Tensor]) -> None:
        self._holding.must_be_owned(self._owned(), "add it to a parameter group")
        self._holding.flip_violators(new)

    # Hyperparameters

    def _must_be_legal(self, group: Mapping[str, Any]) -> None:
        """Refuses hyperparameters out of their range, and flags that are not built, by name."""
        self._must_be_in_range(group)
        for flag in ("amsgrad", "capturable", "differentiable"):
            if group.get(flag):
                raise ValueError(
                    f"{flag}: expected False, got {group[flag]!r}; {type(self).__name__} does not have it: use "
                    "torch's own optimizer and `polarity_torch.hold` beside it"
                )

    def _must_be_in_range(self, group: Mapping[str, Any]) -> None:
        raise NotImplementedError

    # Steps

    @torch._disable_dynamo
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step from the gradients as they are, then the projection. A parameter without a gradient stays as
        it is.

        Args:
            closure: computes the loss again, and its gradients.

        Returns:
            What `closure` returned.

        Raises:
            TypeError: for a sparse gradient; the message names the parameter.
            ValueError: when a parameter, gradient or state changed its shape, or shares memory with another.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        plan = Plan()
        for number, group in enumerate(self.param_groups):
            plan.open_group()
            for place, parameter in enumerate(group["params"]):
                if parameter.grad is not None:
                    self._plan(plan, parameter, group, f"parameter {place} of group {number}")
            plan.close_group(self._scalars(group))
        self._run(plan)
        return loss

    def _plan(self, plan: Plan, parameter: Tensor, group: dict[str, Any], place: str) -> None:
        """Prepares the step of one parameter for the kernel, or for PyTorch's operations."""
        gradient = parameter.grad
        name = self._holding.name_of(parameter, place)
        _memory.must_be_writable(name, parameter)
        if gradient.layout is not torch.strided:
            raise TypeError(
                f"{name}: has a sparse gradient; {type(self).__name__} takes dense ones: `sparse=False` of the "
                "embedding, or torch.optim.SparseAdam and `polarity_torch.hold` beside it"
            )
        if gradient.shape != parameter.shape:
            raise ValueError(
                f"{name}: has shape {tuple(parameter.shape)}, its gradient {tuple(gradient.shape)}; call zero_grad() "
                "after changing a parameter"
            )
        if parameter.numel() == 0:
            return
        work = Work(name, parameter, -gradient if group["maximize"] else gradient, group)
        work.state = self.state.get(parameter, {})
        work.step = int(work.state.get("step", 0)) + 1
        work.held = self._holding.of(parameter)
        for buffer in self._buffers(group):
            work.take_buffer(buffer)
        if COMPILED and all(map(_memory.is_raw, (parameter, *work.buffers.values()))):
            plan.by_kernel(work, self._row(plan, work))
        else:
            plan.by_operations(work)

    def _buffers(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """What the rule keeps for each weight, in PyTorch's words."""
        raise NotImplementedError

    def _row(self, plan: Plan, work: Work) -> tuple[Any, ...]:
        """What the kernel needs of one parameter."""
        raise NotImplementedError

    def _scalars(self, group: Mapping[str, Any]) -> tuple[Any, ...]:
        """What the kernel needs of one group."""
        raise NotImplementedError

    def _operations(self, work: Work) -> None:
        """The step of one parameter by PyTorch's operations."""
        raise NotImplementedError

    def _run(self, plan: Plan) -> None:
        holding = self._holding
        if plan.rows:
            names = [work.name for work in plan.raw]
            kernel = getattr(core, self.KERNEL)
            done = call(kernel, plan.groups, holding.reset, holding.seed, names)
            for work, (resets, flips) in zip(plan.raw, done):
                self._finish(work, resets, flips)
            increment_versions([work.parameter for work in plan.raw])
        for work in plan.others:
            if work.held is None:
                self._operations(work)
                self._finish(work, 0, 0)
                continue
            before = work.parameter.clone()
            self._operations(work)
            signs, number = work.held.tensor(), work.held.number
            resets = _operations.project(
                work.parameter, signs, holding.reset, holding.seed, work.step, number
            )
            self._finish(work, resets, _operations.sign_flips(before, work.parameter))

    def _finish(self, work: Work, resets: int, sign_flips: int) -> None:
        """Notes that a parameter's step is done; one that is refused leaves no trace."""
        if not work.state:
            work.state = self.state[work.parameter]
        work.state.update(work.buffers)
        if "step" in work.state:
            work.state["step"] += 1.0
        else:
            work.state["step"] = torch.tensor(1.0, dtype=torch.float32)
        if work.held is not None:
            work.held.resets += resets
            work.held.sign_flips += sign_flips

    # What is held

    def release(self) -> None:
        """Lets every held sign go: from the next step on this is the plain optimizer."""
        self._holding.released = True

    def violations(self) -> int:
        """How many held weights are on the wrong side of zero now: none, after a step."""
        return self._holding.violations()

    def counts(self) -> Counts:
        """What the steps so far did to all held parameters."""
        return self._holding.counts()

    def counts_by_parameter(self) -> dict[str, Counts]:
        """`counts` of each held parameter, by its name."""
        return self._holding.counts_by_parameter()

    # Copies and checkpoints

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's, and under `"polarity"`, where signs are held, their digests and the counts, as plain data."""
        state = super().state_dict()
        if self._holding.held:
            state[KEY] = self._holding.state()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up a state of this optimizer or of PyTorch's: the next step is the one that would have come next.

        Raises:
            ValueError: when it held other signs; the message names the first parameter that differs.
        """
        saved = state_dict.get(KEY)
        if saved is not None:
            self._holding.must_fit(saved)
        super().load_state_dict(state_dict)
        if saved is not None:
            self._holding.load(saved)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_holding": self._holding, "_started": self._started}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)
            self._must_be_legal(group)
            for parameter in group["params"]:
                kept = self.state.get(parameter)
                if kept and "step" in kept:
                    # PyTorch's fused optimizers keep it on the device.
                    kept["step"] = torch.as_tensor(kept["step"], dtype=torch.float32, device="cpu")


class Work:
    """One parameter in one step."""

    __slots__ = ("buffers", "gradient", "group", "held", "name", "new", "parameter", "state", "step")

    def __init__(self, name: str, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        self.name = name
        self.parameter = parameter
        self.gradient = gradient
        self.group = group
        self.state: dict[str, Any] = {}
        self.step = 0
        self.held: Held | None = None
        #: What the rule keeps for the weights, lying as they do.
        self.buffers: dict[str, Tensor] = {}
        #: Whether it was made just now.
        self.new = False

    def take_buffer(self, buffer: str) -> None:
        """Takes a buffer of the state, or makes it; the state has it once the step is done.

        Raises:
            ValueError: when it has another shape than the weights.
        """
        tensor, parameter = self.state.get(buffer), self.parameter
        if tensor is None:
            tensor = torch.zeros_like(parameter, memory_format=torch.preserve_format, requires_grad=False)
            self.new = True
        elif tensor.shape != parameter.shape:
            raise ValueError(
                f"{self.name}: has shape {tuple(parameter.shape)}, its {buffer} {tuple(tensor.shape)}; load the state "
                "of a network of that shape, or make the optimizer again"
            )
        elif not _memory.same_places(tensor, parameter) or tensor.device != parameter.device:
            tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
        self.buffers[buffer] = tensor

    def signs(self) -> tuple[core.Signs, int, int] | None:
        """What the kernel needs to hold it."""
        return None if self.held is None else (self.held.laid_out(), self.held.number, self.step)

    def multiplied_by(self, multiplies: bool) -> Tensor | None:
        """The signs that a step is multiplied by, where there are such and the rule does so."""
        return self.held.tensor() if multiplies and self.held is not None else None


class Plan:
    """One step: rows for the kernel by groups, and what goes by PyTorch's operations."""

    def __init__(self) -> None:
        self.groups: list[tuple[Any, ...]] = []
        self.rows: list[tuple[Any, ...]] = []
        self.raw: list[Work] = []
        self.others: list[Work] = []
        self.slices = _memory.Slices()
        #: Gradients that were copied for the kernel.
        self.copies: list[Tensor] = []

    def open_group(self) -> None:
        self._begin = len(self.rows)

    def close_group(self, scalars: tuple[Any, ...]) -> None:
        rows = self.rows[self._begin :]
        if rows:
            self.groups.append((*scalars, rows))

    def by_kernel(self, work: Work, row: tuple[Any, ...]) -> None:
        self.raw.append(work)
        self.rows.append(row)

    def by_operations(self, work: Work) -> None:
        self.others.append(work)

    def address(self, work: Work, what: str, tensor: Tensor) -> int:
        """Where a tensor of the parameter's shape begins."""
        return self.slices.address(f"{work.name}: {what}", tensor, work.parameter.numel())

    def gradient(self, work: Work) -> int:
        """Where the gradient begins, copied to lie as the weights do where it does not."""
        gradient, parameter = work.gradient, work.parameter
        if not (_memory.is_raw(gradient) and _memory.same_places(gradient, parameter)):
            gradient = torch.empty_like(parameter).copy_(gradient)
            self.copies.append(gradient)
        return self.address(work, "gradient", gradient)


class FrozenAdam(FrozenOptimizer):
    __doc__ = f"""Adam that holds signs; `decoupled_weight_decay` makes it AdamW.

    >>> net = nn.Linear(3, 2)
    >>> optimizer = FrozenAdam(net, lr=1e-3, signs={{"weight": "positive"}})
    >>> net(torch.ones(1, 3)).sum().backward()
    >>> optimizer.step()
    >>> bool((net.weight >= 0).all())
    True

    lr, betas, eps, weight_decay, maximize and decoupled_weight_decay are PyTorch's. foreach and fused, which choose
    between ways to compute the same in PyTorch, are taken and change nothing. amsgrad, capturable and
    differentiable are refused.

    Source: Kingma and Ba 2015, Loshchilov and Hutter 2019, in PyTorch's form; the scalars are computed in double
    precision and rounded once.

    {FrozenOptimizer.__doc__.split(chr(10), 2)[2].strip()}
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

    def _row(self, plan: Plan, work: Work) -> tuple[Any, ...]:
        return (
            plan.address(work, "weights", work.parameter),
            plan.gradient(work),
            plan.address(work, "exp_avg", work.buffers["exp_avg"]),
            plan.address(work, "exp_avg_sq", work.buffers["exp_avg_sq"]),
            work.parameter.numel(),
            work.step,
            work.signs(),
        )

    def _operations(self, work: Work) -> None:
        signs = work.multiplied_by(self.MULTIPLIES)
        _operations.adam(work.parameter, work.gradient, work.buffers, work.step, work.group, signs)


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


class FrozenSGD(FrozenOptimizer):
    __doc__ = f"""Stochastic gradient descent that holds signs.

    lr, momentum, dampening, weight_decay, nesterov and maximize are PyTorch's. foreach and fused are taken and
    change nothing; differentiable is refused. The state has a `step` beside PyTorch's `momentum_buffer`, which the
    random resets depend on.

    Source: PyTorch's form; Nesterov's momentum after Sutskever and others, 2013.

    {FrozenOptimizer.__doc__.split(chr(10), 2)[2].strip()}
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

    def _row(self, plan: Plan, work: Work) -> tuple[Any, ...]:
        buffer = work.buffers.get("momentum_buffer")
        return (
            plan.address(work, "weights", work.parameter),
            plan.gradient(work),
            None if buffer is None else (plan.address(work, "momentum_buffer", buffer), work.new),
            work.parameter.numel(),
            work.signs(),
        )

    def _operations(self, work: Work) -> None:
        signs = work.multiplied_by(self.MULTIPLIES)
        _operations.sgd(work.parameter, work.gradient, work.buffers, work.new, work.group, signs)


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
