"""
imports: what starting costs: ``import jetq`` and ``jetq --help`` beside ``import nats``.

Each is a process of its own, and they take turns. What Python needs for itself (``pass``) is taken off. Bytecode is
cached as it is in an installation, in a folder of this run, whatever the environment says about it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping

from msgspec import Struct

from bench.figures import Figure, figure, rows

NOTHING = "pass"
PROGRAMS = {
    NOTHING: ("-c", "pass"),
    "import nats": ("-c", "import nats"),
    "import jetq": ("-c", "import jetq"),
    "jetq --help": ("-m", "jetq", "--help"),
}
GOALS = {"import jetq": 2.0, "jetq --help": 3.0}
QUICK = {"repeat": 1}
_HEAVY = 12


class Heavy(Struct):
    """A module that ``import jetq`` loads and ``import nats`` does not, with the milliseconds of itself alone."""

    module: str
    own_ms: float


class Report(Struct):
    """
    All figures, in milliseconds; ratios are those of one turn, less Python's own part.

    Attributes:
        import_ratio: ``import jetq`` by ``import nats``.
        help_ratio: ``jetq --help`` by ``import nats``.
        whole_ms: Of whole processes.
        heavy: What to look at first.
    """

    import_ratio: Figure
    help_ratio: Figure
    whole_ms: dict[str, Figure]
    heavy: list[Heavy]
    repeat: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--repeat", type=int, default=30, help="turns")


def measure(given: argparse.Namespace) -> Report:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environ["PYTHONPYCACHEPREFIX"] = folder
        for program in PROGRAMS:
            _milliseconds(program, environ)
        turns = [{program: _milliseconds(program, environ) for program in PROGRAMS} for _ in range(given.repeat)]
        heavy = _heavy(environ)
    return Report(
        import_ratio=_ratio(turns, "import jetq"),
        help_ratio=_ratio(turns, "jetq --help"),
        whole_ms={program: figure(turn[program] for turn in turns) for program in PROGRAMS},
        heavy=heavy,
        repeat=given.repeat,
    )


def _milliseconds(program: str, environ: Mapping[str, str]) -> float:
    began = time.perf_counter()
    _python(PROGRAMS[program], environ)
    return (time.perf_counter() - began) * 1e3


def _python(arguments: tuple[str, ...], environ: Mapping[str, str]) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, check=True, env=environ, capture_output=True, text=True)  # noqa: S603 - Python
    return done.stderr


def _ratio(turns: list[dict[str, float]], program: str) -> Figure:
    return figure((turn[program] - turn[NOTHING]) / (turn["import nats"] - turn[NOTHING]) for turn in turns)


def _heavy(environ: Mapping[str, str]) -> list[Heavy]:
    """Return the heaviest of what jetq adds, as Python itself tells the times."""
    known = _own_times("nats", environ)
    added = [Heavy(name, own) for name, own in _own_times("jetq", environ).items() if name not in known]
    return sorted(added, key=lambda each: each.own_ms, reverse=True)[:_HEAVY]


def _own_times(module: str, environ: Mapping[str, str]) -> dict[str, float]:
    times: dict[str, float] = {}
    for line in _python(("-X", "importtime", "-c", f"import {module}"), environ).splitlines():
        own, _, name = line.removeprefix("import time:").split("|")
        if own.strip().isdigit():
            times[name.strip()] = int(own) / 1e3
    return times


def text(report: Report) -> str:
    """Return the report for people."""
    ratios = {"import jetq": report.import_ratio, "jetq --help": report.help_ratio}
    table: list[tuple[str, ...]] = [("", "whole process, ms", "ratio to import nats", "goal")]
    for program, whole in report.whole_ms.items():
        ratio = ratios[program].text(2) if program in ratios else ""
        goal = f"<= {GOALS[program]:g}" if program in GOALS else ""
        table.append((program, whole.text(), ratio, goal))
    heavy = [("heaviest beyond nats", "own ms"), *((each.module, f"{each.own_ms:.1f}") for each in report.heavy)]
    return f"{report.repeat} turns: median (lowest-highest)\n\n{rows(table)}\n\n{rows(heavy)}"
