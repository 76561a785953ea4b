"""The statistics of a report, from exact values: fractions and whole numbers in, floats out.

SciPy and lifelines do what they do exactly; the rest is written out here. Ties are ties, because no
value is a float before the last step. A bootstrap interval is that of all resamples: what share of them
has which median or mean is known in closed form, so there is no Monte-Carlo noise.
"""

import math
from fractions import Fraction
from typing import Callable, NamedTuple, Sequence

import lifelines
import numpy as np
from lifelines.statistics import logrank_test
from lifelines.utils import qth_survival_times
from scipy import stats
from scipy.special import ndtr, ndtri

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
# Shares of resamples and survival curves are sums and products of floats: this near is the same.
ROUNDING = 1e-9
# Up to so many differences, or values of two samples, p is exact, given the ties; above, normal.
EXACT_UP_TO = 50


class Number(NamedTuple):
    """A number and the range it may have: one point, but for a bootstrap end at a jump."""

    value: float
    least: float
    most: float


class Estimate(NamedTuple):
    """An estimate and the ends of its interval, infinite where the data do not bound it."""

    estimate: Number
    low: Number
    high: Number


class Time(NamedTuple):
    """How long a run was watched, and whether the event ended that."""

    time: int
    reached: bool


class Resamples(NamedTuple):
    """The values a statistic has over all resamples, `support / scale`, whole and rising, and how often."""

    support: np.ndarray
    chances: np.ndarray
    scale: int


Statistic = Callable[[np.ndarray], float]


def exact(value: float | Fraction) -> Number:
    """The number that has to be printed."""
    return Number(float(value), float(value), float(value))


def exactly(estimate: float | Fraction, low: float, high: float) -> Estimate:
    """An estimate without noise."""
    return Estimate(exact(estimate), exact(low), exact(high))


# Medians and means.


