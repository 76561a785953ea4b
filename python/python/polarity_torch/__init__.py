"""Train networks whose weights keep their sign, and transfer only the signs, in PyTorch.

    from polarity_torch import FrozenAdam, positive

    optimizer = FrozenAdam(net, lr=1e-3, signs={"*.weight": positive})

Every name is documented where it is defined: templates (`Template`), rules (`apply_rules`, `dale`, `edges`),
optimizers that hold signs (`FrozenAdam`, `FrozenAdamW`, `FrozenSGD`, `EG`, `EGAdamW`), any other optimizer (`hold`),
the start of a run (`transfer_signs`, `init_one_sided`) and the check of one (`check`, `assert_held`).
"""

from polarity_torch._backend import COMPILED
from polarity_torch._frozen import FrozenOptimizer
from polarity_torch._holding import Counts
from polarity_torch.check import CheckReport, Violation, assert_held, check
from polarity_torch.hold import Hold, hold
from polarity_torch.init import init_one_sided
from polarity_torch.optim import EG, EGAdamW, FrozenAdam, FrozenAdamW, FrozenSGD
from polarity_torch.reset import Reset
from polarity_torch.rules import Ruled, RuleReport, apply_rules, dale, edges, free, negative, own, positive
from polarity_torch.template import Agreement, Layer, Template, builtin_templates
from polarity_torch.transfer import Taken, TransferReport, transfer_signs

__all__ = [
    "COMPILED",
    "EG",
    "Agreement",
    "CheckReport",
    "Counts",
    "EGAdamW",
    "FrozenAdam",
    "FrozenAdamW",
    "FrozenOptimizer",
    "FrozenSGD",
    "Hold",
    "Layer",
    "Reset",
    "RuleReport",
    "Ruled",
    "Taken",
    "Template",
    "TransferReport",
    "Violation",
    "apply_rules",
    "assert_held",
    "builtin_templates",
    "check",
    "dale",
    "edges",
    "free",
    "hold",
    "init_one_sided",
    "negative",
    "own",
    "positive",
    "transfer_signs",
]
