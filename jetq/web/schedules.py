"""
schedules: stored schedules over HTTP.

Paths, bodies and codes are asyncjobs' where it has them. jetq's own are what stands in a body beside asyncjobs' fields,
``PUT``, and ``enable``, ``disable``, ``run`` and ``next``.
"""

import asyncio
import contextlib
from collections.abc import Generator
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec
from starlette.requests import Request

from jetq.admin.schedule_keeper import ScheduleView
from jetq.app.options import CallOptions, build_request
from jetq.errors import JetqError, UnknownZoneError
from jetq.model.name import check_name
from jetq.model.preview import Planned, preview
from jetq.model.quantity import Duration, whole
from jetq.model.schedule import parse_schedule
from jetq.model.schedule_words import describe
from jetq.model.stored_schedule import (
    MAX_LATE,
    MOST_LIMIT,
    StoredSchedule,
    check_bounds,
    check_schedule_name,
    misfire_policy,
    schedule_deadline,
)
from jetq.model.timetable import Timetable
from jetq.web.body import flag, moment_of, number_of, payload_of, read_body, seconds_of
from jetq.web.endpoint import Answer, Endpoint, Parameter
from jetq.web.problem import Code, Problem, ProblemError, invalid, problem_of
from jetq.web.schedule_bodies import NextTimes, PlannedTime, Schedule, ScheduleList, ScheduleRequest, TaskMade
from jetq.web.service import Service, place_of

_PATH: Final = "/v1/schedules"
_ONE: Final = f"{_PATH}/{{name}}"
_TAG: Final = "Schedules"
_FIELDS: Final = {"type": "task_type", "deadline": "deadline_offset", "time zone": "timezone"}
"""What a body calls what errors name."""
_COUNT: Final = 5
_MOST_COUNT: Final = 1000
_DAYS: Final = 400


async def list_schedules(service: Service, _request: Request) -> Answer:
    """Return all schedules."""
    found = await (await service.schedules()).list_all()
    return Answer({"schedules": [view.to_object() for view in found]})


async def get_schedule(service: Service, request: Request) -> Answer:
    """Return one schedule."""
    view = await (await service.schedules()).view(request.path_params["name"])
    return Answer(view.to_object())


async def create_schedule(service: Service, request: Request) -> Answer:
    """Store a schedule that there is not."""
    wish = await read_body(request, ScheduleRequest, service.max_body)
    view = await _store(service, wish, replace_it=False)
    return Answer(view.to_object(), headers={"Location": place_of(request, f"{_PATH}/{view.name}")})


async def put_schedule(service: Service, request: Request) -> Answer:
    """Store a schedule, in place of one of its name if there is one."""
    wish, name = await read_body(request, ScheduleRequest, service.max_body), request.path_params["name"]
    if wish.name not in ("", name):
        raise invalid("name", "name_differs", f"the body calls the schedule {wish.name[:80]!r}, and its path {name!r}")
    view = await _store(service, msgspec.structs.replace(wish, name=name), replace_it=True)
    return Answer(view.to_object())


async def delete_schedule(service: Service, request: Request) -> Answer:
    """Remove a schedule; its tasks stay."""
    await (await service.schedules()).remove(request.path_params["name"], force=flag(request, "force"))
    return Answer()


async def enable_schedule(service: Service, request: Request) -> Answer:
    """Let a schedule make tasks again."""
    return await _switch(service, request.path_params["name"], paused=False)


async def disable_schedule(service: Service, request: Request) -> Answer:
    """Let a schedule make no tasks."""
    return await _switch(service, request.path_params["name"], paused=True)


async def run_schedule(service: Service, request: Request) -> Answer:
    """Make a task of a schedule now."""
    name = request.path_params["name"]
    task_id = await (await service.schedules()).run(name)
    return Answer(TaskMade(name, task_id), headers={"Location": place_of(request, f"/v1/tasks/{task_id}")})


async def next_times(service: Service, request: Request) -> Answer:
    """Return what a schedule will do."""
    count = number_of(request, "count", _COUNT, _MOST_COUNT)
    days = number_of(request, "days", _DAYS, _DAYS)
    view = await (await service.schedules()).view(request.path_params["name"])
    record = view.record
    if record is None or view.problem:
        message = f"schedule {view.name} has no times to come: {view.problem}"
        raise ProblemError(Problem(code=Code.CONFLICT, reason="schedule_malformed", message=message))
    table = Timetable.of(record)
    now = (await service.backend()).connection.clock.now()
    seen = await asyncio.to_thread(preview, table, now, count=count, days=days)
    return Answer(
        NextTimes(
            name=view.name,
            schedule=record.schedule,
            timezone=table.schedule.timezone,
            words=describe(table.schedule),
            on=record.is_on,
            next=[_planned(each) for each in seen.following],
            clock_changes=[_planned(each) for each in seen.touched],
        )
    )


def _planned(planned: Planned) -> PlannedTime:
    return PlannedTime(planned.at, planned.local, planned.note)


async def _switch(service: Service, name: str, *, paused: bool) -> Answer:
    keeper = await service.schedules()
    await keeper.pause(name, paused=paused)
    return Answer((await keeper.view(name)).to_object())


