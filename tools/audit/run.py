#!/usr/bin/env python3
"""Recomputes every number of the published reports from their tables, with NumPy, SciPy and lifelines.

    python3 tools/audit/run.py                     all studies in results/
    python3 tools/audit/run.py --study demo        one of them (may be given more than once)
    python3 tools/audit/run.py --program FILE      also compares `FILE report --json`, at full precision

Says one line a study, then what differs, and fails where a difference is not in known.toml.
"""

import environment

environment.enter()

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import known
import tables
from audit import Audit, audit_json, audit_markdown, audit_page
from recompute import Recomputed

RESULTS = environment.ROOT / "results"


def main() -> int:
    arguments = parse()
    listed = known.read()
    try:
        audits = list(audit_all(arguments))
    except tables.Unreadable as error:
        sys.exit(f"audit: {error}")
    differences = [difference for audit in audits for difference in audit.differences]
    new, stale = listed.sort(differences, complete=not arguments.study)
    for line in [*new, *stale]:
        print(line)
    compared = sum(audit.compared for audit in audits)
    print(f"audit: {compared} numbers, {len(differences)} differ, {len(new)} of these not in known.toml")
    return 1 if new or stale else 0


def audit_all(arguments: argparse.Namespace) -> Iterator[Audit]:
    """Audits the studies that were asked for; after all of them the pages that have their claims."""
    answers = {}
    for name in studies(arguments):
        folder = arguments.results / name
        recomputed = Recomputed(tables.read(folder))
        answers[name] = recomputed.answers
        yield said(audit_study(folder, recomputed, arguments.program))
    if not arguments.study and arguments.results == RESULTS:
        audit = Audit("pages")
        for page in [environment.ROOT / "README.md", *sorted((environment.ROOT / "docs").glob("*.md"))]:
            audit_page(audit, page.name, page.read_text(), answers)
        yield said(audit)


def said(audit: Audit) -> Audit:
    """The audit, of which a line was printed."""
    print(f"{audit.study}: {audit.compared} numbers, {len(audit.differences)} differ", flush=True)
    return audit


def parse() -> argparse.Namespace:
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    parser.add_argument("--study", action="append", default=[], metavar="NAME")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--program", type=Path, metavar="FILE")
    return parser.parse_args()


def studies(arguments: argparse.Namespace) -> list[str]:
    """The studies that were asked for, else all that have a report."""
    found = sorted(path.parent.name for path in arguments.results.glob("*/report.md"))
    if unknown := set(arguments.study) - set(found):
        names = ", ".join(sorted(unknown))
        sys.exit(f"audit: no report of {names} in {arguments.results}; there is {', '.join(found)}")
    if not found:
        sys.exit(f"audit: no report in {arguments.results}; `polarity report` makes them")
    return arguments.study or found


def audit_study(folder: Path, recomputed: Recomputed, program: Path | None) -> Audit:
    """Audits the reports of one study."""
    audit = Audit(folder.name)
    audit_markdown(audit, (folder / "report.md").read_text(), recomputed)
    if program:
        audit_json(audit, report_json(program, folder), recomputed)
    return audit


def report_json(program: Path, folder: Path) -> dict:
    """What the program prints of a study for programs: the numbers to compare, never to compute with."""
    if not program.exists():
        raise tables.Unreadable(f"{program}: not here; `make build` builds it")
    found = subprocess.run([program, "report", folder, "--json"], capture_output=True, text=True)
    if found.returncode != 0:
        raise tables.Unreadable(f"`{program} report {folder} --json` failed: {found.stderr.strip()}")
    return json.loads(found.stdout)


if __name__ == "__main__":
    sys.exit(main())
