"""The compiled part again in Python, for where it cannot be loaded: the same names, the same results, slowly.

It has no kernels: steps and projections go by PyTorch's operations. Each part is a twin of a Rust file, tested against
the same vectors: `stream` of `random.rs`, `template` of `sign/template.rs`, `file` of `sign/file/`, `rules` of
`sign/rule/`.
"""

import math

from polarity_torch._draws import number
from polarity_torch._fallback.rules import Rules, matching
from polarity_torch._fallback.template import Signs, Template, builtin

__all__ = ["Refused", "Reset", "Rules", "Signs", "Template", "builtin", "matching", "number"]


class Refused(ValueError):
    """Memory that cannot be worked on; nobody raises it where there are no kernels."""


class Reset:
    """What replaces a violator."""

    def __init__(self, rule: str, magnitude: float) -> None:
        if rule not in ("uniform", "constant", "zero", "flip"):
            raise ValueError(f"reset: expected `uniform`, `constant`, `zero` or `flip`, got `{rule}`")
        if rule in ("uniform", "constant") and not (0 < magnitude < math.inf):
            got = int(magnitude) if math.isfinite(magnitude) and magnitude == int(magnitude) else magnitude
            raise ValueError(f"reset: {rule}: expected a finite number above 0, got `{got}`")
