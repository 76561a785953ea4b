#!/usr/bin/env python3
"""A PyTorch from the registry that computes on the CPU, in a virtual environment of its own.

    python3 tools/pytorch.py 2.11.0 target/python/torch-2.11.0

The Linux wheels of PyTorch on the registry are built for CUDA, and what they ask for beside it weighs 3 GB. A machine
without a GPU calls nothing of that, but the loader wants every library to be there and every function to be found:
the CUDA runtime and its tracer, which PyTorch calls when it is loaded, are installed (15 MB), and the others are
libraries of a few kB, compiled here, whose functions end the program. `torch.cuda.is_available()` is False, as with
the real ones.

The packages are kept in $POLARITY_CACHE, by default ~/.cache/polarity, which all checkouts share; the environment
sees them through a path file. A call that finds both in place is instant.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

# What `import torch` and its compiler's front end need, and what our tests do.
BESIDE = [
    "sympy",
    "networkx",
    "jinja2",
    "fsspec",
    "filelock",
    "typing-extensions",
    "setuptools",
    "pytest",
    "hypothesis",
]
# The first PyTorch that was built beside NumPy 2.
NUMPY_2 = (2, 3)
# Libraries that have to be the real ones: soname, and the package that has it up to and from CUDA 13.
REAL = {"libcudart": "nvidia-cuda-runtime", "libcupti": "nvidia-cuda-cupti"}
# The others, and the functions that they have.
STAND_IN = re.compile(r"lib(cu|nccl|nv)")
ABSENT = re.compile(r"(cudnn|cublas|cufft|cusparse|cusolver|curand|cuFile|nccl|pnccl|nvtx|nvshmem|nvrtc)")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    version, environment = sys.argv[1], Path(sys.argv[2]).absolute()
    packages = cache() / f"pytorch-{version}-py{sys.version_info.major}{sys.version_info.minor}"
    if not packages.is_dir():
        fetch(version, packages)
    if not (environment / "bin/python").exists():
        venv.create(environment, with_pip=True, symlinks=True)
    library = next((environment / "lib").glob("python*/site-packages"))
    (library / "pytorch.pth").write_text(f"{packages}\n")


def cache():
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("POLARITY_CACHE") or base / "polarity")


def fetch(version, packages):
    """Installs into a folder beside `packages`, and renames it once it is whole."""
    print(f"fetching PyTorch {version} (some 550 MB, once) ...", flush=True)
    packages.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=packages.parent) as scratch:
        new = Path(scratch) / "packages"
        old_numpy = tuple(map(int, version.split(".")[:2])) < NUMPY_2
        pip(new, BESIDE + ["numpy<2" if old_numpy else "numpy"])
        if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
            pip(new, ["--no-deps", f"torch=={version}"])
            stand_in(new)
        else:
            pip(new, [f"torch=={version}"])
        check(new, version)
        new.rename(packages)


def pip(target, what):
    command = [sys.executable, "-m", "pip", "install", "-qq", "--no-compile", "--disable-pip-version-check"]
    found = subprocess.run([*command, "--root-user-action=ignore", "--target", str(target), *what])
    if found.returncode != 0:
        fail(f"pip could not install {' '.join(what)} (its message is above); mend the connection and call again")


def stand_in(packages):
    """Puts every library in place that PyTorch's own ask for."""
    lib = packages / "torch/lib"
    missing = wanted(lib) - {path.name for path in packages.rglob("*.so*")}
    real = []
    for soname in sorted(missing):
        name, _, major = soname.partition(".so.")
        if package := REAL.get(name):
            real.append(f"{package}=={major}.*" if int(major) >= 13 else f"{package}-cu{major}")
    # In one call: pip does not add to a folder that a package made before.
    pip(packages, ["--no-deps", *real])
    absent = sorted(name for name in missing if STAND_IN.match(name) and name.partition(".so.")[0] not in REAL)
    functions = sorted(undefined(lib))
    for soname in absent:
        # One of them has the functions of all: the loader looks in each.
        compile_library(lib / soname, functions if soname == absent[0] else [])


def wanted(lib):
    """The sonames that the libraries in `lib` ask for, but the driver's, which is loaded when it is used."""
    text = "".join(run("readelf", "-d", path) for path in lib.glob("*.so*"))
    return set(re.findall(r"NEEDED.*\[(.*)\]", text)) - {"libcuda.so.1"}


def undefined(lib):
    """The functions of absent libraries that those in `lib` call."""
    text = "".join(run("nm", "-D", "--undefined-only", path) for path in lib.glob("libtorch*.so"))
    names = (line.split()[-1].split("@")[0] for line in text.splitlines())
    return {name for name in names if ABSENT.match(name)}


def compile_library(path, functions):
    code = "extern void abort(void);\n" + "".join(f"void {name}(void) {{ abort(); }}\n" for name in functions)
    command = ["cc", "-shared", "-w", f"-Wl,-soname,{path.name}", "-o", str(path), "-x", "c", "-"]
    if subprocess.run(command, input=code.encode()).returncode != 0:
        fail("cc could not compile an empty library (its message is above); cargo needs a C compiler too: install gcc")


def check(packages, version):
    code = "import torch, numpy; torch.from_numpy(numpy.ones(1)); print(torch.__version__.split('+')[0])"
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    if found.stdout.strip() != version:
        fail(f"PyTorch {version} is installed and cannot be imported:\n{found.stdout}{found.stderr}")


def run(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def fail(message):
    sys.exit(f"pytorch: {message}")


if __name__ == "__main__":
    for tool in ("readelf", "nm", "cc"):
        if platform.system() == "Linux" and shutil.which(tool) is None:
            fail(f"there is no `{tool}`; cargo needs a C compiler and its tools too: install gcc and binutils")
    main()
