#!/usr/bin/env python3
"""Ours beside PyTorch and JAX, on this machine, in one go: `make bench-peers`.

    python3 benches/peers/run.py [--threads N] [--program target/release/polarity]
    python3 benches/peers/run.py --gpu cuda:0     PyTorch alone, the shapes of `polarity bench --device cuda:0`

PyTorch 2.11.0 and JAX are installed once, with pip, into a virtual environment below $POLARITY_CACHE (by
default ~/.cache/polarity; several GB, because the wheel brings CUDA). Every peer runs before and after
`polarity bench`, and the mean of its two medians counts; the column `drift` shows how far a machine went
astray meanwhile. Prints a table and writes it to results/bench/peers.csv.
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
TORCH = ["torch_adam.py", "torch_step.py"]
JAX = "xor_jax.py"
# Side in pixels and batch, as in src/bench/device.rs.
GPU_SHAPES = [(64, 1000), (227, 256)]


def main():
    arguments = parse()
    python = environment()
    if arguments.gpu:
        return on_gpu(python, arguments)
    before = peers(python, arguments.threads)
    ours = run([arguments.program, "bench", "--json", "--threads", arguments.threads])
    after = peers(python, arguments.threads)

    rows, times = [], {}
    for name, value in before.items():
        times[name] = (value + after[name]) / 2
        rows.append((name, times[name], after[name] / value - 1))
    frozen = our_case(ours, "Adam, frozen")
    step = next(s["ms"] for s in ours["steps"] if s["case"] == "frozen Adam, float32")
    nets = ours["ensembles"][-1]["net_steps_per_second"]
    rows.append(("polarity Adam, frozen, ms", frozen, None))
    rows.append(("polarity training step, ms", step, None))
    rows.append(("polarity XOR net-steps/s", nets, None))

    torch = lambda name: times[f"PyTorch {name}, ms"]
    held = ["adam_fused_clamp", "adam_fused_constant", "adam_fused_where"]
    ratios = {
        "adam_vs_torch_fused": frozen / torch("adam_fused"),
        "adam_vs_torch_fused_best": frozen / min(torch(name) for name in held),
        "adam_vs_torch_fused_where": frozen / torch("adam_fused_where"),
        "step_vs_torch": torch("step") / step,
        "xor_vs_jax": nets / times["JAX XOR net-steps/s"],
    }
    show(rows, ratios)
    write(rows, ratios)


def on_gpu(python, arguments):
    for side, batch in GPU_SHAPES:
        step = run([python, PEERS / "torch_step.py", arguments.threads, arguments.gpu, side, batch])
        images = 1e3 * batch / step["step"]
        print(f"  PyTorch {step['torch']}, fused Adam, float32, {side} px, batch {batch}: {step['step']:.2f} ms, "
              f"optimizer {step['optimizer']:.2f}; {images:.0f} images/s")  # fmt: skip


def peers(python, threads):
    """What each peer measures, by name."""
    measured = {}
    for script in TORCH:
        for name, value in run([python, PEERS / script, threads]).items():
            if isinstance(value, float):
                measured[f"PyTorch {name}, ms"] = value
    measured["JAX XOR net-steps/s"] = run([python, PEERS / JAX])["net_steps_per_second"]
    return measured


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    parser.add_argument("--gpu", metavar="cuda:N", help="PyTorch's training step on this GPU, and nothing else")
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
    for name, value, drift in rows:
        drift = "" if drift is None else f"{100 * drift:+8.1f} % drift"
        print(f"  {name:<36}{value:12.2f}{drift}")
    print()
    for name, value in ratios.items():
        print(f"  {name:<36}{value:12.3f}")


def write(rows, ratios):
    folder = ROOT / "results/bench"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "peers.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["measure", "value", "drift"])
        for name, value, drift in rows:
            table.writerow([name, f"{value:.3f}", "" if drift is None else f"{drift:.4f}"])
        for name, value in ratios.items():
            table.writerow([name, f"{value:.4f}", ""])


if __name__ == "__main__":
    main()
