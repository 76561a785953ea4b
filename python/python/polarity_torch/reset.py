"""What a weight becomes that is on the wrong side of zero after a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Union

from polarity_torch._backend import core

# The rule of all the paper's main results.
MAGNITUDE = 0.001


@dataclass(frozen=True)
class Reset:
    """A reset rule: `uniform` draws a magnitude from [0, `magnitude`), `constant` always takes it, `flip`
    keeps the weight's own, and `zero` is 0, from where the optimizer may move the weight again.

    Wherever a reset is asked for, its written form will do: `"uniform"` (below 0.001), `"zero"`,
    `"flip"`, `{"uniform": 0.01}` or `{"constant": 0.01}`.

    Source: the resets of Freeze-SGD in "Polarity Is All You Need to Learn and Transfer Faster" (ICML 2023).
    """

    rule: str = "uniform"
    magnitude: float | None = None

    def __post_init__(self) -> None:
        if self.rule == "uniform" and self.magnitude is None:
            object.__setattr__(self, "magnitude", MAGNITUDE)
        if self.rule == "constant" and self.magnitude is None:
            raise ValueError("reset: `constant` has no magnitude; give one: {'constant': 0.001}")
        if self.rule in ("zero", "flip") and self.magnitude is not None:
            raise ValueError(f"reset: `{self.rule}` takes no magnitude, got {self.magnitude!r}")
        _ = self.compiled  # refuses what is no rule, and magnitudes that are not finite and above 0

    @classmethod
    def of(cls, written: ResetLike) -> Reset:
        """The rule that `written` says.

        Raises:
            TypeError: when it is neither a word, nor a mapping, nor a rule.
            ValueError: when there is no such rule, or its magnitude is not finite and above 0 in float32.
        """
        if isinstance(written, Reset):
            return written
        if isinstance(written, str):
            return cls(written)
        if isinstance(written, Mapping) and len(written) == 1:
            ((rule, magnitude),) = written.items()
            if isinstance(magnitude, (int, float)) and not isinstance(magnitude, bool):
                return cls(rule, float(magnitude))
        raise TypeError(
            "reset: expected 'uniform', 'zero', 'flip', {'uniform': NUMBER} or {'constant': NUMBER}, "
            f"got {written!r}"
        )

    def written(self) -> Any:
        """The rule as plain data: a word, or a dict of one number."""
        return self.rule if self.magnitude is None else {self.rule: self.magnitude}

    @cached_property
    def compiled(self) -> core.Reset:
        """The rule as the compiled part has it."""
        return core.Reset(self.rule, 0.0 if self.magnitude is None else self.magnitude)

    def __getstate__(self) -> dict[str, Any]:
        return {"rule": self.rule, "magnitude": self.magnitude}


ResetLike = Union[Reset, str, Mapping[str, float]]
