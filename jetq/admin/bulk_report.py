"""
bulk_report: what a bulk operation did: counts, reasons and a sample, whatever the number of tasks.
"""

from typing import Final

from msgspec import Struct

from jetq.errors import JetqError, OperationRefusedError
from jetq.model.operation import OperatedTask
from jetq.wire.summary import TaskSummary

_SAMPLE: Final = 20
_NAMED: Final = 3
_REASONS: Final = 50
_OTHER: Final = "other reasons"


class Reason(Struct):
    """Why tasks were refused, or failed: how many, and the ids of the first."""

    count: int = 0
    first: list[str] = []


class BulkReport(Struct, kw_only=True):
    """
    What a bulk did so far.

    Attributes:
        dry_run: Nothing was done; ``matched`` says how many would have been tried.
        scanned: Records that were read to find the tasks.
        malformed: Records among them that could not be read, and so were not found.
        matched: Tasks that were found, or named.
        states: Their states when they were found, as people see them.
        sample: Some of them.
        done: Operations that were carried out.
        effects: The same by what they did, such as ``ended`` and ``requested``; see `jetq.model.operation`.
        refused: Tasks that were in no state for it.
        gone: Tasks that had no record (any more).
        changed: Tasks that had changed since they were found, and matched no more.
        failed: Operations that failed.
        reasons: Why tasks were refused, or failed.
        complete: Whether all tasks that match were tried; False if a limit or ``fault`` ended the bulk.
        fault: Why it was given up; empty if it was not.
    """

    dry_run: bool = False
    scanned: int = 0
    malformed: int = 0
    matched: int = 0
    states: dict[str, int] = {}
    sample: list[TaskSummary] = []
    done: int = 0
    effects: dict[str, int] = {}
    refused: int = 0
    gone: int = 0
    changed: int = 0
    failed: int = 0
    reasons: dict[str, Reason] = {}
    complete: bool = True
    fault: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was refused, failed or given up."""
        return not (self.refused or self.failed or self.fault)

    @property
    def tried(self) -> int:
        """Tasks that are behind us, however it went."""
        return self.done + self.refused + self.gone + self.changed + self.failed

    def found(self, task: TaskSummary) -> None:
        """Count a task that matches."""
        self.matched += 1
        self.states[task.display_state] = self.states.get(task.display_state, 0) + 1
        if len(self.sample) < _SAMPLE:
            self.sample.append(task)

    def did(self, operated: OperatedTask) -> None:
        """Count an operation."""
        self.done += 1
        self.effects[operated.effect] = self.effects.get(operated.effect, 0) + 1

    def refuse(self, refused: OperationRefusedError) -> None:
        """Count a task that was in no state for it."""
        self.refused += 1
        self._note(f"{refused.state}: {refused.reason}", refused.task_id)

    def fail(self, task_id: str, error: JetqError) -> None:
        """Count an operation that failed."""
        self.failed += 1
        self._note(str(error).replace(task_id, "..."), task_id)

    def _note(self, reason: str, task_id: str) -> None:
        if reason not in self.reasons and len(self.reasons) >= _REASONS:
            reason = _OTHER
        noted = self.reasons.setdefault(reason, Reason())
        noted.count += 1
        if len(noted.first) < _NAMED:
            noted.first.append(task_id)

    def give_up(self, error: JetqError) -> None:
        """Say why the rest is not tried."""
        self.fault, self.complete = str(error), False
