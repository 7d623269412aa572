"""
table: rows that fit the width of a terminal.

What people copy, such as an id, is never cut. When a row is too wide, the columns that may be cut give way, the widest
first; a cell that was cut ends in an ellipsis.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_GAP: Final = "  "
_LEAST: Final = 5
_CUT: Final = "…"
_WIDE: Final = frozenset("WF")


@dataclass(frozen=True)
class Column:
    """
    A column of a table.

    Attributes:
        title: Its heading.
        right: Numbers stand to the right.
        cut: May be cut short.
        from_width: Shown on terminals of at least so many characters, if any row has something there; other programs
            always get it.
    """

    title: str
    right: bool = False
    cut: bool = False
    from_width: int = 0


def lay_out(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, style: Callable[[str, str], str]
) -> Iterable[str]:
    """
    Yield the lines of a table: headings and rows.

    Args:
        columns: One for each cell.
        rows: The cells.
        width: Of the terminal.
        style: Given a cell, and the cell as it is to be printed, returns the latter with colours.
    """
    shown = [
        number
        for number, column in enumerate(columns)
        if not column.from_width or (width >= column.from_width and any(row[number] for row in rows))
    ]
    kept = [columns[number] for number in shown]
    cells = [[row[number] for number in shown] for row in rows]
    widths = _fitted(kept, cells, width - len(_GAP) * (len(kept) - 1))
    heading = (_padded(column.title, size, right=column.right) for column, size in zip(kept, widths, strict=True))
    yield _GAP.join(heading).rstrip()
    for row in cells:
        sized = zip(kept, row, widths, strict=True)
        padded = (style(cell, _padded(cell, size, right=column.right)) for column, cell, size in sized)
        yield _GAP.join(padded).rstrip()


def _fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    widths = [
        max([_width(column.title), *(_width(row[number]) for row in rows)]) for number, column in enumerate(columns)
    ]
    soft = [number for number, column in enumerate(columns) if column.cut]
    while sum(widths) > room and soft:
        widest = max(soft, key=lambda number: widths[number])
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    return widths


def _padded(text: str, size: int, *, right: bool) -> str:
    while _width(text) > size:
        text = text.removesuffix(_CUT)[:-1] + _CUT
    blank = " " * (size - _width(text))
    return blank + text if right else text + blank


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in _WIDE else not unicodedata.combining(char) for char in text)
