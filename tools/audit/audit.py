"""A report against what was recomputed: every number that was printed is claimed by one here."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

import claims
import reports
from claims import Answer
from recompute import Comparison, Recomputed, Row
from stats import Estimate, Number, exact

# Full precision, as floats of another order of operations agree.
RELATIVE = 1e-9
# Fewer test images than this are noted.
FEWEST_TEST_IMAGES = 2500


@dataclass
class Audit:
    """What was compared of one study, and what differs."""

    study: str
    compared: int = 0
    differences: list[str] = field(default_factory=list)

    def differs(self, where: str, what: str) -> None:
        self.differences.append(f"{self.study}: {where}: {what}")

    def text(self, where: str, text: str, expected: list[Number] | str) -> None:
        """Compares words, or the numbers printed in `text` with those expected, one by one."""
        if isinstance(expected, str):
            self.words(where, text, expected)
            return
        found = reports.numbers(text)
        self.compared += max(len(found), len(expected))
        if len(found) != len(expected):
            wanted = ", ".join(show(number) for number in expected) or "no number"
            self.differs(where, f"printed `{text}`, recomputed {wanted}")
            return
        for printed, number in zip(found, expected):
            if not (printed.least <= number.most and number.least <= printed.most):
                self.differs(where, f"printed {printed.text}, recomputed {show(number)}")

    def words(self, where: str, found: str | None, expected: str | None) -> None:
        """Compares words, whose numbers count."""
        self.compared += len(reports.numbers(expected or "")) or 1
        if found != expected:
            self.differs(where, f"printed `{found}`, recomputed `{expected}`")

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


# What the columns of a line say: numbers, or words. A line has its key: a claim, or settings and an arm.
Lines = dict[tuple[str, ...], dict[str, list[Number] | str]]


# report.md


def audit_markdown(audit: Audit, text: str, recomputed: Recomputed) -> None:
    """Compares every number of a report.md."""
    report = reports.read(text)
    expected = {
        "claims": claim_lines(recomputed),
        "medians": row_lines(recomputed),
        "differences": comparison_lines(recomputed),
    }
    expected = {name: lines for name, lines in expected.items() if lines}
    if len(report.tables) != len(expected):
        audit.differs("report.md", f"{len(report.tables)} tables, recomputed {len(expected)}")
    for table, (name, lines) in zip(report.tables, expected.items()):
        audit_table(audit, f"report.md, {name}", table, lines)
    audit_lines(audit, report.lines("- "), [claims.words(answer) for answer in recomputed.answers])
    audit_lines(audit, report.lines("Note: "), [f"Note: {note}." for note in notes(recomputed)])
    audit_prose(audit, report.lines(), recomputed)


def audit_table(audit: Audit, where: str, table: reports.Table, expected: Lines) -> None:
    """Compares a table; a line or a column that stands on one side only differs."""
    keys = 1 + table.columns.index("arm" if "arm" in table.columns else "claim")
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


def claim_lines(recomputed: Recomputed) -> Lines:
    """What the table of claims says."""
    lines: Lines = {}
    for answer in recomputed.answers:
        columns = claim_columns(answer)
        if answer.difference:
            columns["difference: p"] = [exact(answer.p)]
        lines[(answer.claim["id"],)] = columns
    return lines


def claim_columns(answer: Answer) -> dict[str, list[Number] | str]:
    """What every table of claims says of one."""
    columns = {"verdict": answer.verdict, "pairs": [exact(answer.pairs)]}
    if answer.difference:
        scale = 100 if claims.is_share(answer.claim) else 1
        columns["difference"] = numbers(answer.difference, scale)
        columns["p (Holm)"] = [exact(answer.p_holm)]
    return columns


def row_lines(recomputed: Recomputed) -> Lines:
    """The numbers of the table of arms."""
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
        if "best_step" in row.estimates:
            columns["untrained"] = [exact(row.untrained)]
        for name, estimate in row.estimates.items():
            if not name.startswith("epochs_to_0"):
                columns[name] = numbers(estimate, 100 if name in shares else 1)
        lines[(*(value for _, value in settings), arm)] = columns
    return lines


def comparison_lines(recomputed: Recomputed) -> Lines:
    """The numbers of the table of differences."""
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
        columns[f"{name}: p"] = [exact(found.p)]
        columns[f"{name}: r"] = [] if found.effect is None else [exact(found.effect)]
    return lines


def numbers(estimate: Estimate, scale: float) -> list[Number]:
    """The numbers of an estimate, without the ends where nothing bounds it."""
    printed = estimate if estimate.low.value > -math.inf else [estimate.estimate]
    return [Number(*(scale * value for value in number)) for number in printed]


def audit_lines(audit: Audit, printed: list[str], expected: list[str]) -> None:
    """Compares lines of words: each must stand in the report once, and no other."""
    for line in expected:
        audit.words("report.md", line if line in printed else None, line)
    for line in printed:
        if line not in expected or printed.count(line) > 1:
            audit.differs("report.md", f"printed `{line}`, recomputed no such line, or it stands twice")


def audit_prose(audit: Audit, lines: list[str], recomputed: Recomputed) -> None:
    """Compares the numbers of the other sentences; a number of no known sentence differs."""
    text = " ".join(lines).replace(f"# {recomputed.study.name}", "")
    for pattern, expected in sentences(recomputed):
        for found in re.finditer(pattern, text):
            audit.text(f"report.md, `{found[0]}`", " ".join(found.groups()), expected)
        text = re.sub(pattern, "", text)
    if unknown := [sentence for sentence in text.split(".") if re.search(r"\d", sentence)]:
        audit.differs("report.md", f"nothing was recomputed for `{'; '.join(unknown).strip()}`")


def sentences(recomputed: Recomputed) -> list[tuple[str, list[Number]]]:
    """Every sentence of a report that has numbers: its pattern, and the numbers of its groups."""
    experiment = recomputed.study.experiment
    epochs, baseline = experiment["train"]["epochs"] or 0, experiment["baseline"] or ""
    return [
        (rf"Difference to `{re.escape(baseline)}` in points", []),
        (r"by Holm's method over the claims of this file, (\d+) in all", [exact(len(recomputed.answers))]),
        (r"with (?:its )?95 % BCa bootstrap intervals?", []),
        (r"cells whose `best_step` is 0,", []),
        (r"right on 90 % of the validation points", []),
        (r"`epochs_to_90`", []),
        (r"cells that never were censored at (\d+)", [exact(epochs)]),
        (r"the first epoch is 1", []),
        (r"\(below 0: fewer errors\)", []),
        (r"\(−1: lower in every pair\)", []),
        (r"These (\d+) comparisons explore", [exact(len(recomputed.comparisons))]),
    ]


def notes(recomputed: Recomputed) -> list[str]:
    """What a reader should know before trusting the numbers."""
    study, found = recomputed.study, []
    if claims.digest(study.experiment.get("claims", [])) != study.manifest.get("claims_digest"):
        found.append(
            "the claims are not those that there were when the tables were written; `polarity run` "
            "writes their digest anew"
        )
    if few := claims.few_pairs(recomputed.answers):
        found.append(few)
    if diverged := recomputed.total("diverged"):
        found.append(f"{diverged} cells diverged; they are in no median and no difference of errors and "
                     "times, and in shares as cells like any")
    if collapsed := recomputed.total("collapsed"):
        found.append(
            f"{collapsed} cells never got better than guessing; they are in the medians and differences, "
            "but for the medians over learners"
        )
    if missing := study.manifest["cells"] - len(study.cells):
        found.append(f"{missing} cells have not run; `polarity run` runs them")
    images = study.experiment["data"]["test"]
    if images and images < FEWEST_TEST_IMAGES and study.manifest["data_digest"]:
        chance = f"{100 * math.sqrt(0.25 / images):.1f} points"
        found.append(f"{images} test images: chance alone moves a single error near one half by {chance}")
    return found


# Tables of claims in the pages


def audit_page(audit: Audit, name: str, text: str, answers: dict[str, list[Answer]]) -> None:
    """Compares the tables of claims in a page, which stand between marks, with the answers by study.

    A mark may name the studies of its table: `<!-- claims: NAME NAME -->`.
    """
    lines: dict[str, Lines] = {study: {} for study in answers}
    for study, answer in ((study, answer) for study in answers for answer in answers[study]):
        verdict = "undecided: could not be seen" if answer.doubt == claims.WIDE else answer.verdict
        lines[study][(study, answer.claim["says"])] = claim_columns(answer) | {"verdict": verdict}
    for block in text.split("<!-- claims")[1:]:
        names, _, block = block.partition("-->")
        studies = names.lstrip(":").split() or list(answers)
        wanted = {key: line for study in studies for key, line in lines.get(study, {}).items()}
        for table in reports.read(block.partition("<!-- end -->")[0]).tables:
            audit_table(audit, f"{name}, claims", table, wanted)


# polarity report --json


def audit_json(audit: Audit, report: dict[str, Any], recomputed: Recomputed) -> None:
    """Compares every number of the report's JSON form, which has full precision and every setting."""
    settings, first = recomputed.settings, recomputed.measures[0].name
    rows = dict(recomputed.rows)
    for found in report["rows"]:
        key = (tuple((name, str(found[name])) for name in settings), found["arm"])
        measured = {name: value for name, value in found.items() if name not in (*settings, "arm")}
        audit_row(audit, f"JSON, {place(key)}", measured, rows.pop(key, None), first)
    comparisons = dict(recomputed.comparisons)
    for found in report["comparisons"]:
        at = tuple((name, str(found[name])) for name in settings)
        key = (at, found["arms"][0], found["measure"])
        audit_comparison(audit, f"JSON, {place(key)}", found, comparisons.pop(key, None))
    for key in [*rows, *comparisons]:
        audit.differs(f"JSON, {place(key)}", "not there")
    if len(report["claims"]) != len(recomputed.answers):
        audit.differs("JSON, claims", f"{len(report['claims'])}, recomputed {len(recomputed.answers)}")
    for found, answer in zip(report["claims"], recomputed.answers):
        audit_claim(audit, f"JSON, claim {found['id']}", found, answer)
    audit.words("JSON, caveats", "; ".join(report["caveats"]), "; ".join(notes(recomputed)))


