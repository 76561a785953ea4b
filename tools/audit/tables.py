"""The tables of a study as exact values: errors as wrong images of so many, settings, steps, epochs."""

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Iterator

# Swept settings by name, as in the columns between `arm` and `seed`, but the seed of the source.
Settings = tuple[tuple[str, str], ...]

SOURCE_SEED = "source_seed"
IMAGES = ("validation_images", "test_images")


class Unreadable(Exception):
    """A file that the audit needs is not there, or is not what it must be."""


@dataclass(frozen=True)
class Cell:
    """A row of trials.csv with its rows of curves.csv."""

    arm: str
    settings: Settings
    # The seed of the source that it takes from, where there are several.
    source_seed: int | None
    seed: int
    status: str
    steps: int
    best_step: int | None
    test_error: Fraction | None
    validation_error: Fraction | None
    test_error_last: Fraction | None
    validation_error_last: Fraction | None
    least_validation_error: Fraction | None
    validation_images: int | None
    test_images: int | None
    epochs_to_90: int | None
    # Validation errors by step, rising.
    curve: dict[int, Fraction]

    @property
    def has_milestones(self) -> bool:
        """Whether it is a network for points, which says what it reached after any epoch."""
        return self.least_validation_error is not None

    def setting(self, name: str) -> int:
        """The value of a swept setting."""
        return int(dict(self.settings)[name])


@dataclass(frozen=True)
class Study:
    """A folder of results."""

    name: str
    manifest: dict[str, Any]
    cells: list[Cell]

    @property
    def experiment(self) -> dict[str, Any]:
        """The experiment file, every default said."""
        return self.manifest["experiment"]

    def groups(self) -> dict[tuple[Settings, str], list[Cell]]:
        """The cells of the arms by settings and arm, in the order of the report."""
        arms = self.experiment["arms"]
        found: dict[Settings, dict[str, list[Cell]]] = {}
        for cell in self.cells:
            if cell.arm in arms:
                found.setdefault(cell.settings, defaultdict(list))[cell.arm].append(cell)
        return {(at, arm): by_arm[arm] for at, by_arm in found.items() for arm in arms if arm in by_arm}


def read(folder: Path) -> Study:
    """The study in `folder`."""
    for name in ("trials.csv", "curves.csv", "manifest.json"):
        if not (folder / name).exists():
            raise Unreadable(f"{folder / name}: not here; `polarity run` makes it")
    manifest = json.loads((folder / "manifest.json").read_text())
    rows = list(lines(folder / "trials.csv"))
    if rows and not set(IMAGES) <= rows[0].keys():
        raise Unreadable(f"{folder / 'trials.csv'}: no column `{IMAGES[0]}`; `polarity run` writes it anew")
    images = {row["id"]: row["validation_images"] for row in rows}
    curves: dict[str, dict[int, Fraction]] = defaultdict(dict)
    for row in lines(folder / "curves.csv"):
        curves[row["id"]][int(row["step"])] = error(row["validation_error"], images[row["id"]])
    return Study(manifest["name"], manifest, [cell(row, curves.get(row["id"], {})) for row in rows])


def lines(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table by column."""
    with open(path, newline="") as file:
        yield from csv.DictReader(file)


def cell(row: dict[str, str], curve: dict[int, Fraction]) -> Cell:
    """One row of trials.csv."""
    names = list(row)
    swept = names[names.index("arm") + 1 : names.index("seed")]
    validation, test = (row[name] for name in IMAGES)
    return Cell(
        arm=row["arm"],
        settings=tuple((name, row[name]) for name in swept if name != SOURCE_SEED),
        source_seed=whole(row.get(SOURCE_SEED, "")),
        seed=int(row["seed"]),
        status=row["status"],
        steps=int(row["steps"]),
        best_step=whole(row["best_step"]),
        test_error=error(row["test_error"], test),
        validation_error=error(row["validation_error"], validation),
        test_error_last=error(row["test_error_last"], test),
        validation_error_last=error(row["validation_error_last"], validation),
        least_validation_error=error(row.get("least_validation_error", ""), validation),
        validation_images=whole(validation),
        test_images=whole(test),
        epochs_to_90=whole(row.get("epochs_to_90", "")),
        curve=dict(sorted(curve.items())),
    )


def whole(text: str) -> int | None:
    """A whole number, nothing where there is none."""
    return int(text) if text else None


def error(share: str, images: str) -> Fraction | None:
    """A share of images as the count it must be, over all; nothing where there is none."""
    if not share:
        return None
    wrong = round(float(share) * int(images))
    if float(share) != wrong / int(images):
        raise Unreadable(f"the error {share} is no whole number of {images} images")
    return Fraction(wrong, int(images))
