"""
task_page: tasks as people and programs read them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from jetq.admin.inspector import TaskView
from jetq.admin.task_listing import TaskListing
from jetq.cli.render import age, limit, print_json, print_table, size, stamp
from jetq.cli.table import Column
from jetq.cli.terminal import say
from jetq.model.progress import Progress
from jetq.model.record import TaskRecord
from jetq.wire.codec import Document
from jetq.wire.progress import decode_progress
from jetq.wire.summary import TaskSummary
from jetq.wire.unreadable import UNREADABLE

_WIDE: Final = 110
_SHOWN_IDS: Final = 10
_COLUMNS: Final = (
    Column("ID"),
    Column("TYPE", cut=True),
    Column("QUEUE", cut=True),
    Column("STATE"),
    Column("TRIES", right=True),
    Column("AGE", right=True),
    Column("END", cut=True, from_width=_WIDE),
    Column("DUE", right=True, from_width=_WIDE),
    Column("PROGRESS", right=True, from_width=_WIDE),
    Column("KEY", cut=True, from_width=_WIDE),
    Column("LAST ERROR", cut=True, from_width=_WIDE),
)


def summary_object(task: TaskSummary) -> dict[str, Any]:
    """Return a line of a list as JSON."""
    shown: dict[str, Any] = msgspec.to_builtins(task)
    return shown | {"state": task.display_state}


def print_listing(listing: TaskListing, *, as_json: bool) -> None:
    """Print a list of tasks."""
    if as_json:
        tasks = [summary_object(task) for task in listing.tasks]
        print_json({"tasks": tasks, "complete": listing.complete, "malformed": listing.malformed_entries})
        return
    print_tasks(listing.tasks)
    if not listing.complete:
        say(f"These are the {len(listing.tasks):,} that changed last; there are more: --limit 0 shows all.")
    if listing.malformed:
        first = listing.malformed_entries[0]
        say(f"{listing.malformed:,} entries are no task records; {first.task_id}: {first.reason}")


def print_tasks(tasks: Sequence[TaskSummary]) -> None:
    """Print a line for each task."""
    now = datetime.now(UTC)
    print_table(_COLUMNS, (_row(task, now) for task in tasks), none="no tasks")


def _row(task: TaskSummary, now: datetime) -> tuple[str, ...]:
    tries = f"{task.tries}/{task.max_tries}" if task.max_tries > 0 else str(task.tries)
    return (
        task.id,
        task.type,
        task.queue,
        task.display_state,
        tries,
        age(task.created, now),
        _end(task),
        "" if task.due is None else age(task.due, now),
        _percent(task.progress),
        task.key,
        task.last_err,
    )


def _end(task: TaskSummary) -> str:
    if task.end == task.display_state:
        return ""
    return task.end or ("cancel requested" if task.cancel_requested is not None and not task.is_final else "")


def _percent(progress: Any) -> str:
    """Spell what a handler said, as short as it goes; nothing for what another program may mean by it."""
    try:
        said = msgspec.convert(progress, Progress)
    except msgspec.ValidationError:
        return ""
    return f"{said.current:,}" if said.fraction is None else f"{said.fraction:.0%}"


def task_object(document: Document) -> dict[str, Any]:
    """Return what is known of a task as JSON: its record as stored, and beside it what people read."""
    record = document.record
    return {
        "id": record.id,
        "type": record.type,
        "queue": record.queue,
        "state": record.display_state,
        "payload": _payload(record),
        "result": None if record.result is None else record.result.payload,
        "record": msgspec.Raw(document.encode()),
    }


def view_object(view: TaskView, signature: str) -> dict[str, Any]:
    """Return the same, with where the task is and what its signature is worth."""
    place = {"places": view.places, "sequence": view.sequence, "written": view.written, "size": view.size}
    return task_object(view.document) | place | {"signature": signature or None}


def view_fields(view: TaskView, signature: str = "") -> list[tuple[str, str]]:
    """Return a task's fields by name, and what its signature is worth."""
    record = view.document.record
    error = record.error
    return [
        ("ID", record.id),
        ("Type", record.type),
        ("Queue", record.queue),
        ("State", _state(record)),
        ("Tries", f"{record.tries} of {limit(max(record.max_tries, 0))}"),
        ("Crashes", str(record.crashes or "")),
        ("Key", record.key),
        ("Depends on", _ids(record.dependencies)),
        ("Waits for", "" if record.is_final else record.after or _ids(record.pending)),
        ("Dependents", _ids(record.dependents)),
        ("Flow", record.flow),
        ("Schedule", record.schedule),
        ("Scheduled for", stamp(record.scheduled_for)),
        ("Trace", record.trace),
        ("Cancel", _cancel(record)),
        ("Created", stamp(record.created)),
        ("Tried", stamp(record.tried)),
        ("Due", stamp(record.due)),
        ("Deadline", stamp(record.deadline)),
        ("Progress", progress_line(decode_progress(record.progress))),
        ("Completed", stamp(record.result.completed if record.result else None)),
        ("Worker", record.run.worker if record.run else ""),
        ("Item", ", ".join(view.places)),
        ("Signature", signature),
        ("Record", f"{size(view.size)}, sequence {view.sequence}"),
        ("Payload", _pretty(_payload(record)) if record.payload else ""),
        ("Result", _pretty(record.result.payload) if record.result else ""),
        ("Last error", record.last_err),
        ("Traceback", error.traceback.rstrip() if error else ""),
    ]


def _ids(task_ids: Sequence[str]) -> str:
    """Return some ids, and how many there are beside them."""
    more = len(task_ids) - _SHOWN_IDS
    return ", ".join(task_ids[:_SHOWN_IDS]) + (f" and {more:,} more" if more > 0 else "")


def _cancel(record: TaskRecord) -> str:
    wish = record.cancel_requested
    if wish is None or record.is_final:
        return ""
    return f"requested{' by ' if wish.by else ''}{wish.by}, {stamp(wish.at)}".removesuffix(", ")


def _state(record: TaskRecord) -> str:
    return (
        f"{record.display_state} ({record.end})"
        if record.end and record.end != record.display_state
        else record.display_state
    )


def progress_line(progress: Progress | None) -> str:
    """Return what a handler said of its progress on one line; nothing for none."""
    if progress is None:
        return ""
    done = f"{progress.current:,}"
    if progress.total is not None:
        done += f" of {progress.total:,}"
    if progress.fraction is not None:
        done += f" ({progress.fraction:.0%})"
    return f"{done}{': ' if progress.text else ''}{progress.text}, {stamp(progress.at)}"


def _payload(record: TaskRecord) -> Any:
    """Return the payload as JSON if it is that, else as its record spells it."""
    if not record.payload:
        return None
    try:
        msgspec.json.decode(record.payload)
    except UNREADABLE:
        return record.payload
    return msgspec.Raw(record.payload)


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode("utf-8", "replace")
