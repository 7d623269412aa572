"""
plots: pictures of what was measured, for the docs; small files whose text is text.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from bench.figures import Figure
from bench.peers import goals
from bench.peers.registry import BARE, OURS
from bench.sheet import Sheet

PLOTS: Final = {
    "throughput": "tasks a second of each task queue",
    "waiting": "start and round trip of each task queue",
    "growth": "tasks a second when there is more of everything",
}
"""What is drawn, and what a reader who does not see it is told."""
_OURS: Final = "#1f6f8b"
_LIMIT: Final = "#7fb2c4"
_THEIRS: Final = "#b9c4cc"
_SECOND: Final = "#d9822b"
_INK: Final = "#30363d"
_WIDTH: Final = 7.2
_ROW: Final = 0.27
_SETTINGS: Final = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "font.size": 9,
    "font.family": "sans-serif",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.edgecolor": "#c8d0d6",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(sheets: Mapping[str, Sheet], folder: Path, kind: str = "svg") -> list[str]:
    """Draw what the sheets allow; return the names of the files. Without matplotlib there are none."""
    try:
        mpl: Any = import_module("matplotlib")
    except ImportError:
        print("no plots: matplotlib is not installed (pip install --group bench)", file=sys.stderr)
        return []
    mpl.use("agg")
    folder.mkdir(exist_ok=True)
    drawn: list[str] = []
    with mpl.rc_context(_SETTINGS):
        for name, figure in _figures(sheets).items():
            path = folder / f"{name}.{kind}"
            figure.savefig(path, metadata={"Date": None} if kind == "svg" else None, dpi=110)
            drawn.append(path.name)
    return drawn


def _figures(sheets: Mapping[str, Sheet]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if peers := sheets.get("peers"):
        figures["throughput"] = _bars(peers, goals.DRAIN, "drain: tasks a second, one worker process")
        figures["waiting"] = _dots(peers)
    if growth := sheets.get("growth"):
        figures["growth"] = _growth(growth)
    return figures


def _axes(rows: int) -> tuple[Any, Any]:
    picture: Any = import_module("matplotlib.figure").Figure(
        figsize=(_WIDTH, 0.75 + _ROW * rows), layout="constrained", facecolor="white"
    )
    return picture, picture.add_subplot()


def _bars(sheet: Sheet, column: str, title: str) -> Any:
    """Draw one bar a row, the best on top, with the spread of the repetitions."""
    found = sorted(_told(sheet, column), key=lambda each: each[1].median)
    picture, axes = _axes(len(found))
    medians = [figure.median for _, figure in found]
    spread = [
        [figure.median - figure.low for _, figure in found],
        [figure.high - figure.median for _, figure in found],
    ]
    axes.barh(
        [label for label, _ in found],
        medians,
        xerr=spread,
        color=[_LIMIT if label == BARE else _OURS if label in OURS else _THEIRS for label, _ in found],
        error_kw={"ecolor": _INK, "elinewidth": 0.8},
    )
    for place, (_, figure) in enumerate(found):
        axes.text(figure.high + max(medians) * 0.012, place, f"{figure.median:,.0f}", va="center", fontsize=8)
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.set_xlim(0, max(figure.high for _, figure in found) * 1.12)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="y", length=0)
    return picture


def _dots(sheet: Sheet) -> Any:
    """Draw start and round trip of each row as dots on one logarithmic scale, since some poll and some wait."""
    starts = dict(_told(sheet, goals.START))
    trips = dict(_told(sheet, goals.ROUND_TRIP))
    labels = sorted(starts, key=lambda label: -starts[label].median)
    picture, axes = _axes(len(labels))
    axes.hlines(range(len(labels)), 0.3, 300, color="#e8ecef", linewidth=0.8, zorder=0)
    for told, color, name in ((starts, _OURS, "start of the handler"), (trips, _SECOND, "result at the caller")):
        places = [place for place, label in enumerate(labels) if label in told]
        axes.scatter([told[labels[place]].median for place in places], places, color=color, s=26, label=name)
    axes.set_xscale("log")
    axes.set_xlim(0.3, 300)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(labels)), labels)
    for tick, label in zip(axes.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if label in OURS else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set_title("idle worker: milliseconds from the call (p50)", loc="left", fontsize=9.5)
    axes.legend(loc="lower right", frameon=True, fontsize=8)
    return picture


def _growth(sheet: Sheet) -> Any:
    """Draw each case's rate as a part of that of the first of its kind."""
    column = "÷ first"
    found = _told(sheet, column)[::-1]
    picture, axes = _axes(len(found))
    axes.barh(
        [label for label, _ in found],
        [figure.median for _, figure in found],
        color=[_THEIRS if figure.low == figure.high == 1 else _OURS for _, figure in found],
    )
    axes.axvline(0.8, color=_SECOND, linewidth=1, linestyle="--")
    for place, (_, figure) in enumerate(found):
        axes.text(figure.median + 0.015, place, f"{figure.median:.2f}", va="center", fontsize=8)
    axes.set_title("tasks a second, as a part of the first of each kind (dashed: 0.8)", loc="left", fontsize=9.5)
    axes.tick_params(axis="y", length=0)
    return picture


def _told(sheet: Sheet, column: str) -> list[tuple[str, Figure]]:
    return [(row.label, figure) for row in sheet.rows if (figure := sheet.figure(row.label, column)) is not None]
