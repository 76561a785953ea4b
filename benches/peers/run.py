#!/usr/bin/env python3
"""Ours beside PyTorch and JAX, on this machine, in one go: `make bench-peers`.

    python3 benches/peers/run.py [--threads N] [--program target/release/polarity]

PyTorch 2.11.0 and JAX are installed once, with pip, into a virtual environment below $POLARITY_CACHE (by
default ~/.cache/polarity; several GB, because the wheel brings CUDA). Every peer runs before and after
`polarity bench`, and the mean of its two medians counts, so that a machine that drifts is seen in the
column `drift`. Prints a table and writes it to results/bench/peers.csv.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

PEERS = Path(__file__).resolve().parent
ROOT = PEERS.parent.parent
PACKAGES = ["torch==2.11.0", "numpy", "jax"]
SCRIPTS = ["torch_adam.py", "torch_step.py"]


def main():
    arguments = parse()
    python = environment()
    peers = lambda: {script: run([python, PEERS / script, arguments.threads]) for script in SCRIPTS}
    before = peers()
    ours = run([arguments.program, "bench", "--json", "--threads", arguments.threads])
    after = peers()

    rows, times = [], {}
    for script in SCRIPTS:
        for name, value in before[script].items():
            if isinstance(value, float):
                again = after[script][name]
                times[name] = (value + again) / 2
                rows.append((f"PyTorch {name}", times[name], again / value - 1))
    frozen = our_case(ours, "Adam, frozen")
    rows.append(("polarity Adam, frozen", frozen, None))
    step = next(s["ms"] for s in ours["steps"] if s["case"] == "frozen Adam, float32")
    rows.append(("polarity training step", step, None))

    projected = min(v for k, v in times.items() if k.startswith("adam_fused_"))
    ratios = {
        "adam_vs_torch_fused": frozen / times["adam_fused"],
        "adam_vs_torch_fused_best": frozen / projected,
        "adam_vs_torch_fused_where": frozen / times["adam_fused_where"],
        "step_vs_torch": times["step"] / step,
    }
    show(rows, ratios)
    write(rows, ratios)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/polarity")
    return parser.parse_args()


def environment():
    """The Python that has the peers; made on the first call."""
    cache = Path(os.environ.get("POLARITY_CACHE") or Path.home() / ".cache/polarity")
    folder = cache / "peers"
    python, done = folder / "bin/python", folder / "complete"
    if not done.exists():
        print(f"installing {', '.join(PACKAGES)} in {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.touch()
    return python


def run(command):
    words = [str(word) for word in command]
    print("running", " ".join(Path(word).name for word in words[:2]), file=sys.stderr)
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: ended with code {done.returncode}")
    return json.loads(done.stdout)


def our_case(bench, name):
    """Milliseconds of the case with the most weights on all threads."""
    return [case["ms"] for case in bench["cases"] if case["case"] == name][-1]


def show(rows, ratios):
    for name, milliseconds, drift in rows:
        drift = "" if drift is None else f"{100 * drift:+8.1f} % drift"
        print(f"  {name:<32}{milliseconds:10.2f} ms{drift}")
    print()
    for name, value in ratios.items():
        print(f"  {name:<32}{value:10.3f}")


def write(rows, ratios):
    folder = ROOT / "results/bench"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "peers.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["case", "ms", "drift", "ratio"])
        for name, milliseconds, drift in rows:
            table.writerow([name, f"{milliseconds:.3f}", "" if drift is None else f"{drift:.4f}", ""])
        for name, value in ratios.items():
            table.writerow([name, "", "", f"{value:.4f}"])


if __name__ == "__main__":
    main()
