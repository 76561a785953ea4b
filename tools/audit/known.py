"""Differences that are known, each with its reason: known.toml."""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

FILE = Path(__file__).with_name("known.toml")


@dataclass(frozen=True)
class Known:
    """The entries of the list: patterns of differences."""

    patterns: list[str]

    def sort(self, differences: list[str], complete: bool) -> tuple[list[str], list[str]]:
        """The differences that are not listed; where all studies were looked at, the entries without one."""
        new = [text for text in differences if not any(fnmatchcase(text, own) for own in self.patterns)]
        stale = [own for own in self.patterns if not any(fnmatchcase(text, own) for text in differences)]
        return new, [f"known.toml: nothing differs like `{own}`; delete it" for own in stale if complete]


def read(file: Path = FILE) -> Known:
    """The list; every entry must say why."""
    entries = tomllib.loads(file.read_text()).get("known", [])
    for entry in entries:
        if set(entry) != {"difference", "reason"} or not entry["reason"].strip():
            raise ValueError(f"{file}: an entry has `difference` and `reason`, got {entry}")
    return Known([entry["difference"] for entry in entries])
