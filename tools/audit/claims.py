"""The claims of an experiment, decided from the tables alone."""

import hashlib
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any, Iterable

import measures
import stats
import units
from measures import Of
from stats import Estimate
from tables import SOURCE_SEED, Study

LEVEL = 0.05
BOTH = "the interval reaches to both sides"
WIDE = "could not be seen: the interval is wider than the margin"
CHANCE = "the adjusted p value is above 0.05"

# Where a cell stands: its swept settings but the source's seed.
Point = tuple[int, ...]


@dataclass
class Answer:
    """What became of a claim; without a pair there is no difference."""

    claim: dict[str, Any]
    pairs: int = 0
    difference: Estimate | None = None
    p: float = 1.0
    effect: float = math.nan
    p_holm: float = math.nan
    verdict: str = "undecided"
    # Why it is undecided, in the words of the report.
    doubt: str | None = None


def answers(study: Study) -> list[Answer]:
    """The answers to the claims of `study`, in their order."""
    found = [answer(study, claim) for claim in study.experiment.get("claims", [])]
    for own, p_holm in zip(found, stats.holm([own.p for own in found])):
        own.p_holm = p_holm
        own.verdict, own.doubt = verdict(own)
    return found


def answer(study: Study, claim: dict[str, Any]) -> Answer:
    """The test of one claim, its p value not yet adjusted."""
    observations = by_source if claim.get("unit", "seed") == SOURCE_SEED else by_seed
    of = measures.claimed(study, claim["measure"])
    arms = [Arm(study, claim, arm, of) for arm in claim["arms"]]
    differences = observations(arms[0], arms[1])
    if not differences:
        return Answer(claim)
    test = stats.signed_rank(stats.common(differences)[1].tolist())
    # The median of zeros and ones says little.
    over = stats.bca_mean if "learned" in claim["measure"] else stats.bca_median
    return Answer(claim, len(differences), over(differences), test.p, test.effect)


class Arm:
    """The values of one arm at the settings of a claim."""

    def __init__(self, study: Study, claim: dict[str, Any], arm: str, of: Of):
        at = claim.get("at", {})
        swept = {"train_size": study.experiment["data"]["train_sizes"]}
        swept |= {"width": study.experiment["widths"]} if study.experiment.get("widths") else {}
        self.points = list(product(*(at.get(name, values) for name, values in swept.items())))
        self.values: dict[tuple[Point, int | None, int], Fraction] = {}
        self.sources: set[int | None] = set()
        self.seeds: set[int] = set()
        for cell in study.cells:
            source = cell.source_seed
            is_asked = source is None or SOURCE_SEED not in at or source in at[SOURCE_SEED]
            if cell.arm == arm and is_asked:
                self.sources.add(source)
                self.seeds.add(cell.seed)
                point = tuple(cell.setting(name) for name in swept)
                if (value := of(cell)) is not None:
                    self.values[point, source, cell.seed] = value

    def mean(self, sources: Iterable[int | None], seed: int) -> Fraction | None:
        """The mean over the claim's points and over sources, where there is a value at each."""
        found = [self.values.get((point, source, seed)) for point in self.points for source in sources]
        return None if not found or None in found else units.mean(found)


def by_seed(first: Arm, second: Arm) -> list[Fraction]:
    """Differences of seeds that both arms have whole; an arm of several sources by its mean over them."""
    pairs = (
        [arm.mean(arm.sources, seed) for arm in (first, second)]
        for seed in sorted(first.seeds & second.seeds)
    )
    return [own - other for own, other in pairs if own is not None and other is not None]


def by_source(first: Arm, second: Arm) -> list[Fraction]:
    """Differences of sources, each the mean over the seeds; an arm without a source is beside every one."""
    found = []
    for source in sorted((first.sources | second.sources) - {None}):
        beside = [[source if source in arm.sources else None] for arm in (first, second)]
        pairs = (
            (first.mean(beside[0], seed), second.mean(beside[1], seed))
            for seed in sorted(first.seeds & second.seeds)
        )
        whole = [own - other for own, other in pairs if own is not None and other is not None]
        if whole:
            found.append(units.mean(whole))
    return found


def verdict(answer: Answer) -> tuple[str, str | None]:
    """Whether a claim holds, and the doubt about one that is undecided."""
    claim, difference = answer.claim, answer.difference
    if difference is None:
        return "undecided", "no pair of its cells is there"
    estimate, low, high = (number.value for number in difference)
    if "within" in claim:
        within = claim["within"]
        if -within < low and high < within:
            return "holds", None
        if low >= within or high <= -within:
            return "does not hold", None
        is_wide = (high - low) / 2 > within
        return "undecided", WIDE if is_wide else BOTH
    margin = claim.get("margin") or 0.0
    if claim["direction"] == "less":
        estimate, low, high = -estimate, -high, -low
    if high < margin:
        return "does not hold", None
    if low <= margin if margin else estimate <= 0:
        return "undecided", BOTH
    return ("holds", None) if answer.p_holm <= LEVEL else ("undecided", CHANCE)


def words(answer: Answer) -> str:
    """The claim, what it compares and expects, and the doubt, as a report says them."""
    claim = answer.claim
    first, second = (f"`{arm}`" for arm in claim["arms"])
    compared = f"{first} less {second}, {measure_words(claim['measure'])}"
    at = [f"{name} {', '.join(map(str, values))}" for name, values in claim.get("at", {}).items()]
    settings = f", {'; '.join(at)}" if at else ""
    test = f"({compared}{settings}; claimed: {expected_words(claim)})"
    doubt = f" undecided: {answer.doubt}." if answer.doubt else ""
    return f"- `{claim['id']}`: {claim['says']} {test}{doubt}"


def measure_words(measure: dict[str, Any]) -> str:
    """What is measured, as a report says it."""
    ((name, how),) = measure.items()
    after = {"last": "after the last step", "chosen": "after the chosen step", 0: "before training"}
    match name:
        case "test_error" | "validation_error":
            step = how["step"]
            steps = "1 step" if step == 1 else f"{step} steps"
            return f"{name.replace('_', ' ')} {after.get(step, f'after {steps}')}"
        case "steps_to":
            return f"steps to {100 * how['accuracy']:.0f} % accuracy"
    return {"epochs_to_90": "epochs to 90 % accuracy", "learned": "share of cells that learn"}[name]


def is_share(claim: dict[str, Any]) -> bool:
    """Whether the difference is printed in points; else it is counted."""
    return not claim["measure"].keys() & {"steps_to", "epochs_to_90"}


def expected_words(claim: dict[str, Any]) -> str:
    """What is claimed of the difference, as a report says it."""
    amount = claim.get("within") or claim.get("margin") or 0.0
    text = f"{100 * amount:g} points" if is_share(claim) else f"{amount:g}"
    if "within" in claim:
        return f"within {text}"
    return claim["direction"] + (f", by more than {text}" if amount else "")


def few_pairs(answers: list[Answer]) -> str | None:
    """The note that some claims cannot hold for want of pairs."""
    directed = [own.pairs for own in answers if "direction" in own.claim and own.pairs]
    pairs, count = min(directed, default=0), len(answers)
    least = min(1.0, count * 0.5 ** (pairs - 1))
    if not directed or least <= LEVEL:
        return None
    return (
        f"{pairs} pairs and {count} claims: no adjusted p value can be below {least:.2f}, "
        f"so a claim of {pairs} pairs that has a direction cannot hold"
    )


def digest(claims: list[dict[str, Any]]) -> str | None:
    """The SHA-256 of claims as JSON without spaces; nothing of no claims."""
    text = json.dumps(claims, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest() if claims else None
