#!/usr/bin/env python3
"""Puts libtorch 2.11.0 where cargo finds it: the link `.libtorch` at the root of this checkout.

    python3 tools/libtorch.py           set up what is missing; instant when nothing is
    python3 tools/libtorch.py cuda      the one with CUDA (3 GB more); `cpu` goes back to the other
    LIBTORCH=DIR python3 tools/libtorch.py               use that libtorch, if its version fits
    LIBTORCH_USE_PYTORCH=1 python3 tools/libtorch.py     use the PyTorch of this Python, likewise

The CPU half of the PyTorch wheel is a whole libtorch. The wheels (540 MB) come through pip, are checked
against the digests in tools/libtorch.txt, and are deleted once unpacked (500 MB) into
$POLARITY_CACHE, by default ~/.cache/polarity, which all checkouts share. A download cut off half-way
leaves the finished wheels in place, and the next call goes on from there.

With CUDA it is the whole of PyTorch's libraries and NVIDIA's beside them (tools/libtorch-cuda.txt), in one folder. A
program that was built beside either runs with both: it looks for `libtorch_cuda.so` when it starts.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "2.11.0"
ROOT = Path(__file__).resolve().parent.parent
LINK = ROOT / ".libtorch"
# The newest glibc tag first; pip matches each one exactly.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1)] + ["manylinux2014_x86_64"]
# What is taken of the wheels' `lib` folders; nothing of CUDA needs the rest of PyTorch's.
WANTED = {
    "cpu": ("libtorch_cpu.so", "libc10.so", "libgomp", "libcudart.so.", "libcupti.so."),
    "cuda": ("lib",),
}
LEFT_OUT = ("libtorch_python.so", "libtorch_global_deps.so", "libshm.so", "libtorch.so")
LISTS = {"cpu": "libtorch.txt", "cuda": "libtorch-cuda.txt"}
HEAVY = {"cpu": "540 MB", "cuda": "2.7 GB"}
ROOM = {"cpu": "3 GB", "cuda": "12 GB"}


def main():
    if os.environ.get("LIBTORCH_USE_PYTORCH"):
        return report(python_torch(), "the PyTorch of python3 (LIBTORCH_USE_PYTORCH)")
    if given := os.environ.get("LIBTORCH"):
        return report(given_libtorch(Path(given)), f"{given} (LIBTORCH)")
    device = wanted_device()
    home = cache() / ("libtorch-" + VERSION + ("-cuda" if device == "cuda" else ""))
    if not (home / "build-version").exists():
        fetch(home, device)
    link(home)


def wanted_device():
    """`cpu` or `cuda`: what was asked for, else what is linked already, else `cpu`."""
    if sys.argv[1:] and sys.argv[1:] not in (["cpu"], ["cuda"]):
        fail(f"expected `cpu` or `cuda`, got `{' '.join(sys.argv[1:])}`; for example `make setup DEVICE=cuda`")
    if sys.argv[1:]:
        return sys.argv[1]
    return "cuda" if LINK.is_symlink() and LINK.resolve().name.endswith("-cuda") else "cpu"


def cache():
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("POLARITY_CACHE") or base / "polarity")


def report(version, where):
    """Accepts the user's own libtorch, or says which version is needed and how to get it."""
    if version.split("+")[0] != VERSION:
        fail(
            f"{where}: libtorch {VERSION} is needed, this is {version}; "
            "point it at that version, or unset it and `make setup` fetches one"
        )
    print(f"libtorch {version}: {where}")


def python_torch():
    print_version = "import torch; print(torch.__version__)"
    found = subprocess.run(["python3", "-c", print_version], capture_output=True, text=True)
    if found.returncode != 0:
        fail(f"LIBTORCH_USE_PYTORCH is set, but python3 cannot import torch; `pip install torch=={VERSION}`")
    return found.stdout.strip()


def given_libtorch(home):
    if not (home / "lib").is_dir():
        fail(f"LIBTORCH={home}: no folder `lib` in it; it must hold `lib`, `include` and `build-version`")
    for name in ("build-version", "version.py"):
        if (home / name).exists():
            text = (home / name).read_text()
            return text.split("__version__ = '")[1].split("'")[0] if name == "version.py" else text.strip()
    fail(f"LIBTORCH={home}: neither `build-version` nor `version.py` in it, so its version is unknown")


def fetch(home, device):
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        fail(
            f"no ready libtorch for {platform.system()} {platform.machine()}: `pip install torch=={VERSION}` "
            "and set LIBTORCH_USE_PYTORCH=1"
        )
    wheels = cache() / ("wheels" if device == "cpu" else "wheels-cuda")
    try:
        wheels.mkdir(parents=True, exist_ok=True)
        download(wheels, device)
        unpack(wheels, home, device)
    except OSError as error:
        fail(f"{error}; free some room ({ROOM[device]}), or choose another folder with POLARITY_CACHE=DIR")
    shutil.rmtree(wheels)


def download(wheels, device):
    print(f"fetching libtorch {VERSION} for {device} ({HEAVY[device]}, once) ...", flush=True)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    target = ["--implementation", "cp", "--python-version", "3.12"]
    target += [word for tag in PLATFORMS for word in ("--platform", tag)]
    files = ["--dest", str(wheels), "--requirement", str(ROOT / "tools" / LISTS[device])]
    quiet = ["--quiet", "--disable-pip-version-check"]
    if subprocess.run(pip + target + files + quiet).returncode != 0:
        fail(
            "pip could not download libtorch (its message is above); mend the connection and call again, "
            f"or set LIBTORCH to a libtorch {VERSION}, or LIBTORCH_USE_PYTORCH=1 beside a PyTorch {VERSION}"
        )


def unpack(wheels, home, device):
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        new = Path(scratch) / "libtorch"
        (new / "lib").mkdir(parents=True)
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.infolist():
                    place(archive, member, new, device)
        (new / "build-version").write_text(f"{VERSION}\n")
        new.rename(home)


def place(archive, member, new, device):
    name = Path(member.filename)
    is_library = name.parts[-2:-1] == ("lib",) and ".so" in name.name and name.name not in LEFT_OUT
    if is_library and name.name.startswith(WANTED[device]):
        target = new / "lib" / name.name
    elif name.parts[:2] == ("torch", "include") and not member.is_dir():
        target = new / Path(*name.parts[1:])
    elif name.parts[1:2] == ("licenses",) and name.name in ("LICENSE", "NOTICE"):
        target = new / name.name
    else:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, open(target, "wb") as plain:
        shutil.copyfileobj(packed, plain)


def link(home):
    """Points `.libtorch` at the shared copy; cargo reads it through .cargo/config.toml."""
    torch = home / "lib" / "libtorch.so"
    if not torch.exists():
        torch.symlink_to("libtorch_cpu.so")
    if LINK.is_symlink() and LINK.resolve() == home.resolve():
        return
    LINK.unlink(missing_ok=True)
    LINK.symlink_to(home)
    print(f"libtorch {VERSION}: {home}")


def fail(message):
    sys.exit(f"libtorch: {message}")


if __name__ == "__main__":
    main()
