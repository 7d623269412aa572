"""
operating: one operation, by a command, on the tasks that it means: count and ask, do it, tell.
"""

import asyncio
import getpass
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import typer

from jetq.admin.bulk_operations import Operate, operate_many
from jetq.admin.bulk_report import BulkReport
from jetq.admin.task_filter import TaskFilter
from jetq.admin.task_operations import LONGEST_NAME, TaskOperations
from jetq.admin.time_bounds import bounded
from jetq.cli.bulk_page import (
    ProgressLine,
    numbered,
    print_outcomes,
    print_report,
    print_report_json,
)
from jetq.cli.choosing import Bulk
from jetq.cli.chosen import pace_of
from jetq.cli.exits import FAILED
from jetq.cli.session import Session, in_session
from jetq.cli.terminal import confirm, say
from jetq.client.waiting import wait_for_end
from jetq.errors import JetqError, TaskNotFoundError
from jetq.model.operation import Effect, OperatedTask, Operation
from jetq.settings import Settings

Outcome = OperatedTask | JetqError


@dataclass(frozen=True)
class Act:
    """
    What a command does, and to which tasks.

    Attributes:
        operation: What is done.
        method: It, for one task.
        chosen: The tasks.
        bulk: How it goes over them.
        unasked: Ask nobody.
        destroys: Ask also if the tasks are named by their ids.
        as_json: Print JSON.
    """

    operation: Operation
    method: Callable[[TaskOperations], Operate]
    chosen: TaskFilter
    bulk: Bulk
    unasked: bool
    destroys: bool = False
    as_json: bool = False

    @property
    def dry_run(self) -> bool:
        """Whether only to look."""
        return self.bulk.dry_run


@dataclass(frozen=True)
class Waiting:
    """Whether to wait for the ends of tasks that were asked to stop, and how many seconds; None waits for ever."""

    wanted: bool = False
    seconds: float | None = None


def operate(act: Act, settings: Settings, *, waiting: Waiting | None = None) -> None:
    """
    Do it, and print what came of it.

    Raises:
        Exit: Something was refused or failed, or nobody can be asked.
        Abort: Somebody said no.
        KeyboardInterrupt: Somebody interrupted it; what was done is told.
        JetqError: The one task that was named was refused, or failed; or there is no connection.
    """
    pace, total = pace_of(act.bulk), None
    if not act.dry_run and not act.unasked and (act.destroys or not act.chosen.ids):
        act, total = _ask(act, settings)
    line = ProgressLine(total)
    outcomes: dict[str, Outcome] = {}
    stopping: list[str] = []

    async def work(session: Session) -> BulkReport:
        noting = _noting(act.method(session.operations), outcomes, stopping, each=bool(act.chosen.ids))
        report = await operate_many(
            session.connection,
            session.names,
            act.chosen,
            noting,
            pace=pace,
            dry_run=act.dry_run,
            on_progress=line,
        )
        line.clear()
        if waiting is not None and waiting.wanted and stopping:
            await _await_ends(session, stopping, waiting.seconds)
        return report

    try:
        report = in_session(settings, work)
    except KeyboardInterrupt:
        line.clear()
        _tell_so_far(act, line.report, outcomes)
        raise
    finally:
        line.clear()
    _tell(act, report, outcomes)


def _ask(act: Act, settings: Settings) -> tuple[Act, int]:
    """Ask whether to do it to as many tasks as there are; return it for just these, however long that took."""
    ids = act.chosen.ids
    if ids:
        what, count = (f"task {ids[0]}" if len(ids) == 1 else numbered(len(ids))), len(ids)
    else:
        chosen, report = in_session(settings, lambda session: _found(act.chosen, session))
        act = replace(act, chosen=chosen)
        what, count = numbered(report.matched, report.states), report.matched
    if count:
        confirm(f"{act.operation.capitalize()} {what}?", force=False)
    return act, count


async def _found(wanted: TaskFilter, session: Session) -> tuple[TaskFilter, BulkReport]:
    chosen = await bounded(wanted, session.connection, session.names)
    return chosen, await operate_many(session.connection, session.names, chosen, _never, dry_run=True)


def who() -> str:
    """Say who sits at this command line; it is kept with a request to cancel."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"[:LONGEST_NAME]


async def _never(task_id: str) -> OperatedTask:
    raise TaskNotFoundError(task_id)


def _noting(operate: Operate, outcomes: dict[str, Outcome], stopping: list[str], *, each: bool) -> Operate:
    """Note what became of each task, if each is to be told of, and which ones were asked to stop."""

    async def noting(task_id: str) -> OperatedTask:
        try:
            done = await operate(task_id)
        except JetqError as error:
            if each:
                outcomes[task_id] = error
            raise
        if each:
            outcomes[task_id] = done
        if done.effect is Effect.REQUESTED:
            stopping.append(task_id)
        return done

    return noting


async def _await_ends(session: Session, task_ids: Sequence[str], seconds: float | None) -> None:
    """Wait until all have ended, and tell how each did."""
    await asyncio.gather(*(_await_end(session, task_id, seconds) for task_id in task_ids))


async def _await_end(session: Session, task_id: str, seconds: float | None) -> None:
    record = (await wait_for_end(session.backend, task_id, seconds)).record
    say(f"{task_id} ended {record.display_state}")


def _tell_so_far(act: Act, report: BulkReport | None, outcomes: dict[str, Outcome]) -> None:
    """Tell what had been done when somebody pressed Ctrl-C."""
    if report is None or act.dry_run:
        return
    report.fault, report.complete = "interrupted", False
    named = list(outcomes.values()) if act.chosen.ids else None
    if act.as_json:
        print_report_json(report, act.operation, named)
    elif named is not None:
        print_outcomes(named)
    else:
        print_report(report, act.operation)


def _tell(act: Act, report: BulkReport, outcomes: dict[str, Outcome]) -> None:
    named: list[Outcome] | None = None
    if act.chosen.ids and not act.dry_run:
        tried = act.chosen.ids[: act.chosen.limit or None]
        named = [outcomes.get(task_id) or TaskNotFoundError(task_id) for task_id in tried]
    if named is not None and len(named) == 1 and isinstance(named[0], JetqError):
        raise named[0]
    if act.as_json:
        print_report_json(report, act.operation, named)
    elif named is not None:
        print_outcomes(named)
    else:
        print_report(report, act.operation)
    failed = named is not None and any(isinstance(outcome, JetqError) for outcome in named)
    if failed or not (report.is_clean or act.dry_run):
        raise typer.Exit(FAILED)
