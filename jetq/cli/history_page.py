"""
history_page: ``jetq tasks history``.

What happened to a task is in the stream of events, where one is kept; where it stands is in its record, while that is
kept. Whichever is there is shown, and what is not is said.
"""

from datetime import UTC
from typing import Final

import msgspec
from msgspec import Struct

from jetq.admin.inspector import TaskView
from jetq.admin.task_history import task_history
from jetq.cli.render import print_fields, print_json, print_table
from jetq.cli.session import Session, in_session
from jetq.cli.table import Column
from jetq.cli.task_page import view_fields
from jetq.cli.terminal import say
from jetq.cli.watching import reason_of
from jetq.errors import HistoryNotKeptError, TaskNotFoundError
from jetq.model.span import format_duration
from jetq.settings import Settings
from jetq.wire.events import TaskStateEvent

_COLUMNS: Final = (
    Column("TIME (UTC)"),
    Column("STATE"),
    Column("TRIES", right=True),
    Column("AFTER", right=True),
    Column("RAN", right=True, from_width=100),
    Column("WORKER", from_width=120),
    Column("REASON", cut=True),
)
_RECORD: Final = ("State", "Tries", "Crashes", "Created", "Tried", "Due", "Completed", "Worker", "Last error")
"""What the record tells of the past, and of where the task stands."""


class _Told(Struct, frozen=True):
    events: list[TaskStateEvent] | None
    view: TaskView | None
    not_kept: HistoryNotKeptError | None


def show_history(settings: Settings, task_id: str, *, as_json: bool) -> None:
    """
    Print what happened to a task.

    Raises:
        InvalidNameError: No task can have this id.
        HistoryNotKeptError: Events are not kept; what the record tells is printed before.
        TaskNotFoundError: Nobody knows of the task (any more).
        ServerError: No connection, or a refusal.
    """
    told = in_session(settings, lambda session: _gather(session, task_id))
    if as_json:
        print_json(_as_object(task_id, told))
    elif told.events:
        print_table(_COLUMNS, _rows(told.events), none="")
        if told.view is None:
            say("Its record is gone.")
    elif told.view is not None:
        if told.not_kept is None:
            say("Nothing is kept of what happened to it; its record says:")
        print_fields(field for field in view_fields(told.view) if field[0] in _RECORD)
    if told.not_kept is not None:
        raise told.not_kept


async def _gather(session: Session, task_id: str) -> _Told:
    events, not_kept = None, None
    try:
        events = await task_history(session.connection, session.names, task_id)
    except HistoryNotKeptError as error:
        not_kept = error
    try:
        view = await session.inspector.view_task(task_id)
    except TaskNotFoundError:
        if not events:
            raise
        view = None
    return _Told(events, view, not_kept)


def _rows(events: list[TaskStateEvent]) -> list[tuple[str, ...]]:
    before: TaskStateEvent | None = None
    rows: list[tuple[str, ...]] = []
    for event in events:
        passed = 0.0 if before is None else (event.timestamp - before.timestamp).total_seconds()
        rows.append(
            (
                f"{event.timestamp.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3],
                event.display_state,
                str(event.tries),
                "" if before is None else format_duration(max(passed, 0.0)),
                format_duration(event.duration / 1e9) if event.duration else "",
                event.worker,
                _reason(event, before),
            )
        )
        before = event
    return rows


def _reason(event: TaskStateEvent, before: TaskStateEvent | None) -> str:
    if event.crashes > (0 if before is None else before.crashes):
        return reason_of(event) or "the run before died"
    return reason_of(event)


def _as_object(task_id: str, told: _Told) -> dict[str, object]:
    record = None if told.view is None else msgspec.Raw(told.view.document.encode())
    return {"id": task_id, "events": told.events, "record": record}
