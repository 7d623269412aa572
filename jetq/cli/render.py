"""
render: everything that commands print on stdout.

A person at a terminal gets tables that fit its width; another program gets one line a row with tabs between the cells,
or JSON. What comes from records and events is written so that it cannot steer a terminal or break a line.
"""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import typer

from jetq.cli.table import Column, lay_out
from jetq.cli.terminal import wants_colors
from jetq.model.span import format_duration

_STYLES: Final = {
    "active": "cyan",
    "blocked": "magenta",
    "cancelled": "red",
    "complete": "green",
    "expired": "red",
    "queue_error": "red",
    "retry": "yellow",
    "scheduled": "blue",
    "terminated": "red",
    "unreachable": "red",
}
_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, none: str) -> None:
    """
    Print rows.

    Args:
        columns: One for each cell.
        rows: The cells.
        none: What a person reads when there are no rows.
    """
    listed = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in listed:
            typer.echo("\t".join(row))
    elif not listed:
        typer.echo(none)
    else:
        for line in lay_out(columns, listed, shutil.get_terminal_size().columns, _in_color):
            _print(line)


def _in_color(cell: str, shown: str) -> str:
    color = _STYLES.get(cell)
    return shown if color is None else typer.style(shown, fg=color)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one a line; values that are empty are left out, and those of several lines indented."""
    told = [(name, value) for name, value in fields if value]
    if not sys.stdout.isatty():
        for name, value in told:
            typer.echo(f"{name}\t{printable(value)}")
        return
    width = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        lines = [printable(line) for line in value.splitlines()] or [""]
        _print(f"{typer.style(name.rjust(width), bold=True)}  {lines[0]}")
        for line in lines[1:]:
            typer.echo(f"{' ' * width}  {line}")


def print_advice(told: Iterable[tuple[str, str]]) -> None:
    """Print what is the case and what can be done about it: a line for each, or for a person some that fit."""
    width = shutil.get_terminal_size().columns
    for text, advice in told:
        if not sys.stdout.isatty():
            typer.echo(f"{printable(text)} {printable(advice)}".rstrip())
            continue
        for part, indent in ((text, ""), (advice, "  ")):
            lines = textwrap.wrap(
                printable(part),
                width,
                initial_indent=indent,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for line in lines:
                typer.echo(line)


def print_json(value: Any) -> None:
    """Print one document."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    typer.echo(text.decode("utf-8", "backslashreplace"))


def print_json_line(value: Any) -> None:
    """Print one line of a stream."""
    typer.echo(msgspec.json.encode(value).decode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def print_state_line(*cells: tuple[str, int]) -> None:
    """Print cells padded to their widths, a state among them in its colour, at once."""
    padded = [typer.style(printable(text).ljust(width), fg=_STYLES.get(text)) for text, width in cells]
    _print(" ".join(padded).rstrip())
    sys.stdout.flush()


def _print(text: str) -> None:
    typer.echo(text, color=wants_colors(sys.stdout))


def printable(text: str) -> str:
    """Return *text* with every character that is no visible one as its escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def size(count: int) -> str:
    """Return a number of bytes, as ``1.5 MiB``."""
    number, unit = float(count), 0
    while number >= 1024 and unit < len(_SIZES) - 1:  # noqa: PLR2004 - binary
        number, unit = number / 1024, unit + 1
    return f"{number:.3g} {_SIZES[unit]}" if unit else f"{count} B"


def limit(number: float, *, duration: bool = False) -> str:
    """Return a limit, of which 0 means that there is none."""
    if not number:
        return "unlimited"
    return format_duration(number) if duration else f"{number:,.0f}"


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago something was, as ``5m``; nothing for no time."""
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    return format_duration(seconds) if seconds >= 0 else f"in {format_duration(-seconds)}"


def stamp(moment: datetime | None) -> str:
    """Return a time in UTC with its distance from now; nothing for no time."""
    if moment is None:
        return ""
    ago = age(moment)
    return (
        f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"Z ({ago if ago.startswith('in ') else f'{ago} ago'})"
    )
