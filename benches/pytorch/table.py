#!/usr/bin/env python3
"""The tables of times in the README files, from results/bench/pytorch.csv.

    python3 benches/pytorch/table.py          writes them; it needs no PyTorch

A table stands between `<!-- bench: pytorch -->` and `<!-- end -->`; `<!-- bench: pytorch short -->` has fewer rows.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CSV = ROOT / "results/bench/pytorch.csv"
PAGES = [ROOT / "README.md", ROOT / "python/README.md"]
BLOCK = re.compile(r"(<!-- bench: pytorch( short)? -->\n).*?(<!-- end -->)", re.DOTALL)
MISSING = "(Not measured yet: `make bench-pytorch`.)\n"

#: Columns: cases and their headings.
CASES = {
    "tiny": "62 × 64",
    "60k": "60 k",
    "3.8M": "3.8 M",
    "resnet18": "ResNet-18",
    "61M": "61 M",
    "training, 61M": "61 M, in training",
}
SHORT_CASES = ["61M", "training, 61M"]

#: Rows: ways and what they are called. What is behind the slower forms of Adam is in the file only.
WAYS = {
    "Adam, fused": "`Adam(fused=True)`, no sign held",
    "Adam, foreach": "`Adam(foreach=True)`, no sign held",
    "Adam, single": "`Adam(foreach=False)`, no sign held",
    "Adam, fused + clamp_min_(0)": "fused, then `clamp_min_(0)`: non-negative weights only",
    "Adam, fused + in place": "fused, then `mul_(s)`, `clamp_min_(0)`, `mul_(s)`",
    "Adam, fused + where": "fused, then `where` with random resets",
    "Adam, fused, parametrize abs": "fused, weights by `parametrize`: `s · abs`",
    "Adam, fused, parametrize softplus": "fused, weights by `parametrize`: `s · softplus`",
    "ours: FrozenAdam, nothing held": "**`FrozenAdam`**, no sign held",
    "ours: FrozenAdam, 0 % reset": "**`FrozenAdam`**, a step puts back 0 %",
    "ours: FrozenAdam, 1 % reset": "**`FrozenAdam`**, a step puts back 1 %",
    "ours: FrozenAdam, 4 % reset": "**`FrozenAdam`**, a step puts back 4 %",
    "ours: Adam, fused + hold()": "**`hold()`** behind the fused Adam, 1 %",
    "projection alone, in place": "projection alone: `mul_(s)`, `clamp_min_(0)`, `mul_(s)`",
    "projection alone, where": "projection alone: `where`",
    "ours: projection alone, hold()": "projection alone: **`hold()`**",
    "SGD, fused": "`SGD(fused=True)`, no sign held",
    "EG_optimiser's SGD, signs frozen": "EG_optimiser's `SGD(freeze_gd_signs=True)`",
    "ours: FrozenSGD, 1 % reset": "**`FrozenSGD`**, a step puts back 1 %",
}
SHORT_WAYS = [
    "Adam, fused + in place",
    "Adam, fused + where",
    "ours: FrozenAdam, 1 % reset",
    "ours: Adam, fused + hold()",
]


def renew() -> None:
    """Writes the tables into the pages."""
    for page in PAGES:
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


def renewed(text: str) -> str:
    """A page with the tables of the measurements that are there."""
    rows = measurements()
    return BLOCK.sub(lambda block: block[1] + tables(rows, short=bool(block[2])) + block[3], text)


def measurements() -> list[dict[str, str]]:
    """The rows of the file; none when it is not there."""
    if not CSV.exists():
        return []
    with CSV.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tables(rows: list[dict[str, str]], *, short: bool) -> str:
    """The table of some or all ways, and what it was measured on."""
    if not rows:
        return MISSING
    cases = SHORT_CASES if short else list(CASES)
    ways = SHORT_WAYS if short else list(WAYS)
    ratios = {(row["way"], row["case"]): row["ratio"] for row in rows}
    base = {row["case"]: row["ms"] for row in rows if row["way"] == "Adam, fused"}
    lines = [
        f"| a step, in steps of PyTorch's fused Adam | {' | '.join(CASES[case] for case in cases)} |",
        f"| --- |{' ---: |' * len(cases)}",
        *(f"| {WAYS[way]} | {' | '.join(cell(ratios.get((way, case))) for case in cases)} |" for way in ways),
        f"| *the fused Adam, ms* | {' | '.join(base[case] for case in cases)} |",
    ]
    return "\n".join(lines) + "\n" + ("" if short else "\n" + source(rows) + "\n")


def cell(ratio: str | None) -> str:
    """A ratio to two places, or nothing where a way was not timed."""
    return "" if ratio is None else f"{float(ratio):.2f}"


def source(rows: list[dict[str, str]]) -> str:
    """What the times are of, and where they stand."""
    one = rows[0]
    return (
        f"`make bench-pytorch`, medians of {one['rounds']} rounds in which all take turns, {one['threads']} threads of "
        f"{one['processor']}, PyTorch {one['torch']}, polarity-torch {one['polarity_torch']}; quartiles and measured "
        "shares are in `results/bench/pytorch.csv`. `s` are the signs as numbers."
    )


if __name__ == "__main__":
    renew()
