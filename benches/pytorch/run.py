#!/usr/bin/env python3
"""What holding signs costs in PyTorch: ours beside what one writes by hand, in one process and in turn.

    make bench-pytorch                                   everything, some ten minutes on an idle machine
    python run.py --only 60k tiny --rounds 5             a minute, and nothing is written

Prints a table for each case. When every case was measured over 15 rounds or more, results/bench/pytorch.csv is
written, with the machine's processor, threads and versions in each row. `--write` renews the tables in the README
files from it. The largest case takes 8 GB of memory.
"""

from __future__ import annotations

import argparse
import csv
import gc
import importlib.metadata
import platform
import re
import statistics
import sys
from pathlib import Path

import torch

import polarity_torch
import table
from lesson import LESSONS, in_a_training
from timing import Timed, timed
from training import SHAPES
from ways import in_a_loop

#: Names that stand for several cases.
GROUPS = {"loop": ["60k", "3.8M", "61M"], "small": ["60k", "tiny"], "training": list(LESSONS)}
LEAST_ROUNDS = 15
# A step that is shorter is repeated until the clock's grain and a single interruption do not matter.
LEAST_MS = 20.0


def main() -> None:
    options = parse()
    if not polarity_torch.COMPILED:
        sys.exit("polarity_torch: has no compiled part here, whose times these would be; build it: `make python`")
    cases = [case for word in options.only for case in GROUPS.get(word, [word])]
    torch.set_num_threads(options.threads)
    machine = about(options)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    rows = []
    for case in dict.fromkeys(cases):
        gc.collect()
        rows += [{**row, **machine} for row in measured(case, options.rounds)]
    if set(cases) == {*SHAPES, *LESSONS} and options.rounds >= LEAST_ROUNDS:
        write(rows)
        if options.write:
            table.renew()
    else:
        print(f"\nNothing is written: that takes every case and {LEAST_ROUNDS} rounds.")


def measured(case: str, rounds: int) -> list[dict[str, str]]:
    """Times a case, prints its table, and gives its rows."""
    before: list[float] = []
    if case in LESSONS:
        weights, tensors, ways, before = in_a_training(case)
    else:
        weights, tensors, ways = in_a_loop(case)
    times = timed(ways, rounds, LEAST_MS)
    before_ms = statistics.median(before) if before else None
    show(f"{case}: {weights:,} weights in {tensors} tensors, {rounds} rounds", times, before_ms)
    common = {"case": case, "weights": str(weights), "tensors": str(tensors), "rounds": str(rounds)}
    return [{**common, **row(one, before_ms)} for one in times]


def show(title: str, times: list[Timed], before_ms: float | None) -> None:
    print(f"\n{title}\n")
    if before_ms is not None:
        print(f"  forward and backward pass before each step: {before_ms:.1f} ms\n")
    line = "  {:<34}{:>10}{:>10}{:>16}{:>11}".format
    print(line("", "ms", "× fused", "quartiles", "put back"))
    for one in times:
        middle, low, high = one.ratio
        share = "" if one.resets is None else f"{100 * one.resets:.2f} %"
        print(line(one.name, f"{one.ms[0]:.3f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}", share), flush=True)


def row(one: Timed, before_ms: float | None) -> dict[str, str]:
    columns = ("ms", "low_ms", "high_ms", "ratio", "low_ratio", "high_ratio")
    written = {column: f"{value:.4g}" for column, value in zip(columns, one.ms + one.ratio)}
    written["resets"] = "" if one.resets is None else f"{one.resets:.4g}"
    written["before_ms"] = "" if before_ms is None else f"{before_ms:.4g}"
    return {"way": one.name, **written}


def about(options: argparse.Namespace) -> dict[str, str]:
    """The machine and the versions that the times are of."""
    return {
        "processor": processor(),
        "threads": str(options.threads),
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "polarity_torch": importlib.metadata.version("polarity-torch"),
    }


def processor() -> str:
    """The processor's name, with the widest vector instructions that it has."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    vectors = "AVX-512" if "avx512f" in text else "AVX2" if "avx2" in text else ""
    return " ".join(filter(None, [name[1].strip() if name else platform.processor() or platform.machine(), vectors]))


def write(rows: list[dict[str, str]]) -> None:
    table.CSV.parent.mkdir(parents=True, exist_ok=True)
    with table.CSV.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"\n{table.CSV}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cases = [*SHAPES, *LESSONS]
    names = [*cases, *GROUPS]
    parser.add_argument("--only", nargs="+", choices=names, default=cases, metavar="CASE", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="how often each way is timed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch, and of ours")
    parser.add_argument("--write", action="store_true", help="renew the tables in the README files")
    return parser.parse_args()


if __name__ == "__main__":
    main()
