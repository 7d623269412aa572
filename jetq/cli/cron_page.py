"""
cron_page: schedules, from words on a command line to the store, and back to people and programs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec
import typer

from jetq.admin.schedule_keeper import ScheduleView
from jetq.cli.durations import parse_duration
from jetq.cli.planning import Plan
from jetq.cli.render import age, limit, print_fields, print_json, print_table, stamp
from jetq.cli.session import Session, in_session
from jetq.cli.table import Column
from jetq.cli.terminal import say
from jetq.errors import InvalidPayloadError, InvalidScheduleError, InvalidSettingError
from jetq.model.go_duration import NANOSECONDS
from jetq.model.name import check_name
from jetq.model.quantity import whole
from jetq.model.record import TaskRecord
from jetq.model.schedule import parse_schedule
from jetq.model.schedule_words import describe
from jetq.model.stored_schedule import (
    LIMIT,
    MAX_LATE,
    MOST_LIMIT,
    StoredSchedule,
    check_bounds,
    check_schedule_name,
    misfire_policy,
    schedule_deadline,
)
from jetq.routing.pattern import parse
from jetq.settings import Settings

_WIDE: Final = 110
_COLUMNS: Final = (
    Column("NAME"),
    Column("SPEC", cut=True),
    Column("TYPE", cut=True),
    Column("QUEUE", cut=True),
    Column("STATE"),
    Column("NEXT", right=True),
    Column("LAST", right=True),
    Column("OUTCOME"),
    Column("ORIGIN", cut=True, from_width=_WIDE),
    Column("PROBLEM", cut=True, from_width=_WIDE),
)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A schedule in words, as the options of ``jetq cron add`` say it."""

    name: str
    spec: str
    task_type: str
    payload: str | None
    plan: Plan

    def record(self, now: datetime) -> StoredSchedule:
        """
        Return what is to be stored.

        Raises:
            ConfigurationError: Something cannot be meant; the sentence names it.
            InvalidPayloadError: The payload is not JSON.
        """
        plan = self.plan
        start, end = _moment("--start", plan.start), _moment("--end", plan.end)
        check_bounds(start, end)
        return StoredSchedule(
            name=check_schedule_name(self.name),
            schedule=parse_schedule(self.spec, plan.timezone).spec,
            queue=check_name("queue", plan.queue),
            task_type=check_name("task type", self.task_type),
            payload=self._payload(),
            deadline=schedule_deadline(_seconds("--deadline", plan.deadline, None), setting="--deadline"),
            max_tries=whole("--tries", plan.tries, least=0),
            created_at=now,
            misfire=misfire_policy(plan.misfire),
            max_late=_seconds("--max-late", plan.max_late, MAX_LATE) or 0.0,
            limit=LIMIT if plan.limit is None else whole("--limit", plan.limit, least=1, most=MOST_LIMIT),
            jitter=_seconds("--jitter", plan.jitter, None) or 0.0,
            enabled=not plan.disabled,
            start=start,
            end=end,
        )

    def _payload(self) -> bytes | None:
        if self.payload is None:
            return None
        try:
            data = self.payload.encode()
            msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
            reason = f"it is not JSON: {error}; quote it for the shell, as '{{\"n\": 1}}', or pass - and use stdin"
            raise InvalidPayloadError(self.task_type, reason) from error
        return data.strip()


def _seconds(option: str, text: str | None, default: float | None) -> float | None:
    return default if text is None else parse_duration(option, text)


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidSettingError(option, text, "a time such as 2026-11-24T03:00Z") from None
    if found.utcoffset() is None:
        raise InvalidSettingError(option, text, "a time with its zone: end it with Z or +01:00")
    return found.astimezone(UTC)


def add_schedule(wish: Wish, settings: Settings, *, replace_it: bool, as_json: bool) -> None:
    """
    Store a schedule, and print it.

    Raises:
        ConfigurationError, ScheduleError, ServerError: It is not stored; the sentence says why.
    """
    record = wish.record(datetime.now(UTC))

    async def work(session: Session) -> tuple[bool, ScheduleView, bool]:
        now = session.connection.clock.now()
        written = await session.schedules.add(msgspec.structs.replace(record, created_at=now), replace_it=replace_it)
        return written, await session.schedules.view(wish.name), await _is_handled(session, wish.task_type)

    written, view, is_handled = in_session(settings, work)
    if not is_handled:
        say(f"jetq: none of the workers that run has a handler for {wish.task_type}")
    if as_json:
        print_json(view.to_object())
    elif written:
        due = stamp(view.next) or "never: it is disabled, or all its times have passed"
        typer.echo(f"stored {wish.name}: {_words(record)}; due next {due}")
    else:
        typer.echo(f"{wish.name} is stored like this already")


