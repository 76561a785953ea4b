"""The audit's own Python: `target/audit`, made once from requirements.txt by venv and pip.

Only the standard library is used here, so that any Python 3.11 can start the audit.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "target" / "audit"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def enter() -> None:
    """Goes on in the audit's own Python, which is made first where it is missing or out of date."""
    if sys.version_info < (3, 11):
        sys.exit(f"audit: python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    if Path(sys.prefix).resolve() == HOME.resolve():
        return
    made_from = HOME / "requirements.txt"
    if not made_from.exists() or made_from.read_text() != REQUIREMENTS.read_text():
        make()
        made_from.write_text(REQUIREMENTS.read_text())
    python = str(HOME / "bin" / "python")
    os.execv(python, [python, *sys.argv])


def make() -> None:
    """Makes the environment anew; pip stays outside, so that no system package is needed for it."""
    print(f"audit: making {HOME.relative_to(ROOT)} (NumPy, SciPy, lifelines; 400 MB, once) ...", flush=True)
    venv.create(HOME, clear=True, symlinks=True, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(HOME / "bin" / "python"), "install"]
    quiet = ["--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, *quiet, "--requirement", str(REQUIREMENTS)]).returncode != 0:
        sys.exit("audit: pip could not install it (its message is above); mend the connection and call again")
