"""
bulk_page: what was done to tasks, as people and programs read it.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import typer

from jetq.admin.bulk_report import BulkReport
from jetq.cli.render import print_fields, print_json, print_table
from jetq.cli.table import Column
from jetq.cli.task_page import print_tasks, summary_object
from jetq.cli.terminal import say
from jetq.errors import JetqError
from jetq.model.operation import Effect, OperatedTask, Operation

_PATIENCE: Final = 1.0
"""Seconds until a person wonders."""
_EVERY: Final = 0.5
_WORDS: Final = {
    Effect.NOTHING: "left as it is:",
    Effect.ENDED: "cancelled",
    Effect.REQUESTED: "asked to stop",
    Effect.STARTED: "started",
    Effect.WAITS: "waits for those that it depends on:",
    Effect.QUEUED: "is in its queue already:",
    Effect.REMOVED: "deleted",
    Effect.CHANGED: "changed",
}
_REASONS: Final = (Column("TASKS", right=True), Column("WHY", cut=True), Column("FIRST OF THEM", from_width=110))


def numbered(count: int, states: Mapping[str, int] | None = None) -> str:
    """Spell a number of tasks, and their states if there are some."""
    text = "1 task" if count == 1 else f"{count:,} tasks"
    return f"{text} ({counts(states)})" if states else text


def counts(of: Mapping[str, int]) -> str:
    """Spell numbers by what they count, the largest first."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(of.items(), key=lambda pair: -pair[1]))


def print_outcomes(outcomes: Sequence[OperatedTask | JetqError]) -> None:
    """Print a line for each task; what was not done goes to stderr."""
    for outcome in outcomes:
        if isinstance(outcome, JetqError):
            say(f"jetq: {outcome}")
        else:
            retried = outcome.effect is Effect.STARTED and outcome.operation is Operation.RETRY
            word = "retried" if retried else _WORDS[outcome.effect]
            waiting = f"; dependents that wait again: {outcome.dependents:,}" if outcome.dependents else ""
            typer.echo(f"{word} {outcome.task_id} ({outcome.before}){waiting}")


def print_report(report: BulkReport, operation: Operation) -> None:
    """Print what came of many tasks."""
    if not report.matched:
        say(
            "no tasks match" if not report.malformed else f"no tasks match; {report.malformed:,} entries are no records"
        )
        return
    if report.dry_run:
        _print_found(report, operation)
        return
    print_fields(
        [
            ("Found", numbered(report.matched, report.states)),
            ("Done", f"{report.done:,}" + (f" ({counts(report.effects)})" if report.effects else "")),
            ("Refused", _some(report.refused)),
            ("Failed", _some(report.failed)),
            ("Changed", _some(report.changed, "meanwhile, and left alone")),
            ("Gone", _some(report.gone, "meanwhile")),
            ("Unreadable", _some(report.malformed, "entries are no task records")),
            ("Not tried", "what is beyond the limit" if not report.complete and not report.fault else ""),
            ("Given up", report.fault),
        ]
    )
    if report.reasons:
        if sys.stdout.isatty():
            typer.echo("")
        rows = [(str(why.count), reason, ", ".join(why.first)) for reason, why in report.reasons.items()]
        print_table(_REASONS, sorted(rows, key=lambda row: -int(row[0])), none="")


def _some(count: int, what: str = "") -> str:
    return f"{count:,} {what}".rstrip() if count else ""


def _print_found(report: BulkReport, operation: Operation) -> None:
    print_tasks(report.sample)
    more = report.matched - len(report.sample)
    if more > 0:
        say(f"... and {more:,} more")
    beyond = "" if report.complete else " There are more beyond the limit."
    say(f"{operation} would be tried on {numbered(report.matched, report.states)}.")
    say(f"Nothing was changed.{beyond}")


def report_object(
    report: BulkReport, operation: Operation, outcomes: Sequence[OperatedTask | JetqError] | None
) -> dict[str, Any]:
    """Return the same as JSON; with the single tasks where they were named."""
    shown: dict[str, Any] = {"operation": operation} | msgspec.to_builtins(report)
    shown["sample"] = [summary_object(task) for task in report.sample]
    if outcomes is not None:
        shown["tasks"] = [task for task in outcomes if not isinstance(task, JetqError)]
        shown["errors"] = [
            {"task_id": getattr(error, "task_id", ""), "error": type(error).__name__, "message": str(error)}
            for error in outcomes
            if isinstance(error, JetqError)
        ]
    return shown


def print_report_json(
    report: BulkReport, operation: Operation, outcomes: Sequence[OperatedTask | JetqError] | None
) -> None:
    """Print it."""
    print_json(report_object(report, operation, outcomes))


class ProgressLine:
    """
    Tells a person at a terminal how far a bulk is that takes a while, in one line that is written over.

    Args:
        total: How many tasks there are, if that is known.

    Attributes:
        report: What it was told last.
    """

    def __init__(self, total: int | None) -> None:
        self.report: BulkReport | None = None
        self._total = total
        self._shown = ""
        self._wanted = sys.stderr.isatty()
        self._next = time.monotonic() + _PATIENCE

    def __call__(self, report: BulkReport) -> None:
        """Show how far it is."""
        self.report = report
        now = time.monotonic()
        if not self._wanted or now < self._next:
            return
        self._next = now + _EVERY
        of = "" if self._total is None else f" of {self._total:,}"
        self._show(f"{report.tried:,}{of} tasks, {report.scanned:,} records read")

    def _show(self, text: str) -> None:
        typer.echo("\r" + text.ljust(len(self._shown)), nl=False, err=True)
        self._shown = text

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._show("")
            typer.echo("\r", nl=False, err=True)
