"""The compiled part where it is there, else the same in Python: one name for both.

`core` has `Template`, `Signs`, `Rules`, `Reset`, `number`, `matching` and `builtin` either way; the
kernels `adam`, `sgd` and `project` only where `COMPILED`.
"""

import warnings

try:
    from polarity_torch import _core as core

    COMPILED = True
except ImportError as error:
    from polarity_torch import _fallback as core  # type: ignore[no-redef]

    COMPILED = False
    warnings.warn(
        f"polarity_torch: the compiled part cannot be loaded ({error}): everything works and gives the same "
        "results, but slowly; install the package with pip to have it built",
        RuntimeWarning,
        stacklevel=2,
    )

__all__ = ["COMPILED", "core"]
