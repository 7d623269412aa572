"""
queues: queues over HTTP.

Paths, bodies and codes are asyncjobs' where it has them; jetq's own are ``pause``, ``resume``, and what an answer tells
of what a queue holds.
"""

from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request

from jetq.admin.inspector import Inspector
from jetq.admin.operator import Operator
from jetq.errors import JetqError
from jetq.jetstream.queue_catalog import QueueInfo
from jetq.model.go_duration import NANOSECONDS
from jetq.model.record import Moment
from jetq.settings import Queue
from jetq.web.body import read_body, seconds_of
from jetq.web.endpoint import Answer, Endpoint
from jetq.web.problem import Code, Problem, ProblemError, invalid, problem_of
from jetq.web.service import Service, place_of

_PATH: Final = "/v1/queues"
_ONE: Final = f"{_PATH}/{{name}}"
_TAG: Final = "Queues"
_FIELDS: Final = {"queue": "name", "max_run_time": "max_runtime"}
"""What a body calls what errors name."""
_UNLIMITED: Final = -1


class QueueRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A queue that is to be created; what is absent is the default. Durations are spelled as Go does.

    Attributes:
        name: Letters, digits, ``_``, ``:`` and ``-``.
        max_age: A duration after which an item that nobody took is dropped.
        max_entries: Items that it holds; 0 is unlimited.
        discard_old: A full queue drops its oldest item in place of refusing the new one.
        max_tries: Tries of each task at most; 0 is unlimited.
        max_runtime: A duration that a handler may run.
        max_concurrent: Tasks that may run at one time.
        lease: A duration until the task of a dead worker may run elsewhere.
    """

    name: str
    max_age: str | None = None
    max_entries: int = 0
    discard_old: bool = False
    max_tries: int = 0
    max_runtime: str | None = None
    max_concurrent: int | None = None
    lease: str | None = None


class PauseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """
    For how long a queue is to be paused.

    Attributes:
        duration: As Go spells it; absent is until it is resumed.
    """

    duration: str | None = None


class QueueState(Struct, frozen=True, kw_only=True):
    """
    A queue, its limits and what it holds. Durations are nanoseconds; -1 is unlimited.

    Attributes:
        name: Its name.
        time: When it was made.
        max_age: After which an item is dropped; 0 is never.
        max_entries, discard_old: How many items it holds, and whether a full one drops the oldest.
        max_tries, max_runtime, max_concurrent, lease: As they were given.
        fault: Why it is broken; empty if it is not.
        items: In the queue, whether a worker has them or not.
        pending: Those that no worker has had yet.
        running: Those that workers have now.
        scheduled: Tasks that wait for their time.
        oldest: When the oldest item came; null for none.
        paused: Its items are given to nobody.
        paused_until: When it goes on by itself; null if it does not, or is not paused.
    """

    name: str
    time: Moment | None
    max_age: int
    max_entries: int
    discard_old: bool
    max_tries: int
    max_runtime: int
    max_concurrent: int
    lease: int
    fault: str
    items: int
    pending: int
    running: int
    scheduled: int
    oldest: Moment | None
    paused: bool
    paused_until: Moment | None


class QueueList(Struct, frozen=True):
    """
    All queues.

    Attributes:
        queues: In the order of their names.
    """

    queues: list[QueueState]


def queue_state(info: QueueInfo) -> QueueState:
    """Return a queue as answers hold it."""
    limits = info.settings
    return QueueState(
        name=info.name,
        time=info.created,
        max_age=0 if limits is None else round(limits.max_age * NANOSECONDS),
        max_entries=_UNLIMITED if limits is None else limits.max_entries or _UNLIMITED,
        discard_old=limits is not None and limits.discard_old,
        max_tries=_UNLIMITED if limits is None else limits.max_tries or _UNLIMITED,
        max_runtime=0 if limits is None else round(limits.max_run_time * NANOSECONDS),
        max_concurrent=_UNLIMITED if limits is None else limits.max_concurrent or _UNLIMITED,
        lease=0 if limits is None else round(limits.lease * NANOSECONDS),
        fault=info.fault,
        items=info.items,
        pending=info.pending,
        running=info.running,
        scheduled=info.scheduled,
        oldest=info.oldest,
        paused=info.paused,
        paused_until=info.paused_until,
    )


async def list_queues(service: Service, _request: Request) -> Answer:
    """Return all queues."""
    found = await (await _inspector(service)).list_queues()
    return Answer(QueueList([queue_state(each) for each in found]))


async def get_queue(service: Service, request: Request) -> Answer:
    """Return one queue."""
    return Answer(queue_state(await (await _inspector(service)).describe_queue(request.path_params["name"])))


async def create_queue(service: Service, request: Request) -> Answer:
    """Create a queue that there is not."""
    wish = await read_body(request, QueueRequest, service.max_body)
    if wish.name == service.app.settings.default_queue and not service.makes_default:
        message = f"the queue {wish.name} is made by itself when it is first used; choose another name"
        raise invalid("name", "default_queue_disallowed", message)
    try:
        created = await (await _operator(service)).add_queue(_queue(wish))
    except JetqError as error:
        raise ProblemError(problem_of(error, **_FIELDS)) from error
    if not created:
        message = f"there is a queue {wish.name} already, which keeps its limits"
        raise ProblemError(Problem(code=Code.DUPLICATE, reason="queue_already_exists", message=message))
    info = await (await _inspector(service)).describe_queue(wish.name)
    return Answer(queue_state(info), headers={"Location": place_of(request, f"{_PATH}/{wish.name}")})


def _queue(wish: QueueRequest) -> Queue:
    durations = {"max_age": wish.max_age, "max_runtime": wish.max_runtime, "lease": wish.lease}
    given: dict[str, Any] = {
        "max_run_time" if field == "max_runtime" else field: seconds_of(field, text)
        for field, text in durations.items()
        if text is not None
    }
    if not given.get("max_age"):
        given.pop("max_age", None)
    if wish.max_concurrent is not None:
        given["max_concurrent"] = wish.max_concurrent
    if wish.max_entries:
        given["max_entries"] = wish.max_entries
    return Queue(wish.name, discard_old=wish.discard_old, max_tries=wish.max_tries, **given)


async def delete_queue(service: Service, request: Request) -> Answer:
    """End the tasks that are queued, and remove the queue."""
    await (await _operator(service)).delete_queue(request.path_params["name"])
    return Answer()


async def purge_queue(service: Service, request: Request) -> Answer:
    """End the tasks that are queued, and remove their items."""
    await (await _operator(service)).purge_queue(request.path_params["name"])
    return Answer()


async def pause_queue(service: Service, request: Request) -> Answer:
    """Let no worker take tasks of a queue."""
    wish = await read_body(request, PauseRequest, service.max_body, may_lack=True)
    duration = None if wish.duration is None else seconds_of("duration", wish.duration)
    return Answer(queue_state(await (await _operator(service)).pause_queue(request.path_params["name"], duration)))


async def resume_queue(service: Service, request: Request) -> Answer:
    """Let workers take tasks of a queue again."""
    return Answer(queue_state(await (await _operator(service)).resume_queue(request.path_params["name"])))


async def _inspector(service: Service) -> Inspector:
    backend = await service.backend()
    return Inspector(backend.connection, backend.names)


async def _operator(service: Service) -> Operator:
    return Operator(await service.backend())


QUEUES: Final = (
    Endpoint(
        method="GET",
        path=_PATH,
        name="listQueues",
        tag=_TAG,
        summary="List the queues, with their limits and what they hold.",
        run=list_queues,
        gives=QueueList,
    ),
    Endpoint(
        method="POST",
        path=_PATH,
        name="createQueue",
        tag=_TAG,
        summary="Create a queue.",
        run=create_queue,
        takes=QueueRequest,
        gives=QueueState,
        status=201,
        refuses=(400, 409, 413, 415),
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        name="getQueue",
        tag=_TAG,
        summary="Show one queue.",
        run=get_queue,
        gives=QueueState,
        refuses=(400, 404),
    ),
    Endpoint(
        method="DELETE",
        path=_ONE,
        name="deleteQueue",
        tag=_TAG,
        summary="End the tasks that are queued, and remove the queue; what waits for its time goes on waiting.",
        run=delete_queue,
        status=204,
        refuses=(400, 404),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/purge",
        name="purgeQueue",
        tag=_TAG,
        summary="End the tasks that are queued, and remove their items.",
        run=purge_queue,
        status=202,
        refuses=(400, 404),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/pause",
        name="pauseQueue",
        tag=_TAG,
        summary="Let no worker take tasks of a queue, for a time or until it is resumed; what runs goes on.",
        run=pause_queue,
        takes=PauseRequest,
        may_lack_body=True,
        gives=QueueState,
        refuses=(400, 404, 413, 415),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/resume",
        name="resumeQueue",
        tag=_TAG,
        summary="Let workers take tasks of a paused queue again.",
        run=resume_queue,
        gives=QueueState,
        refuses=(400, 404),
    ),
)
"""Everything about queues."""
