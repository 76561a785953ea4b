"""A report against what was recomputed: every number that was printed is claimed by one here."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Iterable

import reports
from recompute import Comparison, Recomputed, Row
from stats import Estimate, Number, exact

# Full precision, as floats of another order of operations agree.
RELATIVE = 1e-9


@dataclass
class Audit:
    """What was compared of one study, and what differs."""

    study: str
    compared: int = 0
    differences: list[str] = field(default_factory=list)

    def differs(self, where: str, what: str) -> None:
        self.differences.append(f"{self.study}: {where}: {what}")

    def text(self, where: str, text: str, expected: Iterable[Number]) -> None:
        """Compares the numbers printed in `text` with those expected, one by one."""
        found, expected = reports.numbers(text), list(expected)
        self.compared += max(len(found), len(expected))
        if len(found) != len(expected):
            wanted = ", ".join(show(number) for number in expected) or "no number"
            self.differs(where, f"printed `{text}`, recomputed {wanted}")
            return
        for printed, number in zip(found, expected):
            if not (printed.least <= number.most and number.least <= printed.most):
                self.differs(where, f"printed {printed.text}, recomputed {show(number)}")

    def value(self, where: str, value: float | None, number: Number | None) -> None:
        """Compares a number of full precision; null is what has no bound or is not known."""
        self.compared += 1
        known = number if number and math.isfinite(number.value) else None
        if known is None or value is None:
            same = known is None and value is None
        else:
            margin = RELATIVE * max(1.0, abs(value))
            same = known.least - margin <= value <= known.most + margin
        if not same:
            self.differs(where, f"printed {value}, recomputed {show(known) if known else 'null'}")


def show(number: Number) -> str:
    """A number in the words of a difference."""
    if number.least == number.most:
        return f"{number.value:.6g}"
    return f"{number.value:.6g} (or {number.least:.6g} to {number.most:.6g})"


# Numbers by column, for the settings and the arm of a line.
Lines = dict[tuple[str, ...], dict[str, list[Number]]]


# report.md


def audit_markdown(audit: Audit, text: str, recomputed: Recomputed) -> None:
    """Compares every number of a report.md."""
    report = reports.read(text)
    expected = {"medians": row_lines(recomputed), "differences": comparison_lines(recomputed)}
    expected = {name: lines for name, lines in expected.items() if lines}
    if len(report.tables) != len(expected):
        audit.differs("report.md", f"{len(report.tables)} tables, recomputed {len(expected)}")
    for table, (name, lines) in zip(report.tables, expected.items()):
        audit_table(audit, f"report.md, {name}", table, lines)
    audit_prose(audit, report.prose, recomputed)


def audit_table(audit: Audit, where: str, table: reports.Table, expected: Lines) -> None:
    """Compares a table; a line or a column that stands on one side only differs."""
    keys = table.columns.index("arm") + 1
    left = dict(expected)
    for line in table.lines:
        key = tuple(line[name] for name in table.columns[:keys])
        place = f"{where}, {' '.join(key)}"
        columns = left.pop(key, None)
        if columns is None:
            audit.differs(place, "recomputed no such line, or it stands twice")
            continue
        for column in table.columns[keys:]:
            audit.text(f"{place}, {column}", line[column], columns.get(column, []))
        for column in columns.keys() - line.keys():
            audit.differs(f"{place}, {column}", "no such column was printed")
    for key in left:
        audit.differs(f"{where}, {' '.join(key)}", "no such line was printed")


def row_lines(recomputed: Recomputed) -> Lines:
    """The numbers of the first table."""
    some_collapsed = any(row.collapsed for row in recomputed.rows.values())
    shares = {measure.name for measure in recomputed.measures if measure.is_share}
    lines: Lines = {}
    for (settings, arm), row in recomputed.rows.items():
        if not recomputed.is_shown(settings):
            continue
        columns = {"cells": [exact(row.cells)], "diverged": [exact(row.diverged)]}
        if some_collapsed:
            columns["collapsed"] = [exact(row.collapsed)]
            columns["learners"] = numbers(row.learners, 100) if row.learners else []
        for name, estimate in row.estimates.items():
            if not name.startswith("epochs_to_0"):
                columns[name] = numbers(estimate, 100 if name in shares else 1)
        lines[(*(value for _, value in settings), arm)] = columns
    return lines


def comparison_lines(recomputed: Recomputed) -> Lines:
    """The numbers of the second table."""
    shares = {measure.name for measure in recomputed.measures if measure.is_share}
    lines: Lines = {}
    for (settings, arm, name), found in recomputed.comparisons.items():
        if not recomputed.is_shown(settings):
            continue
        columns = lines.setdefault((*(value for _, value in settings), arm), {})
        columns.setdefault("pairs", [exact(found.pairs)])
        columns[name] = numbers(found.difference, 100 if name in shares else 1)
        if not math.isfinite(found.difference.estimate.value):
            columns[name] = []
        columns[f"{name}: p"] = [exact(found.p_holm)]
        columns[f"{name}: r"] = [] if found.effect is None else [exact(found.effect)]
    return lines


def numbers(estimate: Estimate, scale: float) -> list[Number]:
    """The numbers of an estimate, without the ends where nothing bounds it."""
    printed = estimate if estimate.low.value > -math.inf else [estimate.estimate]
    return [Number(*(scale * value for value in number)) for number in printed]


def audit_prose(audit: Audit, prose: str, recomputed: Recomputed) -> None:
    """Compares the numbers of all sentences; a number of no known sentence differs."""
    text = " ".join(prose.split())
    for pattern, expected in sentences(recomputed):
        for found in re.finditer(pattern, text):
            audit.text(f"report.md, `{found[0]}`", " ".join(found.groups()), expected)
        text = re.sub(pattern, "", text)
    text = text.replace(f"# {recomputed.study.name}", "")
    if unknown := [sentence for sentence in text.split(".") if re.search(r"\d", sentence)]:
        audit.differs("report.md", f"nothing was recomputed for `{'; '.join(unknown).strip()}`")


def sentences(recomputed: Recomputed) -> list[tuple[str, list[Number]]]:
    """Every sentence of a report that has numbers: its pattern, and the numbers of its groups."""
    experiment = recomputed.study.experiment
    count, pairs, least = recomputed.fewest_pairs()
    test = experiment["data"]["test"]
    return [
        (r"with 95 % BCa bootstrap intervals", []),
        (r"right on 90 % of the validation points", []),
        (r"`epochs_to_90`", []),
        (r"cells that never were censored at (\d+)", [exact(experiment["train"]["epochs"] or 0)]),
        (r"the first epoch is 1", []),
        (r"\(below 0: fewer errors\)", []),
        (r"over all (\d+) comparisons", [exact(count)]),
        (r"\(−1: lower in every pair\)", []),
        (
            r"(\d+) pairs and (\d+) comparisons: no adjusted p value can be below ([\d.]+);",
            [exact(pairs), exact(count), exact(least)],
        ),
        (r"(\d+) cells diverged", [exact(recomputed.total("diverged"))]),
        (r"(\d+) cells never got better than guessing", [exact(recomputed.total("collapsed"))]),
        (
            r"(\d+) test images: chance alone moves a single error near one half by ([\d.]+) points",
            [exact(test), exact(100 * math.sqrt(0.25 / test))],
        ),
    ]


# polarity report --json


def audit_json(audit: Audit, report: dict[str, Any], recomputed: Recomputed) -> None:
    """Compares every number of the report's JSON form, which has full precision and every setting."""
    settings = recomputed.settings
    rows = dict(recomputed.rows)
    for found in report["rows"]:
        key = (tuple((name, str(found[name])) for name in settings), found["arm"])
        audit_row(audit, f"JSON, {place(key)}", found, rows.pop(key, None), [*settings, "arm"])
    comparisons = dict(recomputed.comparisons)
    for found in report["comparisons"]:
        at = tuple((name, str(found[name])) for name in settings)
        key = (at, found["arms"][0], found["measure"])
        audit_comparison(audit, f"JSON, {place(key)}", found, comparisons.pop(key, None))
    for key in [*rows, *comparisons]:
        audit.differs(f"JSON, {place(key)}", "not there")