async def _is_handled(session: Session, task_type: str) -> bool:
    """Whether a worker that runs takes such tasks, or no worker runs that says what it takes."""
    patterns = {pattern for worker in await session.workers.list_workers() for pattern in worker.patterns}
    return not patterns or any(parse(pattern).matches(task_type) for pattern in patterns)


def switch(settings: Settings, name: str, *, paused: bool, as_json: bool) -> None:
    """
    Disable a schedule, or enable it, and print what it does then.

    Raises:
        ScheduleError, ServerError: That was not done; the sentence says why.
    """

    async def work(session: Session) -> tuple[bool, ScheduleView]:
        return await session.schedules.pause(name, paused=paused), await session.schedules.view(name)

    changed, view = in_session(settings, work)
    word = "disabled" if paused else "enabled"
    if as_json:
        print_json(view.to_object())
    else:
        due = "" if paused or view.next is None else f", due next {stamp(view.next)}"
        typer.echo(f"{name} is {word}{due}" if changed else f"{name} was {word} already{due}")


def outcome(record: TaskRecord | None) -> str:
    """Return how a task stands, in a word; nothing for one that is gone."""
    return "" if record is None else record.display_state


def print_names(schedules: Sequence[ScheduleView], *, as_json: bool) -> None:
    """Print their names."""
    if as_json:
        print_json({"names": [view.name for view in schedules]})
    for view in () if as_json else schedules:
        typer.echo(view.name)


def print_schedules(schedules: Sequence[ScheduleView], *, as_json: bool) -> None:
    """Print a list of schedules."""
    if as_json:
        print_json({"schedules": [view.to_object() for view in schedules]})
    else:
        print_table(_COLUMNS, map(_row, schedules), none="no schedules")


def _row(view: ScheduleView) -> tuple[str, ...]:
    record = view.record
    said = ("", "", "") if record is None else (record.schedule, record.task_type, record.queue)
    return (
        view.name,
        *said,
        view.state,
        age(view.next),
        age(view.last),
        outcome(view.last_record),
        "" if record is None else record.origin,
        view.problem,
    )


def print_schedule(view: ScheduleView, *, as_json: bool) -> None:
    """Print one schedule in full."""
    if as_json:
        print_json(view.to_object())
        return
    fields = [("Name", view.name), ("State", view.state), ("Problem", view.problem)]
    if view.record is not None:
        fields += _stored_fields(view.record)
    fields += [
        ("Next", stamp(view.next)),
        ("Last", stamp(view.last)),
        ("Last task", view.last_task),
        ("Last outcome", outcome(view.last_record)),
        ("Last error", "" if view.last_record is None else view.last_record.last_err),
    ]
    print_fields(fields)


def _stored_fields(record: StoredSchedule) -> list[tuple[str, str]]:
    payload = record.payload
    return [
        ("Spec", record.schedule),
        ("When", _words(record)),
        ("Task type", record.task_type),
        ("Queue", record.queue),
        ("Payload", "" if payload is None else payload.decode(errors="backslashreplace")),
        ("Deadline", limit(record.deadline / NANOSECONDS, duration=True) if record.deadline > 0 else ""),
        ("Max tries", limit(max(0, record.max_tries))),
        ("Misfire", f"{record.misfire}, at most {limit(record.max_late, duration=True)} late"),
        ("Limit", str(record.limit)),
        ("Jitter", limit(record.jitter, duration=True) if record.jitter else ""),
        ("Start", stamp(record.start)),
        ("End", stamp(record.end)),
        ("Origin", record.origin),
        ("Created", stamp(record.created_at)),
    ]


def _words(record: StoredSchedule) -> str:
    try:
        return describe(parse_schedule(record.schedule, strict=False))
    except InvalidScheduleError:
        return ""
