"""Times ways to step in turn, so that whatever the machine does meanwhile meets all of them."""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from training import violators
from ways import BASE, Way


@dataclass
class Timed:
    """What was measured of one way."""

    name: str
    #: Milliseconds of a step: median and quartiles over the rounds.
    ms: tuple[float, float, float]
    #: The step in steps of `BASE` of the same round: median and quartiles over the rounds.
    ratio: tuple[float, float, float]
    #: The share of held weights that a step put back, in [0, 1]; `None` where none is held.
    resets: float | None


def timed(ways: list[Way], rounds: int, least_ms: float) -> list[Timed]:
    """Times every way once a round, in an order that is drawn anew for each; quick ones are repeated until they take
    `least_ms`.

    Raises:
        RuntimeError: when a way leaves a weight on the wrong side.
    """
    with torch.no_grad():
        first = [examined(way) for way in ways]
        repeats = [max(1, math.ceil(least_ms / (1e3 * seconds(way, 1)))) for way in ways]
        samples: dict[str, list[float]] = {way.name: [] for way in ways}
        order = list(zip(ways, repeats))
        gc.disable()
        for number in range(rounds):
            random.Random(number).shuffle(order)
            for way, times in order:
                samples[way.name].append(1e3 * seconds(way, times))
        gc.enable()
        last = [examined(way) for way in ways]
    return [
        Timed(
            way.name,
            quartiles(samples[way.name]),
            quartiles([ms / base for ms, base in zip(samples[way.name], samples[BASE])]),
            None if one is None else (one + other) / 2,
        )
        for way, one, other in zip(ways, first, last)
    ]


def seconds(way: Way, times: int) -> float:
    """How long a step takes, the median of so many."""
    taken = []
    for _ in range(times):
        if way.before is not None:
            way.before()
        start = time.perf_counter()
        way.run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def examined(way: Way) -> float | None:
    """Takes a step, and gives the share of held weights that it put back."""
    if way.before is not None:
        way.before()
    if way.held is None:
        way.run()
        return None
    if way.resets is not None:
        way.resets()
    if way.step is not None:
        way.step()
    share = violators(way.held)
    if way.project is not None:
        way.project()
    if way.resets is not None:
        share = way.resets() / sum(weights.numel() for weights, _ in way.held)
    if violators(way.held):
        raise RuntimeError(f"{way.name}: leaves weights on the wrong side of zero")
    return share


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    if len(values) == 1:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high
