"""
tasks: tasks over HTTP.

Paths, bodies and codes are asyncjobs' where it has them; jetq's own are ``cancel``, ``run`` and what stands in a body
beside asyncjobs' fields.

**Idempotency-Key.** The key decides the task's id, and an id is given once. So a request that is sent again finds the
task, whichever server it reaches and whatever died meanwhile, for as long as the task's record is kept; a task that was
stored and not queued is queued by it. asyncjobs remembers keys in one process for 10 minutes.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request

from jetq.admin.task_filter import DEFAULT_LIMIT, DISPLAY_STATES, TaskFilter
from jetq.admin.task_listing import list_tasks
from jetq.app.options import CallOptions, build_request
from jetq.client.keyed import ExistingTask
from jetq.client.request import EnqueueRequest
from jetq.errors import DuplicateTaskError, JetqError, TaskNotFoundError
from jetq.jetstream.backend import Backend
from jetq.jetstream.task_store import Stored
from jetq.model.name import check_name, is_name
from jetq.web.body import flag, moment_of, number_of, parameter, payload_of, read_body, seconds_of
from jetq.web.endpoint import Answer, Endpoint, Parameter
from jetq.web.problem import Code, Problem, ProblemError, invalid, problem_of
from jetq.web.service import Service, place_of
from jetq.web.task_bodies import Retried, RetryRequest, RetryResults, Task, TaskList, TaskRequest
from jetq.wire.codec import Document, encode_json, new_document

_PATH: Final = "/v1/tasks"
_ONE: Final = f"{_PATH}/{{id}}"
_TAG: Final = "Tasks"
_FIELDS: Final = {"depends_on": "dependencies"}
"""What a body calls what errors name."""
_KEY: Final = "Idempotency-Key"
_LONGEST_KEY: Final = 128
_MOST: Final = 1000
_MOST_IDS: Final = 100
_AT_ONCE: Final = 20
_MOST_BYTES: Final = 32 * 2**20
"""Of records in one answer."""
_NDJSON: Final = "application/x-ndjson"
_BY: Final = "HTTP"


def task_object(document: Document) -> dict[str, Any]:
    """Return a task as answers hold it."""
    return {**document.fields, "display_state": document.record.display_state}


async def create_task(service: Service, request: Request) -> Answer:
    """Enqueue a task."""
    wish = await read_body(request, TaskRequest, service.max_body)
    try:
        task = _request(service, wish, _key_of(request))
        document, is_new = await _enqueue(service, task)
    except JetqError as error:
        raise ProblemError(problem_of(error, **_FIELDS)) from error
    location = place_of(request, f"{_PATH}/{document.record.id}")
    return Answer(task_object(document), status=201 if is_new else 200, headers={"Location": location})


def _key_of(request: Request) -> str:
    key = request.headers.get(_KEY, "")
    if len(key) > _LONGEST_KEY:
        message = f"the {_KEY} has {len(key)} characters and the limit is {_LONGEST_KEY}"
        raise invalid(_KEY, "idempotency_key_invalid", message)
    return key


def _request(service: Service, wish: TaskRequest, key: str) -> EnqueueRequest:
    """Return what is to be enqueued."""
    if wish.signature:
        message = (
            "a signature covers the id and the time, which the server chooses; leave it out, and let the server sign"
        )
        raise ProblemError(
            Problem(code=Code.SIGNATURE_INVALID, reason="signature_foreign", field="signature", message=message)
        )
    if key and wish.id is not None:
        raise invalid("id", "id_and_idempotency_key", f"id and the header {_KEY} exclude each other: both say the id")
    task_id = f"http-{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}" if key else wish.id
    depends = tuple(dict.fromkeys(wish.dependencies or ()))
    for parent in depends:
        if not is_name(parent):
            raise invalid("dependencies", "task_id_invalid", f"no task has the id {parent[:80]!r}")
    options = CallOptions(
        id=task_id,
        queue=wish.queue,
        max_tries=wish.max_tries,
        deadline=moment_of("deadline", wish.deadline),
        delay=None if wish.delay is None else timedelta(seconds=seconds_of("delay", wish.delay)),
        run_at=moment_of("run_at", wish.run_at),
        depends_on=depends or None,
        load_dependencies=wish.load_dependencies if depends else None,
    )
    app, payload = service.app, payload_of(wish.payload, wish.payload_base64)
    task_type = check_name("task type", wish.type)
    return build_request(task_type, payload, options, app.router.match(task_type), app.settings)


async def _enqueue(service: Service, task: EnqueueRequest) -> tuple[Document, bool]:
    """Enqueue, and return the task with whether it is new; a task with this id is that one if it is the same."""
    client = await service.client()
    try:
        made = await client.enqueuer.enqueue(task)
    except DuplicateTaskError as duplicate:
        found = await client.backend.tasks.read(duplicate.task_id)
        if found is None or (found.record.type, found.record.payload) != (task.type, task.payload):
            raise
        return found.document, False
    if isinstance(made, ExistingTask):
        return (await _existing(service, made.id)).document, False
    return new_document(made), True


async def _existing(service: Service, task_id: str) -> Stored:
    found = await (await service.backend()).tasks.read(check_name("task id", task_id))
    if found is None:
        raise TaskNotFoundError(task_id)
    return found


async def get_task(service: Service, request: Request) -> Answer:
    """Return one task."""
    return await _shown(service, request.path_params["id"])


async def _shown(service: Service, task_id: str) -> Answer:
    return Answer(task_object((await _existing(service, task_id)).document))


async def find_tasks(service: Service, request: Request) -> Answer:
    """List tasks."""
    query = request.query_params
    wanted = TaskFilter(
        states=query.getlist("state"),
        queue=query.get("queue"),
        task_type=query.get("type"),
        created_since=parameter(request, "created_since", _moment, "a time such as 2026-11-24T03:00:00Z", None),
        limit=number_of(request, "limit", DEFAULT_LIMIT, _MOST, clamp=True),
    )
    as_lines = parameter(request, "stream", {"ndjson": True}.get, "ndjson", default=False)
    if service.lists.locked():
        message = "other lists are being read; try again in a moment"
        raise ProblemError(Problem(code=Code.RATE_LIMITED, reason="list_in_progress", message=message))
    async with service.lists:
        backend = await service.backend()
        listing = await list_tasks(backend.connection, backend.names, wanted)
        found, is_whole = await _read(backend, [task.id for task in listing.tasks])
    tasks = [task_object(document) for document in found]
    if as_lines:
        return Answer(b"".join(encode_json(task) + b"\n" for task in tasks), kind=_NDJSON)
    return Answer({"tasks": tasks, "count": len(tasks), "complete": listing.complete and is_whole})


async def _read(backend: Backend, task_ids: Sequence[str]) -> tuple[list[Document], bool]:
    """Read tasks as they stand now, as many as an answer may hold; say whether that is all of them."""
    found: list[Document] = []
    size = 0
    for start in range(0, len(task_ids), _AT_ONCE):
        stored = await backend.tasks.read_many(task_ids[start : start + _AT_ONCE])
        for each in filter(None, stored):
            size += len(each.data)
            if size > _MOST_BYTES:
                return found, False
            found.append(each.document)
    return found, True


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a + of a query that nobody escaped
    except ValueError:
        return None
    return moment_of("created_since", found)


async def delete_task(service: Service, request: Request) -> Answer:
    """Remove a task."""
    await (await service.client()).operations.delete(request.path_params["id"], force=flag(request, "force"))
    return Answer()


async def retry_task(service: Service, request: Request) -> Answer:
    """Start a task again."""
    task_id = request.path_params["id"]
    await (await service.client()).operations.retry(task_id)
    return await _shown(service, task_id)


async def cancel_task(service: Service, request: Request) -> Answer:
    """End a task, or ask its worker to stop it."""
    task_id = request.path_params["id"]
    await (await service.client()).operations.cancel(task_id, by=_BY)
    return await _shown(service, task_id)


async def run_task(service: Service, request: Request) -> Answer:
    """Let a task wait no longer."""
    task_id = request.path_params["id"]
    await (await service.client()).operations.run_now(task_id)
    return await _shown(service, task_id)


async def retry_tasks(service: Service, request: Request) -> Answer:
    """Start tasks again."""
    wish = await read_body(request, RetryRequest, service.max_body)
    if not wish.ids:
        raise invalid("ids", "ids_required", "name one task or more in ids")
    if len(wish.ids) > _MOST_IDS:
        raise invalid("ids", "ids_too_many", f"ids holds {len(wish.ids):,} and the limit is {_MOST_IDS}")
    operations = (await service.client()).operations

    async def retry(task_id: str) -> Retried:
        try:
            await operations.retry(task_id)
        except TaskNotFoundError as error:
            return Retried(task_id, "not_found", str(error))
        except JetqError as error:
            return Retried(task_id, "failed", str(error))
        return Retried(task_id, "ok")

    done = dict(zip(once := list(dict.fromkeys(wish.ids)), await asyncio.gather(*map(retry, once)), strict=True))
    return Answer(RetryResults([done[task_id] for task_id in wish.ids]))


_TEXT: Final = {"type": "string"}

TASKS: Final = (
    Endpoint(
        method="POST",
        path=_PATH,
        name="createTask",
        tag=_TAG,
        summary="Enqueue a task; 201 for a new one, 200 for the one that was made with this key, or is there already.",
        run=create_task,
        takes=TaskRequest,
        gives=Task,
        status=201,
        refuses=(400, 404, 409, 413, 415, 429),
        parameters=(
            Parameter(
                name=_KEY,
                meaning="Decides the task's id, so that the same request may be sent again.",
                kind={**_TEXT, "maxLength": _LONGEST_KEY},
                place="header",
            ),
        ),
    ),
    Endpoint(
        method="GET",
        path=_PATH,
        name="listTasks",
        tag=_TAG,
        summary="List tasks, those that changed last first; all that is given must hold.",
        run=find_tasks,
        gives=TaskList,
        refuses=(400, 429),
        parameters=(
            Parameter(
                name="state",
                meaning="Only these, as people see them; repeat it for several.",
                kind={"type": "array", "items": {"type": "string", "enum": sorted(DISPLAY_STATES)}},
            ),
            Parameter(name="queue", meaning="Only this queue's.", kind=_TEXT),
            Parameter(name="type", meaning="Only this type's; * stands for anything.", kind=_TEXT),
            Parameter(
                name="created_since",
                meaning="Only those that were created then or later.",
                kind={**_TEXT, "format": "date-time"},
            ),
            Parameter(
                name="limit",
                meaning="So many at most; more than 1,000 is taken for that.",
                kind={"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT},
            ),
            Parameter(
                name="stream", meaning="One task a line, as application/x-ndjson.", kind={**_TEXT, "enum": ["ndjson"]}
            ),
        ),
    ),
    Endpoint(
        method="POST",
        path=f"{_PATH}/retry",
        name="retryTasks",
        tag=_TAG,
        summary="Start tasks again; always 200, and what came of each is told.",
        run=retry_tasks,
        takes=RetryRequest,
        gives=RetryResults,
        refuses=(400, 413, 415),
    ),
    Endpoint(
        method="GET",
        path=_ONE,
        name="getTask",
        tag=_TAG,
        summary="Show one task.",
        run=get_task,
        gives=Task,
        refuses=(400, 404),
    ),
    Endpoint(
        method="DELETE",
        path=_ONE,
        name="deleteTask",
        tag=_TAG,
        summary="Remove a task with all that belongs to it.",
        run=delete_task,
        status=204,
        refuses=(400, 404, 409),
        parameters=(
            Parameter(
                name="force",
                meaning="Also while it runs: the run goes on, and its result is dropped.",
                kind={"type": "boolean", "default": False},
            ),
        ),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/retry",
        name="retryTask",
        tag=_TAG,
        summary="Start a task again that ended, or run one now that waits.",
        run=retry_task,
        gives=Task,
        refuses=(400, 404, 409),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/cancel",
        name="cancelTask",
        tag=_TAG,
        summary="End a task, or ask the worker that runs it to stop it.",
        run=cancel_task,
        gives=Task,
        refuses=(400, 404, 409),
    ),
    Endpoint(
        method="POST",
        path=f"{_ONE}/run",
        name="runTask",
        tag=_TAG,
        summary="Let a task that waits for its time wait no longer.",
        run=run_task,
        gives=Task,
        refuses=(400, 404, 409),
    ),
)
"""Everything about tasks."""
