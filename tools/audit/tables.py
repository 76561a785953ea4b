"""The tables of a study as exact values: errors as wrong images of so many, settings, steps, epochs."""

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

# Swept settings by name, as in the columns between `arm` and `seed`.
Settings = tuple[tuple[str, str], ...]


class Missing(Exception):
    """A file that the audit needs is not there, or is not what it must be."""


@dataclass(frozen=True)
class Cell:
    """A row of trials.csv with its rows of curves.csv."""

    id: str
    arm: str
    settings: Settings
    seed: int
    status: str
    steps: int
    test_error: Fraction | None
    validation_error: Fraction | None
    test_error_last: Fraction | None
    validation_error_last: Fraction | None
    least_validation_error: Fraction | None
    has_milestones: bool
    epochs_to_90: int | None
    # Validation errors by step, rising.
    curve: dict[int, Fraction]

    def setting(self, name: str) -> int:
        """The value of a swept setting."""
        return int(dict(self.settings)[name])


@dataclass(frozen=True)
class Study:
    """A folder of results."""

    name: str
    folder: Path
    manifest: dict[str, Any]
    cells: list[Cell]

    @property
    def experiment(self) -> dict[str, Any]:
        """The experiment file, every default said."""
        return self.manifest["experiment"]

    def groups(self) -> dict[tuple[Settings, str], list[Cell]]:
        """The cells of the arms by settings and arm, in the order of the report."""
        found: dict[Settings, dict[str, list[Cell]]] = {}
        for cell in self.cells:
            if cell.arm in self.experiment["arms"]:
                found.setdefault(cell.settings, defaultdict(list))[cell.arm].append(cell)
        arms = self.experiment["arms"]
        return {
            (settings, arm): by_arm[arm] for settings, by_arm in found.items() for arm in arms if arm in by_arm
        }


def read(folder: Path) -> Study:
    """The study in `folder`."""
    for name in ("trials.csv", "curves.csv", "manifest.json"):
        if not (folder / name).exists():
            raise Missing(f"{folder / name}: not here; `polarity run` makes it")
    manifest = json.loads((folder / "manifest.json").read_text())
    curves: dict[str, dict[int, Fraction]] = defaultdict(dict)
    with open(folder / "curves.csv", newline="") as file:
        for row in csv.DictReader(file):
            curves[row["id"]][int(row["step"])] = share(row["validation_error"])
    with open(folder / "trials.csv", newline="") as file:
        table = csv.DictReader(file)
        names = list(table.fieldnames or [])
        swept = names[names.index("arm") + 1 : names.index("seed")]
        cells = [cell(row, swept, curves) for row in table]
    return Study(manifest["name"], folder, manifest, cells)


def cell(row: dict[str, str], swept: list[str], curves: dict[str, dict[int, Fraction]]) -> Cell:
    """One row of trials.csv."""
    return Cell(
        id=row["id"],
        arm=row["arm"],
        settings=tuple((name, row[name]) for name in swept),
        seed=int(row["seed"]),
        status=row["status"],
        steps=int(row["steps"]),
        test_error=share(row["test_error"]),
        validation_error=share(row["validation_error"]),
        test_error_last=share(row.get("test_error_last", "")),
        validation_error_last=share(row.get("validation_error_last", "")),
        least_validation_error=share(row.get("least_validation_error", "")),
        has_milestones=bool(row.get("least_validation_error")),
        epochs_to_90=int(row["epochs_to_90"]) if row.get("epochs_to_90") else None,
        curve=dict(sorted(curves.get(row["id"], {}).items())),
    )


def share(text: str) -> Fraction | None:
    """An error as a fraction of whole images, nothing where there is none."""
    return Fraction(text).limit_denominator(10_000) if text else None
