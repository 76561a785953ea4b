"""What was printed: the tables and sentences of a report.md, number by number."""

import re
from dataclasses import dataclass
from typing import NamedTuple

NUMBER = re.compile(r"[-+−]?\d+(?:\.\d+)?|∞|<0\.001")


class Printed(NamedTuple):
    """A number as it was printed: the values that round to it."""

    text: str
    least: float
    most: float


@dataclass
class Table:
    """A Markdown table; columns that repeat a name (`p`, `r`) are named after the measure before."""

    columns: list[str]
    lines: list[dict[str, str]]


@dataclass
class Markdown:
    """A report.md: its tables, and the lines between them."""

    tables: list[Table]
    prose: list[str]

    def lines(self, start: str | None = None) -> list[str]:
        """The lines between the tables that begin with `start`; without it, those of plain prose."""
        if start:
            return [line for line in self.prose if line.startswith(start)]
        return [line for line in self.prose if not line.startswith(("- ", "Note: "))]


def read(text: str) -> Markdown:
    """The parts of `text`, in order."""
    report = Markdown([], [])
    is_table = False
    for line in text.splitlines():
        if not line.startswith("|"):
            report.prose.append(line)
        elif not is_table:
            report.tables.append(Table(columns(split(line)), []))
        elif not set(line) <= set("|-: "):
            table = report.tables[-1]
            table.lines.append(dict(zip(table.columns, split(line), strict=True)))
        is_table = line.startswith("|")
    return report


def split(line: str) -> list[str]:
    """The cells of a line of a table."""
    cells = re.split(r"(?<!\\)\|", line.strip())[1:-1]
    return [text.strip().replace("\\|", "|") for text in cells]


def columns(header: list[str]) -> list[str]:
    """The names of a header, `p` and `r` with their measure before them."""
    names: list[str] = []
    measure = ""
    for name in header:
        if name in ("p", "r"):
            names.append(f"{measure}: {name}")
        else:
            measure = name
            names.append(name)
    return names


def numbers(text: str) -> list[Printed]:
    """The numbers in a cell or sentence."""
    return [printed(found) for found in NUMBER.findall(text)]


def printed(text: str) -> Printed:
    """The values that `text` may stand for: half of its last digit to both sides."""
    if text == "∞":
        return Printed(text, float("inf"), float("inf"))
    if text == "<0.001":
        return Printed(text, 0.0, 0.0005)
    value = float(text.replace("−", "-"))
    half = 0.5 * 10 ** -len(text.partition(".")[2])
    # A half may be rounded to either side, and is no exact float.
    return Printed(text, value - half * (1 + 1e-6), value + half * (1 + 1e-6))
