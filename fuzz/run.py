#!/usr/bin/env python3
"""Fuzzes every reader for a fixed number of executions and prints a table; exit 1 on a crash.

    python3 fuzz/run.py [--runs 100000] [--only FORMAT]…

What crashes is kept in target/fuzz/crashes, with the command that does it again. The summary is
target/fuzz/summary.json. Inputs that found new ways through the code are kept in target/fuzz/found and
start the next call; the corpora in fuzz/corpus are small, and are for every machine.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "target" / "fuzz"
PROGRAM = TARGET / "release" / "readers"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--runs", type=int, default=100_000)
    arguments.add_argument("--only", action="append", metavar="FORMAT")
    arguments = arguments.parse_args()
    if subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=HERE).returncode:
        return 1
    formats = sorted(folder.name for folder in (HERE / "corpus").iterdir() if folder.is_dir())
    if unknown := set(arguments.only or []) - set(formats):
        print(f"fuzz: no format {', '.join(sorted(unknown))}; there are {', '.join(formats)}", file=sys.stderr)
        return 2
    rows = []
    print(f"{'format':<12} {'executions':>10} {'a second':>9} {'corpus':>7} {'ways':>6} {'crashes':>8}", flush=True)
    for name in formats:
        if not arguments.only or name in arguments.only:
            rows.append(fuzz(name, arguments.runs))
            show(rows[-1])
    total = {key: sum(row[key] for row in rows) for key in ("executions", "corpus", "crashes", "seconds")}
    show({"format": "all", **total, "ways": sum(row["ways"] for row in rows)})
    summary = {"runs": arguments.runs, "formats": rows, **total}
    (TARGET / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    for row in rows:
        for command in row["again"]:
            print(f"{row['format']} crashed; again: {command}", file=sys.stderr)
    return 1 if total["crashes"] else 0


def fuzz(name, runs):
    """One format, from its corpus and from what was found before."""
    found = TARGET / "found" / name
    crashes = TARGET / "crashes" / name
    for folder in (found, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(crashes.iterdir())
    longest = max(4096, *(path.stat().st_size for path in (HERE / "corpus" / name).iterdir()))
    start = time.monotonic()
    # The seed is fixed, so that two calls on the same program and corpus do the same.
    output = subprocess.run(
        [PROGRAM, f"-runs={runs}", "-seed=1", f"-max_len={longest}", "-timeout=20", "-rss_limit_mb=0"]
        + ["-len_control=0", "-print_final_stats=1", f"-artifact_prefix={crashes}/", found, HERE / "corpus" / name],
        env={**os.environ, "POLARITY_FUZZ": name, "RUST_BACKTRACE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    (TARGET / f"{name}.log").write_text(output.stdout)
    new = sorted(set(crashes.iterdir()) - before)
    done = re.findall(r"stat::number_of_executed_units:\s*(\d+)", output.stdout)
    ways = re.findall(r"cov: (\d+)", output.stdout)
    again = [f"POLARITY_FUZZ={name} {PROGRAM.relative_to(HERE.parent)} {path.relative_to(HERE.parent)}" for path in new]
    if output.returncode and not new:
        again = [f"see {TARGET.relative_to(HERE.parent)}/{name}.log"]
    return {
        "format": name,
        "executions": int(done[-1]) if done else 0,
        "seconds": round(time.monotonic() - start, 1),
        "corpus": len(list(found.iterdir())) + len(list((HERE / "corpus" / name).iterdir())),
        "ways": int(ways[-1]) if ways else 0,
        "crashes": len(again),
        "again": again,
    }


def show(row):
    rate = row["executions"] / max(row["seconds"], 0.1)
    print(
        f"{row['format']:<12} {row['executions']:>10,} {rate:>9,.0f} {row['corpus']:>7,} {row['ways']:>6,} {row['crashes']:>8}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