def audit_row(audit: Audit, where: str, found: dict[str, Any], row: Row | None, keys: list[str]) -> None:
    """Compares a row of JSON, every key of it."""
    if row is None:
        audit.differs(where, "recomputed no such row")
        return
    expected: dict[str, Any] = {
        "cells": exact(row.cells),
        "diverged": exact(row.diverged),
        "collapsed": exact(row.collapsed),
        **row.estimates,
    }
    if row.learners:
        expected["test_error_of_learners"] = row.learners
    for name in (found.keys() | expected.keys()) - set(keys):
        value, number = found.get(name), expected.get(name)
        if isinstance(value, dict) and isinstance(number, Estimate):
            for part, end in zip(value.values(), number, strict=True):
                audit.value(f"{where}, {name}", part, end)
        elif isinstance(value, int) and isinstance(number, Number):
            audit.value(f"{where}, {name}", value, number)
        else:
            audit.differs(f"{where}, {name}", f"printed {value}, recomputed {number}")


def audit_comparison(audit: Audit, where: str, found: dict[str, Any], own: Comparison | None) -> None:
    """Compares a comparison of JSON."""
    if own is None:
        audit.differs(where, "recomputed no such comparison")
        return
    if found["test"] != own.test:
        audit.differs(f"{where}, test", f"printed {found['test']}, recomputed {own.test}")
    expected = {
        "pairs": exact(own.pairs),
        "difference": own.difference.estimate,
        "low": own.difference.low,
        "high": own.difference.high,
        "p": exact(own.p),
        "p_holm": exact(own.p_holm),
        "rank_biserial": None if own.effect is None else exact(own.effect),
        "p_mann_whitney": None if own.p_unpaired is None else exact(own.p_unpaired),
    }
    for name, number in expected.items():
        audit.value(f"{where}, {name}", found[name], number)


def place(key: tuple) -> str:
    """A key of rows or comparisons in words."""
    settings, *names = key
    return " ".join([*(value for _, value in settings), *names])
