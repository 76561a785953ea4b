"""What a report must say, from the tables alone."""

import math
from dataclasses import dataclass
from functools import cached_property

import claims
import measures
import stats
import units
from claims import Answer
from measures import Measure
from stats import Estimate
from tables import Cell, Settings, Study

# A cell has collapsed where guessing does as well this often.
COLLAPSED = 0.001


@dataclass(frozen=True)
class Row:
    """The cells of one arm at one setting."""

    cells: int
    diverged: int
    collapsed: int
    # Cells whose chosen step is 0.
    untrained: int
    estimates: dict[str, Estimate]
    learners: Estimate | None


@dataclass(frozen=True)
class Comparison:
    """An arm against the baseline by one measure."""

    pairs: int
    difference: Estimate
    test: str
    p: float
    effect: float | None
    p_unpaired: float | None


class Recomputed:
    """The numbers of a study's report."""

    def __init__(self, study: Study):
        self.study = study
        self.groups = study.groups()

    @cached_property
    def measures(self) -> list[Measure]:
        """What is tabulated, in the order of the columns."""
        return measures.tabulated(self.study)

    @cached_property
    def rows(self) -> dict[tuple[Settings, str], Row]:
        """One row an arm and setting."""
        return {key: self.row(cells) for key, cells in self.groups.items()}

    @cached_property
    def comparisons(self) -> dict[tuple[Settings, str, str], Comparison]:
        """Every arm against the baseline, by settings, arm and measure."""
        found = {}
        baseline = self.study.experiment["baseline"]
        for (settings, arm), cells in self.groups.items():
            twins = self.groups.get((settings, baseline))
            for measure in self.measures:
                if arm != baseline and twins and measure.compared:
                    comparison = self.compare(measure, cells, twins)
                    if comparison:
                        found[settings, arm, measure.name] = comparison
        return found

    @cached_property
    def answers(self) -> list[Answer]:
        """What became of each claim."""
        return claims.answers(self.study)

    @property
    def settings(self) -> list[str]:
        """The names of the swept settings."""
        return [name for name, _ in self.study.cells[0].settings]

    def is_shown(self, settings: Settings) -> bool:
        """Whether the printed tables have these settings."""
        at = self.study.experiment["report"].get("at", {})
        return all(name not in at or float(value) in at[name] for name, value in settings)

    def total(self, name: str) -> int:
        """A count of cells over all rows."""
        return sum(getattr(row, name) for row in self.rows.values())

    def row(self, cells: list[Cell]) -> Row:
        estimates = {}
        for measure in self.measures:
            if values := measure.values(cells):
                estimates[measure.name] = measure.over(values)
        learners = [cell for cell in cells if not self.is_collapsed(cell)]
        errors = self.measures[0].values(learners)
        collapsed = len(cells) - len(learners)
        return Row(
            cells=len(cells),
            diverged=sum(cell.status == "diverged" for cell in cells),
            collapsed=collapsed,
            untrained=sum(cell.best_step == 0 for cell in cells),
            estimates=estimates,
            learners=stats.bca_median(errors) if collapsed and errors else None,
        )

    def is_collapsed(self, cell: Cell) -> bool:
        """Whether guessing would do as well in one of a thousand cells, the looks at it shared out."""
        if cell.status != "done":
            return False
        looks = self.study.experiment["train"]["epochs"] if cell.has_milestones else len(cell.curve) or 1
        evaluated = [*cell.curve.values(), cell.validation_error, cell.least_validation_error]
        best = min(error for error in evaluated if error is not None)
        wrong, guessing = int(best * cell.validation_images), 1 - 1 / self.study.manifest["classes"]
        return stats.chance_of_at_most(wrong, cell.validation_images, guessing) >= COLLAPSED / looks

    def compare(self, measure: Measure, cells: list[Cell], twins: list[Cell]) -> Comparison | None:
        if measure.is_time:
            return self.compare_times(measure, cells, twins)
        both = [units.runs(measure.compared, side) for side in (cells, twins)]
        differences = [own - other for own, other in units.pairs(*both)]
        if not differences:
            return None
        test = stats.signed_rank(stats.common(differences)[1].tolist())
        return Comparison(
            pairs=len(differences),
            difference=stats.bca_median(differences),
            test="wilcoxon",
            p=test.p,
            effect=test.effect,
            p_unpaired=stats.mann_whitney(*map(units.observations, both)),
        )

    def compare_times(self, measure: Measure, cells: list[Cell], twins: list[Cell]) -> Comparison | None:
        both = [measure.values(side) for side in (cells, twins)]
        last = self.study.experiment["train"]["epochs"]
        p = stats.log_rank(*(measures.times(side, last) for side in both))
        if p is None:
            return None
        own, other = (measure.over(side).estimate.value for side in both)
        difference = stats.exactly(own - other, -math.inf, math.inf)
        pairs = {cell.seed for cell in cells} & {twin.seed for twin in twins}
        return Comparison(len(pairs), difference, "log-rank", p, None, None)
