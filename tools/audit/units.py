"""What counts as one observation of a report: a run, or a source where arms take from several.

Runs of one source share what that source happened to learn, so the mean over them stands for it.
"""

from fractions import Fraction
from typing import Callable, Sequence

from tables import Cell

# Values by the source's seed, where there are several sources, and the run's own.
Runs = dict[tuple[int | None, int], Fraction]


def runs(of: Callable[[Cell], Fraction | None], cells: list[Cell]) -> Runs:
    """The values of the cells that have one."""
    found = {(cell.source_seed, cell.seed): of(cell) for cell in cells}
    return {run: value for run, value in found.items() if value is not None}


def observations(values: Runs) -> list[Fraction]:
    """Each value, or the mean over each source."""
    return [own for own, _ in pairs(values, values)]


def pairs(first: Runs, second: Runs) -> list[tuple[Fraction, Fraction]]:
    """The values of each run that both have; with several sources the means over each source's runs.

    An arm that takes from no source is the same beside every source.
    """
    every = first.keys() | second.keys()
    found: dict[object, list[tuple[Fraction, Fraction]]] = {}
    has_sources = any(source is not None for source, _ in every)
    for source, seed in sorted(every, key=str):
        own, other = (side.get((source, seed), side.get((None, seed))) for side in (first, second))
        if own is not None and other is not None and (source is not None or not has_sources):
            found.setdefault(source if has_sources else seed, []).append((own, other))
    sides = [tuple(zip(*twins)) for twins in found.values()]
    return [(mean(own), mean(other)) for own, other in sides]


def mean(values: Sequence[Fraction]) -> Fraction:
    """The exact mean."""
    return Fraction(sum(values)) / len(values)
