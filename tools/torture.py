"""Tries to break results and readers for as long as it takes, and says what came of it.

Kills, full disks and shards are tests/torture.rs, at the size asked for; hostile files are the fuzz targets (`make
fuzz`), whose counts are read from target/fuzz/summary.json. With --write the figures in docs/reliability.md are
renewed.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
FUZZED = ROOT / "target" / "fuzz" / "summary.json"
BEGIN, END = "<!-- torture -->", "<!-- /torture -->"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=50, help="kills of each of the two studies")
    arguments.add_argument("--write", action="store_true", help="renew the figures in docs/reliability.md")
    arguments = arguments.parse_args()
    counts = tortured(arguments.kills)
    rows = [
        ("kills survived", counts["kills"]),
        ("full disks survived", counts["full disks"]),
        ("finished cells lost", counts["lost"]),
        ("tables with other bytes", counts["different"]),
    ]
    if FUZZED.exists():
        fuzzed = json.loads(FUZZED.read_text())
        rows += [("corrupted inputs tried", fuzzed["executions"]), ("panics", fuzzed["crashes"])]
    else:
        print("target/fuzz/summary.json is not there: run `make fuzz` for the hostile files", file=sys.stderr)
    for name, number in rows:
        print(f"{name:24} {number:>12,}")
    if arguments.write:
        write(rows, arguments.kills)
    bad = sum(number for name, number in rows if name in ("finished cells lost", "tables with other bytes", "panics"))
    sys.exit(1 if bad else 0)


def tortured(kills):
    """What tests/torture.rs counted."""
    with tempfile.TemporaryDirectory() as folder:
        counted = pathlib.Path(folder) / "counts"
        environment = dict(os.environ, POLARITY_TORTURE=str(kills), POLARITY_TORTURE_COUNTS=str(counted))
        command = ["cargo", "test", "--release", "--locked", "--test", "torture", "--", "--test-threads", "1"]
        status = subprocess.run(command, cwd=ROOT, env=environment).returncode
        counts = collections.Counter()
        for line in counted.read_text().splitlines() if counted.exists() else []:
            name, number = line.rsplit(" ", 1)
            counts[name] += int(number)
    if status != 0 and counts["lost"] == counts["different"] == 0:
        sys.exit("torture: a test failed, see above")
    return counts


def write(rows, kills):
    """Puts the figures into the page."""
    today = datetime.date.today().isoformat()
    lines = [BEGIN, f"`make torture KILLS={kills}`, {today}:", "", "| | |", "| --- | ---: |"]
    lines += [f"| {name} | {number:,} |" for name, number in rows]
    text = PAGE.read_text()
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    PAGE.write_text(re.sub(pattern, "\n".join([*lines, END]), text, flags=re.DOTALL))


if __name__ == "__main__":
    main()