async def _store(service: Service, wish: ScheduleRequest, *, replace_it: bool) -> ScheduleView:
    with _fields_named(wish):
        backend = await service.backend()
        record = _record(service, wish, backend.connection.clock.now())
        if (declared := service.app.queues.get(record.queue)) is not None:
            await backend.queue(declared)  # as an enqueue would
        keeper = await service.schedules()
        await keeper.add(record, replace_it=replace_it)
    return await keeper.view(record.name)


@contextlib.contextmanager
def _fields_named(wish: ScheduleRequest) -> Generator[None, None, None]:
    """Let what is refused name the field of the body."""
    try:
        yield
    except JetqError as error:
        problem = problem_of(error, **_FIELDS)
        if isinstance(error, UnknownZoneError) and wish.timezone is not None:
            problem = msgspec.structs.replace(problem, field="timezone")
        raise ProblemError(problem) from error


def _record(service: Service, wish: ScheduleRequest, now: datetime) -> StoredSchedule:
    """Return what is to be stored; what the body leaves out is as the type's handler says, where it is known."""
    payload = payload_of(wish.payload, wish.payload_base64)
    start, end = moment_of("start", wish.start), moment_of("end", wish.end)
    check_bounds(start, end)
    app, said = service.app, CallOptions(max_tries=wish.max_tries, unique=False)
    if wish.queue is not None:
        said = replace(said, queue=check_name("queue", wish.queue))
    name, task_type = check_schedule_name(wish.name), check_name("task type", wish.task_type)
    task = build_request(task_type, payload, said, app.router.match(task_type), app.settings)
    offset: Duration | None = None if isinstance(task.deadline, datetime) else task.deadline
    if wish.deadline_offset is not None:
        offset = seconds_of("deadline_offset", wish.deadline_offset)
    return StoredSchedule(
        name=name,
        schedule=parse_schedule(wish.schedule, wish.timezone).spec,
        queue=task.queue,
        task_type=task_type,
        payload=payload,
        deadline=schedule_deadline(offset, setting="deadline_offset"),
        max_tries=task.max_tries,
        created_at=now,
        misfire=misfire_policy(wish.misfire),
        max_late=MAX_LATE if wish.max_late is None else seconds_of("max_late", wish.max_late),
        limit=whole("limit", wish.limit, least=1, most=MOST_LIMIT),
        jitter=0.0 if wish.jitter is None else seconds_of("jitter", wish.jitter),
        enabled=wish.enabled,
        start=start,
        end=end,
        options=task.options,
    )


_NUMBER: Final = {"type": "integer", "minimum": 1}

SCHEDULES: Final = (
    Endpoint(
        method="GET",
        path=_PATH,
        name="listSchedules",
        tag=_TAG,
        summary="List the schedules, when each is due, was due, and how its last task ended.",
        run=list_schedules,
        gives=ScheduleList,
    ),
    Endpoint(
        method="POST",
        path=_PATH,
        name="createSchedule",
        tag=_TAG,
        summary="Store a schedule; schedulers that run take it up at once.",
        run=create_schedule,
        takes=ScheduleRequest,
        gives=Schedule,
        status=201,
        refuses=(400, 404, 409, 413, 415),
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        name="getSchedule",
        tag=_TAG,
        summary="Show one schedule.",
        run=get_schedule,
        gives=Schedule,
        refuses=(400, 404),
    ),
    Endpoint(
        method="PUT",
        path=_ONE,
        name="putSchedule",
        tag=_TAG,
        summary="Store a schedule, in place of one of this name, which stays disabled if it is.",
        run=put_schedule,
        takes=ScheduleRequest,
        gives=Schedule,
        refuses=(400, 404, 409, 413, 415),
    ),
    Endpoint(
        method="DELETE",
        path=_ONE,
        name="deleteSchedule",
        tag=_TAG,
        summary="Delete a schedule; its tasks stay. One that an application declares is refused.",
        run=delete_schedule,
        status=204,
        refuses=(400, 404, 409),
        parameters=(
            Parameter(
                name="force",
                meaning="Also one that an application declares, whose next start brings it back.",
                kind={"type": "boolean", "default": False},
            ),
        ),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/enable",
        name="enableSchedule",
        tag=_TAG,
        summary="Let a disabled schedule make tasks again; what it missed is not made up for.",
        run=enable_schedule,
        gives=Schedule,
        refuses=(400, 404, 409),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/disable",
        name="disableSchedule",
        tag=_TAG,
        summary="Let a schedule make no tasks until it is enabled, whatever is deployed.",
        run=disable_schedule,
        gives=Schedule,
        refuses=(400, 404, 409),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/run",
        name="runSchedule",
        tag=_TAG,
        summary="Make a task of a schedule now; its occurrences stay as they are.",
        run=run_schedule,
        gives=TaskMade,
        status=201,
        refuses=(400, 404, 409, 429),
    ),
    Endpoint(
        method="GET",
        path=f"{_ONE}/next",
        name="nextTimes",
        tag=_TAG,
        summary="Show what a schedule will do, and what changes of the clock do to it.",
        run=next_times,
        gives=NextTimes,
        refuses=(400, 404, 409),
        parameters=(
            Parameter(
                name="count",
                meaning="How many of the next occurrences.",
                kind={**_NUMBER, "maximum": _MOST_COUNT, "default": _COUNT},
            ),
            Parameter(
                name="days",
                meaning="How far changes of the clock are looked for.",
                kind={**_NUMBER, "maximum": _DAYS, "default": _DAYS},
            ),
        ),
    ),
)
"""Everything about schedules."""
