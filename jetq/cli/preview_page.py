"""
preview_page: what schedules will do, gathered and printed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer

from jetq.cli.render import print_json, printable
from jetq.cli.session import Session, in_session
from jetq.cli.terminal import say
from jetq.errors import InvalidSettingError, UnknownScheduleError
from jetq.model.preview import Planned, Preview, preview
from jetq.model.schedule import parse_schedule
from jetq.model.schedule_words import describe
from jetq.model.stored_schedule import StoredSchedule
from jetq.model.timetable import Timetable
from jetq.runtime.loading import load_app
from jetq.settings import Settings

_SHOWN: Final = 8
"""Lines about changes of the clock for one schedule."""


def of_spec(spec: str | None, timezone: str | None, *, beside: str | None = None) -> list[Timetable]:
    """
    Return a schedule that stands nowhere.

    Raises:
        InvalidScheduleError: It cannot be meant.
        InvalidSettingError: There is a time zone and no spec, or an application *beside* it.
    """
    if spec is None:
        raise InvalidSettingError("--timezone", timezone, "given with --spec alone")
    if beside is not None:
        raise InvalidSettingError("--spec", spec, "absent beside MODULE:APP")
    parsed = parse_schedule(spec, timezone)
    now = datetime.now(UTC)
    record = StoredSchedule(name="", schedule=parsed.spec, queue="", task_type="", created_at=now)
    return [Timetable(record, parsed)]


def of_application(target: str, folder: Path | None, name: str | None) -> list[Timetable]:
    """
    Return the schedules that an application declares; an interval is counted from now.

    Raises:
        AppLoadError: There is no such application.
        UnknownScheduleError: It declares none of this name.
    """
    app, now = load_app(target, folder), datetime.now(UTC)
    app.load()
    declared = app.schedules
    if name is not None and name not in declared:
        raise UnknownScheduleError(name)
    chosen = [declared[name]] if name is not None else declared.values()
    return [Timetable(each.stored(now, app=app.name), each.schedule) for each in chosen]


def of_store(settings: Settings, name: str | None) -> list[Timetable]:
    """
    Return the stored schedules that can be understood.

    Raises:
        UnknownScheduleError: There is none of this name.
        ServerError: No connection.
    """

    async def read(session: Session) -> list[Any]:
        return await session.schedules.list_all() if name is None else [await session.schedules.view(name)]

    tables: list[Timetable] = []
    for view in in_session(settings, read):
        if view.record is None or view.problem:
            say(f"{view.name} is left out: {view.problem}")
        else:
            tables.append(Timetable.of(view.record))
    return tables


def print_previews(tables: Sequence[Timetable], now: datetime, *, days: int, count: int, as_json: bool) -> None:
    """Print what each schedule will do."""
    found = [(table, preview(table, now, count=count, days=days)) for table in tables]
    if as_json:
        print_json([_document(table, seen) for table, seen in found])
        return
    if not found:
        say("there are no schedules")
    for place, (table, seen) in enumerate(found):
        if place:
            typer.echo()
        _print_one(table, seen, days, asked=count > 0)


def _print_one(table: Timetable, seen: Preview, days: int, *, asked: bool) -> None:
    record = table.record
    title = f"{record.name}: {record.schedule}" if record.name else record.schedule
    typer.echo(typer.style(printable(title), bold=True))
    typer.echo(f"  {describe(table.schedule)}{_bounds(record)}")
    for planned in seen.following:
        typer.echo(f"  {_line(planned)}")
    if asked and not seen.following and record.is_on:
        typer.echo("  no occurrence is left")
    rest = [planned for planned in seen.touched if planned not in seen.following]
    if rest:
        typer.echo(f"  changes of the clock, {days} days ahead:")
    for planned in rest[:_SHOWN]:
        typer.echo(f"  {_line(planned)}")
    if len(rest) > _SHOWN:
        typer.echo(f"  and {len(rest) - _SHOWN} more (all with --json)")


def _bounds(record: StoredSchedule) -> str:
    parts = [] if record.is_on else ["off now"]
    if record.start is not None:
        parts.append(f"from {record.start:%Y-%m-%d %H:%M} UTC")
    if record.end is not None:
        parts.append(f"until {record.end:%Y-%m-%d %H:%M} UTC")
    if record.jitter:
        parts.append(f"up to {record.jitter:g} s later")
    return "".join(f"; {part}" for part in parts)


def _line(planned: Planned) -> str:
    local = f"{planned.local:%a %Y-%m-%d %H:%M:%S %z}"
    at = "" if planned.local.utcoffset() == planned.at.utcoffset() else f"  {planned.at:%Y-%m-%dT%H:%M:%SZ}"
    return f"{local}{at}" + (f"  ! {planned.note}" if planned.note else "")


def _document(table: Timetable, seen: Preview) -> dict[str, Any]:
    return {
        "name": table.record.name,
        "schedule": table.record.schedule,
        "timezone": table.schedule.timezone,
        "words": describe(table.schedule),
        "on": table.record.is_on,
        "next": [_planned(planned) for planned in seen.following],
        "clock_changes": [_planned(planned) for planned in seen.touched],
    }


def _planned(planned: Planned) -> dict[str, str]:
    document = {"at": f"{planned.at:%Y-%m-%dT%H:%M:%SZ}", "local": planned.local.isoformat()}
    return document | ({"note": planned.note} if planned.note else {})
