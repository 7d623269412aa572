"""
figures: a median and its spread, since single measurements on a shared machine say little.
"""

from collections.abc import Iterable, Sequence
from statistics import median, quantiles

from msgspec import Struct


class Figure(Struct):
    """The median of some measurements, the lowest and the highest."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 0) -> str:
        """Return it for people."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}-{self.high:,.{digits}f})"


def figure(values: Iterable[float]) -> Figure:
    """Sum up measurements."""
    listed = list(values)
    return Figure(median(listed), min(listed), max(listed))


class Percentiles(Struct):
    """The median of many measurements, and what one in a hundred exceeds."""

    p50: float
    p99: float

    def text(self) -> str:
        """Return it for people."""
        return f"p50 {self.p50:.2f}, p99 {self.p99:.2f}"


def percentiles(values: Iterable[float]) -> Percentiles:
    """Sum up measurements; two at least."""
    cuts = quantiles(values, n=100, method="inclusive")
    return Percentiles(cuts[49], cuts[98])


def rows(table: Sequence[tuple[str, ...]]) -> str:
    """Return a table as text, its columns aligned."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )
