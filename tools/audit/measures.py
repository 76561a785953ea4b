"""What is measured on a cell, and the statistic of it over cells."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Callable

import stats
import units
from stats import Estimate, Time
from tables import Cell, Study

Value = Fraction | float
Of = Callable[[Cell], Value | None]


@dataclass(frozen=True)
class Measure:
    """A measure by its name in reports."""

    name: str
    of: Of
    over: Callable[[list[Value]], Estimate]
    is_error: bool = False
    # Whether its numbers are printed in percent.
    is_share: bool = False
    # The value that pairs are compared by, always finite; none where arms are not compared.
    compared: Of | None = None
    # Whether arms are compared by the log-rank test in place of pairs.
    is_time: bool = False

    def values(self, cells: list[Cell]) -> list[Value]:
        """The values that its statistic is over: errors are of sources, where there are several."""
        if self.is_error:
            return units.observations(units.runs(self.of, cells))
        return [value for value in map(self.of, cells) if value is not None]


def tabulated(study: Study) -> list[Measure]:
    """What a report tabulates, in the order of its columns."""
    report = study.experiment["report"]
    chosen = error("test_error", lambda cell: cell.test_error)
    if any(cell.has_milestones for cell in study.cells):
        return [chosen, *milestones(study.experiment["train"]["epochs"])]
    measures = [
        error("test_error_last", lambda cell: cell.test_error_last),
        chosen,
        Measure("best_step", lambda cell: cell.best_step, stats.median_by_order),
        *(validation_error_at(step) for step in report["steps"]),
    ]
    for accuracy in report["thresholds"]:
        measures += thresholds(accuracy, study.experiment["train"]["batch"])
    return measures


def claimed(study: Study, measure: dict[str, Any]) -> Of:
    """The measure of a claim, as the experiment file says it, by the values that it is compared by."""
    ((name, how),) = measure.items()
    match name, how.get("step"):
        case "test_error", "last":
            return lambda cell: cell.test_error_last
        case "test_error", "chosen":
            return lambda cell: cell.test_error
        case "validation_error", "last":
            return lambda cell: cell.validation_error_last
        case "validation_error", "chosen":
            return lambda cell: cell.validation_error
        case "validation_error", int(step):
            return lambda cell: cell.curve.get(step)
        case "steps_to", _:
            return thresholds(how["accuracy"], study.experiment["train"]["batch"])[1].compared
        case "learned", _:
            return milestones(study.experiment["train"]["epochs"])[0].of
        case "epochs_to_90", _:
            return milestones(study.experiment["train"]["epochs"])[1].compared
    raise ValueError(f"a claim of {study.name} measures {measure}, which the audit does not know")


def error(name: str, of: Of) -> Measure:
    """An error: a share of images, by its median."""
    return Measure(name, of, stats.bca_median, is_error=True, is_share=True, compared=of)


def validation_error_at(step: int) -> Measure:
    """The validation error after so many steps."""
    return error(f"validation_error_at_{step}", lambda cell: cell.curve.get(step))


def thresholds(accuracy: float, batch: int) -> list[Measure]:
    """Whether, and after how many steps and epochs, cells first reach a validation accuracy."""
    most = 1 - Fraction(str(accuracy))

    def steps(cell: Cell) -> Value | None:
        reached = (Fraction(step) for step, share in cell.curve.items() if share <= most)
        return next(reached, math.inf) if cell.curve else None

    def epochs(cell: Cell) -> Value | None:
        first = steps(cell)
        if first in (None, math.inf):
            return first
        return Fraction(math.ceil(first / math.ceil(cell.setting("train_size") / batch)))

    def reached(cell: Cell) -> Value | None:
        return Fraction(steps(cell) != math.inf) if cell.curve else None

    def by_the_last(cell: Cell) -> Value | None:
        return min(steps(cell), Fraction(cell.steps)) if cell.curve else None

    return [
        Measure(f"reached_{accuracy}", reached, share, is_share=True),
        Measure(f"steps_to_{accuracy}", steps, stats.median_by_order, compared=by_the_last),
        Measure(f"epochs_to_{accuracy}", epochs, stats.median_by_order),
    ]


def milestones(last: int) -> list[Measure]:
    """Whether, and after how many of `last` epochs, networks for points err on 10 % at most."""

    def learned(cell: Cell) -> Value | None:
        return Fraction(cell.epochs_to_90 is not None) if cell.has_milestones else None

    def epochs(cell: Cell) -> Value | None:
        if not cell.has_milestones:
            return None
        return math.inf if cell.epochs_to_90 is None else Fraction(cell.epochs_to_90)

    def by_the_last(cell: Cell) -> Value | None:
        return min(epochs(cell), Fraction(last)) if cell.has_milestones else None

    def median(values: list[Value]) -> Estimate:
        return stats.kaplan_meier(times(values, last))

    return [
        Measure("learned", learned, share, is_share=True),
        Measure("epochs_to_90", epochs, median, compared=by_the_last, is_time=True),
    ]


def times(epochs: list[Value], last: int) -> list[Time]:
    """Numbers of epochs as times that are censored at the last epoch."""
    return [Time(last, False) if value == math.inf else Time(int(value), True) for value in epochs]


def share(values: list[Value]) -> Estimate:
    """The share of ones with Wilson's interval."""
    return stats.wilson(int(sum(values)), len(values))