def audit_row(audit: Audit, where: str, found: dict[str, Any], row: Row | None, first: str) -> None:
    """Compares a row of JSON, every key of it; `first` is the measure that stands first."""
    if row is None:
        audit.differs(where, "recomputed no such row")
        return
    expected: dict[str, Any] = {
        "cells": exact(row.cells),
        "diverged": exact(row.diverged),
        "collapsed": exact(row.collapsed),
        "untrained": exact(row.untrained),
        **row.estimates,
    }
    if row.learners:
        expected[f"{first}_of_learners"] = row.learners
    for name in sorted(found.keys() | expected.keys()):
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
        "rank_biserial": None if own.effect is None else exact(own.effect),
        "p_mann_whitney": None if own.p_unpaired is None else exact(own.p_unpaired),
    }
    for name, number in expected.items():
        audit.value(f"{where}, {name}", found[name], number)


def audit_claim(audit: Audit, where: str, found: dict[str, Any], answer: Answer) -> None:
    """Compares a claim of JSON."""
    for name, words in answer.claim.items():
        audit.words(f"{where}, {name}", str(found.get(name)), str(words))
    audit.words(f"{where}, verdict", found["verdict"], answer.verdict)
    audit.words(f"{where}, doubt", found["doubt"], answer.doubt)
    known = answer.difference
    expected = {
        "pairs": exact(answer.pairs),
        "difference": known and known.estimate,
        "low": known and known.low,
        "high": known and known.high,
        "p": known and exact(answer.p),
        "p_holm": known and exact(answer.p_holm),
        "rank_biserial": known and exact(answer.effect),
    }
    for name, number in expected.items():
        audit.value(f"{where}, {name}", found[name], number)


def place(key: tuple) -> str:
    """A key of rows or comparisons in words."""
    settings, *names = key
    return " ".join([*(value for _, value in settings), *names])