def median(values: Sequence[Fraction]) -> Fraction:
    """The middle value, or the mean of the two middle ones."""
    ordered, count = sorted(values), len(values)
    return Fraction(ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def median_by_order(values: Sequence[float]) -> Estimate:
    """The median of values, some perhaps infinite, between two order statistics (SciPy's)."""
    ordered = sorted(map(float, values))
    lower, upper = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    middle = lower if lower == upper else (lower + upper) / 2
    ends = stats.quantile_test(ordered, p=0.5).confidence_interval(CONFIDENCE)
    low, high = (end if not math.isnan(end) else None for end in ends)
    if low is None or high is None:
        low, high = -math.inf, math.inf
    return exactly(middle, low, high)


def bca_median(values: Sequence[Fraction]) -> Estimate:
    """The median and its BCa interval."""
    middle = median(values)
    scale, sample = common(values)
    support, chances = median_distribution(np.sort(sample))
    # Twice the medians, so that the mean of two neighbours is whole.
    return bca(middle, sample, np.median, Resamples(support, chances, 2 * scale))


def bca_mean(values: Sequence[Fraction]) -> Estimate:
    """The mean and its BCa interval."""
    scale, sample = common(values)
    least, spread = sample.min(), np.ptp(sample)
    one = np.bincount(sample - least, minlength=spread + 1) / len(sample)
    chances = np.ones(1)
    for _ in sample:
        chances = np.convolve(chances, one)
    support = np.arange(len(chances)) + least * len(sample)
    mean = Fraction(sum(values)) / len(values)
    return bca(mean, sample, np.mean, Resamples(support, chances, scale * len(sample)))


def common(values: Sequence[Fraction]) -> tuple[int, np.ndarray]:
    """A common denominator of the values, and the values in its parts."""
    scale = math.lcm(*(Fraction(value).denominator for value in values))
    return scale, np.array([int(value * scale) for value in values])


def bca(estimate: Fraction, sample: np.ndarray, of: Statistic, resamples: Resamples) -> Estimate:
    """The BCa interval of a statistic of `sample`, given what it is of all resamples.

    Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), section 14.3;
    resamples equal to the estimate count half in the bias, as in SciPy.
    """
    support, chances, scale = resamples
    if len(sample) == 1:
        return exactly(estimate, -math.inf, math.inf)
    if len(support) == 1:
        return exactly(estimate, float(estimate), float(estimate))
    own, skew = int(estimate * scale), acceleration(sample, of)
    bias = ndtri(chances[support < own].sum() + chances[support == own].sum() / 2)
    up_to = np.cumsum(chances)

    def quantile(level: float) -> float:
        return float(support[min(np.searchsorted(up_to, level), len(support) - 1)]) / scale

    def end(tail: float) -> Number:
        shifted = bias + ndtri(tail)
        level = ndtr(bias + shifted / (1 - skew * shifted))
        return Number(quantile(level), quantile(level - ROUNDING), quantile(level + ROUNDING))

    return Estimate(exact(estimate), end(TAIL), end(1 - TAIL))


def median_distribution(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Twice the values that a resample's median can have, rising, and the chance of each.

    `sample` is sorted and whole. With F the share of the sample up to a value, the k-th smallest of n
    draws is at most that value when at least k of n draws are; of two neighbours in order, k draws are
    up to the one and n − k from the other on.
    """
    count = len(sample)
    values, tallies = np.unique(sample, return_counts=True)
    up_to = np.cumsum(tallies) / count
    half = count // 2
    at_most = stats.binom.sf((count - 1) // 2, count, up_to)
    if count % 2 == 1:
        return 2 * values, np.diff(at_most, prepend=0.0)
    before = up_to - tallies / count
    lower = up_to**half - before**half
    upper = (1 - before) ** half - (1 - up_to) ** half
    pairs = np.triu(math.comb(count, half) * np.outer(lower, upper), k=1)
    # The lower of the two has a value with the chance of the k-th smallest; both share it otherwise.
    np.fill_diagonal(pairs, np.diff(at_most, prepend=0.0) - pairs.sum(axis=1))
    support, place = np.unique(np.add.outer(values, values), return_inverse=True)
    return support, np.bincount(place.ravel(), weights=pairs.ravel())


def acceleration(sample: np.ndarray, statistic: Statistic) -> float:
    """â of equation 14.15: the skewness of the statistic over the samples without one value."""
    without = np.array([statistic(np.delete(sample, place)) for place in range(len(sample))])
    off = without.mean() - without
    squares = (off**2).sum()
    return 0.0 if squares == 0 else (off**3).sum() / (6 * squares**1.5)


# Shares.


def wilson(successes: int, trials: int) -> Estimate:
    """The share of successes with Wilson's interval (SciPy's)."""
    ends = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return exactly(Fraction(successes, trials), ends.low, ends.high)


def chance_of_at_most(successes: int, trials: int, share: float) -> float:
    """The chance of so few successes."""
    return stats.binom.cdf(successes, trials, share)


# Tests.


class SignedRank(NamedTuple):
    """The two-sided p value of the signed-rank test, and the rank-biserial correlation."""

    p: float
    effect: float


def doubled_ranks(sizes: Sequence[int]) -> list[int]:
    """Twice the rank of each size, so that the mean rank of a tie is whole."""
    return [int(rank) for rank in 2 * stats.rankdata(np.array(sizes, dtype=object))]


def signed_rank(differences: Sequence[int]) -> SignedRank:
    """Wilcoxon's signed-rank test without the zeros."""
    left = [difference for difference in differences if difference != 0]
    if not left:
        return SignedRank(1.0, 0.0)
    ranks = doubled_ranks([abs(difference) for difference in left])
    total = sum(ranks)
    positive = sum(rank for rank, difference in zip(ranks, left) if difference > 0)
    effect = (2 * positive - total) / total
    if len(left) > EXACT_UP_TO:
        return SignedRank(stats.wilcoxon(left, method="asymptotic").pvalue, effect)
    ways = Polynomial.of_subsets(ranks).coefficients(total + 1)
    tail = sum(ways[: min(positive, total - positive) + 1])
    return SignedRank(min(1.0, 2 * tail / 2 ** len(left)), effect)


def mann_whitney(first: Sequence[Fraction], second: Sequence[Fraction]) -> float:
    """Mann and Whitney's two-sided p value."""
    m, n = len(first), len(second)
    both = np.array([*first, *second], dtype=object)
    ranks = [int(rank) for rank in 2 * stats.rankdata(both)]
    if m + n > EXACT_UP_TO:
        return stats.mannwhitneyu(ranks[:m], ranks[m:], method="asymptotic", use_continuity=True).pvalue
    choices = [Polynomial(1)] + [Polynomial(0)] * m
    for rank in ranks:
        for chosen in range(m, 0, -1):
            choices[chosen] = choices[chosen].plus(choices[chosen - 1].times_power(rank))
    ways = choices[m].coefficients(sum(ranks) + 1)
    centre = m * (m + n + 1)
    reach = abs(sum(ranks[:m]) - centre)
    extreme = sum(count for total, count in enumerate(ways) if abs(total - centre) >= reach)
    return extreme / sum(ways)


class Polynomial:
    """Counts by sum, packed into one whole number: 64 bits a coefficient, so counts below 2⁶⁴."""

    BITS = 64

    def __init__(self, packed: int):
        self.packed = packed

    @staticmethod
    def of_subsets(ranks: Sequence[int]) -> "Polynomial":
        """How many of all subsets of `ranks` have each sum."""
        found = Polynomial(1)
        for rank in ranks:
            found = found.plus(found.times_power(rank))
        return found

    def plus(self, other: "Polynomial") -> "Polynomial":
        return Polynomial(self.packed + other.packed)

    def times_power(self, exponent: int) -> "Polynomial":
        return Polynomial(self.packed << (self.BITS * exponent))

    def coefficients(self, count: int) -> list[int]:
        packed = self.packed.to_bytes(count * self.BITS // 8, "little")
        return [int(ways) for ways in np.frombuffer(packed, dtype="<u8")]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given."""
    adjusted, largest = [0.0] * len(p), 0.0
    for rejected, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        largest = min(1.0, max(largest, p[place] * (len(p) - rejected)))
        adjusted[place] = largest
    return adjusted


# Times.


def kaplan_meier(times: Sequence[Time]) -> Estimate:
    """The median of lifelines' Kaplan–Meier curve and the ends where its interval reaches one half.

    lifelines' own `median_survival_time_` takes a curve that is exactly one half, but a rounding error
    above it, for above, and is late by one event; so its curves are read off here with `ROUNDING`.
    """
    if not any(run.reached for run in times):
        return exactly(math.inf, math.inf, math.inf)
    fitted = lifelines.KaplanMeierFitter(alpha=1 - CONFIDENCE)
    fitted.fit([run.time for run in times], [run.reached for run in times])
    ends = fitted.confidence_interval_survival_function_.copy()
    # Where nobody is left, lifelines has no interval; the curve is 0 there.
    ends[fitted.survival_function_.iloc[:, 0] == 0] = 0.0
    curves = [fitted.survival_function_.iloc[:, 0], *(ends.iloc[:, side] for side in range(2))]
    return exactly(*(float(qth_survival_times(0.5 + ROUNDING, curve)) for curve in curves))


def log_rank(first: Sequence[Time], second: Sequence[Time]) -> float | None:
    """The two-sided p value of lifelines' log-rank test, nothing where no event tells groups apart."""
    if not any(run.reached for run in [*first, *second]):
        return None
    columns = [[run.time for run in first], [run.time for run in second]]
    events = [[run.reached for run in first], [run.reached for run in second]]
    p = float(logrank_test(*columns, *events).p_value)
    return None if math.isnan(p) else p
