"""A server of remote handlers: what it answers to workers of any language."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace as change
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.errors import (
    AppLoadError,
    InvalidNameError,
    NoResponderError,
    PermissionDeniedError,
    Retry,
    ServerTimeoutError,
    Snooze,
    TaskTerminatedError,
    Terminate,
)
from jetq.execution.context import Context
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.server import EmbeddedServer
from jetq.model.answering import RequestAnswered, RequestRefused, ResponderStopped
from jetq.model.events import Event
from jetq.model.record import Run, TaskRecord
from jetq.model.signing import SigningSettings
from jetq.model.state import State
from jetq.settings import Queue, WorkerSettings
from jetq.wire.codec import new_document
from jetq.wire.remote import request_headers
from jetq.wire.signature import Signer, new_seed
from jetq.worker import answering
from jetq.worker.responder import Responder
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker import pool_app
from tests.integration.worker.conftest import LEASE, SETTINGS
from tests.servers import TestServer

Ask = Callable[..., Coroutine[Any, Any, Incoming]]
SOON = timedelta(seconds=20)


def task(task_type: str, payload: bytes | None = None, **changes: Any) -> TaskRecord:
    values: dict[str, Any] = {
        "id": "01TASK",
        "type": task_type,
        "queue": "DEFAULT",
        "payload": payload,
        "state": State.ACTIVE,
        "created": datetime(2026, 11, 24, tzinfo=UTC),
        "tries": 1,
        "runs": 1,
        "run": Run("01WORKER", 1, "cafe"),
    }
    return TaskRecord(**values | changes)


@pytest.fixture
def ask(connection: Connection, namespace: str) -> Ask:
    """Give what asks for a run of a task, as a Go worker does."""

    async def request(
        record: TaskRecord | bytes, endpoint: str = "", headers: dict[str, str] | None = None, timeout: float = 10
    ) -> Incoming:
        if headers is None:
            headers = request_headers(datetime.now(UTC) + SOON)
        called = endpoint or (record.type if isinstance(record, TaskRecord) else "catchall")
        body = record if isinstance(record, bytes) else new_document(record).encode()
        return await connection.request(f"{namespace}.H.T.{called}", body, headers=headers, timeout=timeout)

    return request


@pytest.fixture
async def shop(make_app: Callable[[], App]) -> AsyncIterator[App]:
    """Give an application that answers, with a handler of each kind and end."""
    app = make_app()
    shop_handlers(app)
    async with Responder(app, settings=SETTINGS, version="1.2.3"):
        yield app


def ends(app: App) -> None:
    @app.task("end:error")
    async def error() -> None:
        raise ValueError("no such user")

    @app.task("end:given-up", give_up_on=[ValueError])
    async def given_up() -> None:
        raise ValueError("no such user")

    @app.task("end:terminate")
    async def terminate() -> None:
        raise Terminate("bad\r\nAJ-Error: address")

    @app.task("end:retry")
    async def retry() -> None:
        raise Retry(60, "later")

    @app.task("end:snooze")
    async def snooze() -> None:
        raise Snooze(60)

    @app.task("end:too-large")
    async def too_large() -> str:
        return "x" * 1024 * 1024

    @app.task("end:no-json")
    async def no_json() -> object:
        return object()


def shop_handlers(app: App) -> None:
    ends(app)

    @app.task("email:new")
    async def send_email(ctx: Context, to: str, times: int = 1) -> dict[str, Any]:
        return {"to": to, "times": times, "tries": ctx.tries}

    @app.task("email:sync")
    def sync_email(to: str) -> str:
        return f"sent to {to}"

    @app.task("slow:wait")
    async def wait(seconds: float = 60) -> None:
        await asyncio.sleep(seconds)

    @app.task("slow:extend")
    async def extend(ctx: Context) -> None:
        ctx.extend(3600)
        await asyncio.sleep(60)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("endpoint", ["email:new", "email:", "catchall"])
async def test_a_handler_is_found_by_the_task_in_the_body(ask: Ask, endpoint: str) -> None:
    answer = await ask(task("email:new", b'{"to":"ann"}'), endpoint)
    assert not answer.headers
    assert json.loads(answer.data) == {"to": "ann", "times": 1, "tries": 1}


@pytest.mark.usefixtures("shop")
async def test_a_handler_in_a_thread_answers_too(ask: Ask) -> None:
    answer = await ask(task("email:sync", b'{"to":"ann"}'))
    assert answer.data == b'"sent to ann"'


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("task_type", "expected"),
    [
        pytest.param("end:error", ("AJ-Error", "ValueError: no such user", "Failed"), id="error"),
        pytest.param("end:given-up", ("AJ-Terminate", "ValueError: no such user", "GivenUp"), id="given-up"),
        pytest.param("end:terminate", ("AJ-Terminate", "bad AJ-Error: address", "Terminated"), id="terminate"),
        pytest.param("end:retry", ("AJ-Error", "later", "Retried"), id="retry"),
        pytest.param("end:snooze", ("AJ-Error", "the handler wants to be called again in", "Snoozed"), id="snooze"),
        pytest.param("end:too-large", ("AJ-Terminate", "the result has 1,048,578 bytes", "Unstorable"), id="too-large"),
        pytest.param("end:no-json", ("AJ-Terminate", "ValueNotJsonError", "Unstorable"), id="no-json"),
        pytest.param("email:new", ("AJ-Terminate", "argument 'to' is missing", "Invalid"), id="bad-payload"),
    ],
)
async def test_an_end_that_is_no_success_is_a_header(ask: Ask, task_type: str, expected: tuple[str, str, str]) -> None:
    header, text, outcome = expected
    headers = (await ask(task(task_type))).headers or {}
    assert headers[header].startswith(text)
    assert headers["JETQ-Outcome"] == outcome
    assert {"AJ-Error", "AJ-Terminate"} & headers.keys() == {header}


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("record", "headers", "text"),
    [
        pytest.param(task("other:type"), None, "no handler for the task type 'other:type' on this server", id="type"),
        pytest.param(b"\xff\x00", None, "the request is no task", id="no-json"),
        pytest.param(b'{"id":"a b","type":"x","created":"2026-01-01T00:00:00Z"}', None, "the request is no", id="id"),
        pytest.param(
            task("email:new"), request_headers(datetime(2026, 1, 1, tzinfo=UTC)), "the deadline of this", id="passed"
        ),
        pytest.param(task("email:new"), {"AJ-Handler-Deadline": "soon"}, "is no time with a zone", id="no-time"),
        pytest.param(
            task("email:new"), {"AJ-Handler-Deadline": "2026-01-01T00:00:00"}, "is no time with a zone", id="no-zone"
        ),
    ],
)
async def test_a_request_that_cannot_run_is_refused(
    told: list[Event],
    ask: Ask,
    record: TaskRecord | bytes,
    headers: dict[str, str] | None,
    text: str,
) -> None:
    answer = await ask(record, "catchall", headers)
    assert text in (answer.headers or {})["AJ-Error"]
    (refused,) = [event for event in told if isinstance(event, RequestRefused)]
    assert text in refused.detail


@pytest.mark.usefixtures("shop")
async def test_a_request_without_a_deadline_runs(ask: Ask) -> None:
    assert (await ask(task("email:sync", b'{"to":"ann"}'), headers={})).data == b'"sent to ann"'


@pytest.mark.usefixtures("shop")
async def test_a_handler_is_interrupted_at_the_deadline_whatever_it_says(ask: Ask) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    kinds = ("slow:wait", "slow:extend")
    for answer in await asyncio.gather(*(ask(task(kind), headers=request_headers(until)) for kind in kinds)):
        assert (answer.headers or {})["AJ-Error"].startswith("TimeoutError: ran longer than its limit of ")
    assert -0.2 < (datetime.now(UTC) - until).total_seconds() < 5


@pytest.mark.usefixtures("shop")
async def test_nobody_listens_for_what_the_application_does_not_handle(
    ask: Ask,
) -> None:
    with pytest.raises(NoResponderError):
        await ask(task("other:type"))


async def test_a_pattern_takes_what_fits_and_leaves_the_rest_alone(make_app: Callable[[], App], ask: Ask) -> None:
    app = make_app()

    @app.task("audit:*")
    async def audit(ctx: Context) -> str:
        return ctx.task_type

    async with Responder(app, settings=SETTINGS):
        for endpoint in ("audit:new", "audit:", "catchall"):
            assert (await ask(task("audit:new"), endpoint)).data == b'"audit:new"'
        with pytest.raises(ServerTimeoutError):  # another program may listen there, and takes its time
            await ask(task("other:type"), timeout=0.2)
        with pytest.raises(ServerTimeoutError):
            await ask(b"no task", "other:type", timeout=0.2)
        for endpoint in ("audit:new", "audit:", "catchall"):
            refused = await ask(task("other:type"), endpoint)
            assert "no handler for the task type" in (refused.headers or {})["AJ-Error"]


async def test_named_endpoints_are_all_that_is_answered(make_app: Callable[[], App], ask: Ask) -> None:
    app = make_app()

    @app.task("*")
    async def everything() -> int:
        return 1

    async with Responder(app, settings=SETTINGS, endpoints=["audit:"]):
        assert (await ask(task("audit:new"), "audit:")).data == b"1"
        with pytest.raises(NoResponderError):
            await ask(task("audit:new"))


async def test_each_request_goes_to_one_of_several_servers(
    make_app: Callable[[], App], ask: Ask, told: list[Event]
) -> None:
    apps = [make_app(), make_app()]
    for app in apps:
        shop_handlers(app)
    async with Responder(apps[0], settings=SETTINGS), Responder(apps[1], settings=SETTINGS):
        await asyncio.gather(*(ask(task("email:sync", b'{"to":"ann"}')) for _ in range(20)))
    assert len([event for event in told if isinstance(event, RequestAnswered)]) == 20


async def test_what_exceeds_the_slots_waits_and_then_is_late(make_app: Callable[[], App], ask: Ask) -> None:
    app = make_app()
    shop_handlers(app)
    async with Responder(app, settings=WorkerSettings(concurrency=1)) as responder:
        first = asyncio.create_task(ask(task("slow:wait", b'{"seconds":0.3}')))
        second = asyncio.create_task(ask(task("email:sync", b'{"to":"ann"}')))

        async def both() -> bool:
            return (responder.running, responder.waiting) == (1, 1)

        await eventually(both)
        assert (await second).data == b'"sent to ann"'
        assert first.done()
        busy = asyncio.create_task(ask(task("slow:wait", b'{"seconds":3}')))
        await eventually(lambda: _runs(responder))
        late = await ask(task("email:sync"), headers=request_headers(datetime.now(UTC) + timedelta(seconds=2)))
        busy.cancel()
        responder.cancel()
    assert (late.headers or {})["AJ-Error"] == "no slot was free here before the deadline of the request"


@pytest.mark.parametrize(
    ("size", "count"), [pytest.param(20_000, 3, id="large"), pytest.param(1, 12, id="small, which cost room too")]
)
async def test_what_finds_no_room_is_refused_at_once_and_there_is_room_again_later(
    make_app: Callable[[], App], ask: Ask, monkeypatch: pytest.MonkeyPatch, size: int, count: int
) -> None:
    monkeypatch.setattr(answering, "_MOST_HELD", 64_000)
    app, held = make_app(), asyncio.Event()

    @app.task("hold")
    async def hold(text: str) -> int:
        await held.wait()
        return len(text)

    async with Responder(app, settings=WorkerSettings(concurrency=1)):
        payload = json.dumps({"text": "x" * size}).encode()
        asked = [asyncio.create_task(ask(task("hold", payload))) for _ in range(count)]
        done, rest = await asyncio.wait(asked, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        said = (done.pop().result().headers or {})["AJ-Error"]
        held.set()
        answers = await asyncio.gather(*rest)
        again = await ask(task("hold", payload))

    kept = sum(not answer.headers for answer in answers)
    assert said == f"{kept} requests wait here already; another try may find room"
    assert again.data == b"%d" % size


async def test_running_handlers_are_answered_before_it_stops(
    make_app: Callable[[], App], ask: Ask, told: list[Event]
) -> None:
    app = make_app()
    shop_handlers(app)
    async with Responder(app, settings=SETTINGS) as responder:
        answer = asyncio.create_task(ask(task("slow:wait", b'{"seconds":0.4}')))
        await eventually(lambda: _runs(responder))
    assert (await answer).data == b"null"
    assert told[-1] == ResponderStopped(responder=responder.id, interrupted=0)


async def test_a_handler_that_outlasts_the_stop_is_tried_again_elsewhere(make_app: Callable[[], App], ask: Ask) -> None:
    app = make_app()
    shop_handlers(app)
    async with Responder(app, settings=WorkerSettings(shutdown_timeout=0.1)) as responder:
        answer = asyncio.create_task(ask(task("slow:wait")))
        await eventually(lambda: _runs(responder))
    headers = (await answer).headers or {}
    assert headers["AJ-Error"] == "Interrupted: the server that ran the handler stopped before it ended"
    assert headers["JETQ-Outcome"] == "Snoozed"


async def _runs(responder: Responder) -> bool:
    return responder.running > 0


async def test_a_run_that_nobody_waits_for_is_ended(
    make_app: Callable[[], App], ask: Ask, connection: Connection, namespace: str
) -> None:
    app = make_app()
    ended = asyncio.Event()

    @app.task("slow:wait")
    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with Responder(app, settings=SETTINGS) as responder:
        answer = asyncio.create_task(ask(task("slow:wait")))
        await eventually(lambda: _runs(responder))
        connection.send(f"{namespace}.H.C.01TASK", b"another run")
        connection.send(f"{namespace}.H.C.01TASK", b"cafe")
        await asyncio.wait_for(ended.wait(), 5)
        assert "cancelled" in ((await answer).headers or {})["AJ-Error"]


async def test_progress_is_heard_by_who_follows_the_task(
    make_app: Callable[[], App], ask: Ask, connection: Connection, namespace: str
) -> None:
    app = make_app()

    @app.task("audit:log")
    def audit(ctx: Context) -> None:
        ctx.progress(1, 2, "half")

    heard: asyncio.Queue[Incoming] = asyncio.Queue()
    await connection.subscribe(f"{namespace}.E.task_progress.01TASK", heard.put_nowait)
    async with Responder(app, settings=SETTINGS):
        await ask(task("audit:log"))
        said = json.loads((await asyncio.wait_for(heard.get(), 5)).data)
    assert said["task_id"] == "01TASK"


async def test_only_signed_tasks_run_where_that_is_asked_for(server: EmbeddedServer, namespace: str, ask: Ask) -> None:
    signer = Signer(new_seed())
    app = App("test", namespace=namespace, signing=SigningSettings(verify=[signer.public_key]))
    app.connect_to(server.address)
    shop_handlers(app)
    document = new_document(task("email:sync", b'{"to":"ann"}'))
    async with Responder(app, settings=SETTINGS):
        unsigned = await ask(document.encode(), "email:sync")
        changed = await ask(
            signer.signed(document).updated(replace(document.record, payload=b'{"to":"eve"}')).encode(), "email:sync"
        )
        signed = await ask(signer.signed(document).encode(), "email:sync")
    assert "not signed" in (unsigned.headers or {})["AJ-Terminate"]
    assert "AJ-Terminate" in (changed.headers or {})
    assert signed.data == b'"sent to ann"'


@pytest.mark.usefixtures("shop")
async def test_it_is_seen_as_a_micro_service(ask: Ask, connection: Connection) -> None:
    await ask(task("email:sync", b'{"to":"ann"}'))
    await ask(task("end:error"))
    found = json.loads((await connection.request("$SRV.PING.test")).data)
    assert found["type"] == "io.nats.micro.v1.ping_response"
    assert (found["name"], found["version"]) == ("test", "1.2.3")
    info = json.loads((await connection.request(f"$SRV.INFO.test.{found['id']}")).data)
    assert "email:new" in [endpoint["metadata"].get("jetq.type") for endpoint in info["endpoints"]]
    stats = json.loads((await connection.request("$SRV.STATS.test")).data)
    by_name = {endpoint["name"]: endpoint for endpoint in stats["endpoints"]}
    assert by_name["email-sync"]["num_requests"] == 1
    assert by_name["email-sync"]["average_processing_time"] > 0
    assert (by_name["end-error"]["num_errors"], by_name["end-error"]["last_error"]) == (1, "ValueError: no such user")
    assert by_name["end-error"]["queue_group"] == "jetq-test"


async def test_its_own_remote_handlers_do_not_answer(make_app: Callable[[], App]) -> None:
    app = make_app()
    app.remote("audit:log")
    with pytest.raises(AppLoadError, match="no handlers that could answer"):
        async with Responder(app, settings=SETTINGS):
            pass


async def test_a_group_that_is_none_is_refused(make_app: Callable[[], App]) -> None:
    with pytest.raises(InvalidNameError, match="group"):
        Responder(make_app(), group="a b")


async def test_a_handler_in_a_process_answers_too(
    server: EmbeddedServer, namespace: str, ask: Ask, tmp_path: Path
) -> None:
    app = pool_app.app
    app.reconfigure(change(app.settings, namespace=namespace))
    app.connect_to(server.address)
    async with Responder(app, settings=WorkerSettings(pool_processes=1)):
        assert (await ask(task("echo", b'{"value":[1]}'))).data == b"[1]"
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
        killed = await ask(
            task("hold", json.dumps({"started": str(tmp_path / "started")}).encode()), headers=request_headers(until)
        )
    assert "TimeoutError" in (killed.headers or {})["AJ-Error"]


async def test_a_command_answers_too(make_app: Callable[[], App], ask: Ask) -> None:
    app = make_app()
    app.command("audit:log", ["/bin/sh", "-c", 'grep -o "01TASK" "$JETQ_TASK"'])
    async with Responder(app, settings=SETTINGS):
        assert (await ask(task("audit:log"))).data == b'"01TASK\\n"'


async def test_it_answers_again_when_the_server_is_back(own_server: TestServer) -> None:
    app = App("test")
    app.connect_to(own_server.address)
    shop_handlers(app)
    body = new_document(task("email:sync", b'{"to":"ann"}')).encode()
    async with Responder(app, settings=SETTINGS) as responder:
        await asyncio.to_thread(own_server.restart)

        async def is_ready() -> bool:
            return responder.health().ready

        await eventually(is_ready)
        async with await Connection.open(own_server.address, name="test") as connection:
            answer = await connection.request("JETQ.H.T.email:sync", body)
    assert answer.data == b'"sent to ann"'


async def test_an_answer_waits_for_a_connection_that_is_lost(
    make_app: Callable[[], App], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    shop_handlers(app)
    async with Responder(app, settings=SETTINGS) as responder:
        connection = responder._connection  # pyright: ignore[reportPrivateUsage]
        lost, send = [True, True], connection.send

        def send_when_found(*args: Any, **kwargs: Any) -> bool:
            return False if lost and lost.pop() else send(*args, **kwargs)

        monkeypatch.setattr(connection, "send", send_when_found)
        answer = await ask(task("email:sync", b'{"to":"ann"}'))
        monkeypatch.undo()
    assert answer.data == b'"sent to ann"'
    assert lost == []


async def test_who_may_not_listen_is_told(namespace: str) -> None:
    rights = '{ publish: [">"], subscribe: ["_INBOX.>", "$SRV.>"] }'
    users = f"authorization {{ users: [{{ user: joe, password: pass, permissions: {rights} }}] }}"
    with TestServer.start(users, user_part="joe:pass") as server:
        app = App("test", servers=server.url, namespace=namespace)
        shop_handlers(app)
        with pytest.raises(PermissionDeniedError, match=r"H\.T\."):
            await Responder(app, settings=SETTINGS).run()


# jetq on both sides


@pytest.fixture
async def caller(server: EmbeddedServer, namespace: str) -> AsyncIterator[App]:
    """Give an application that has all its tasks run by others, and a worker of it."""
    app = App("caller", namespace=namespace, queues=[Queue("DEFAULT", lease=LEASE)])
    app.connect_to(server.address)
    app.remote("end:*")
    app.remote("email:*")
    async with Worker(app, settings=SETTINGS):
        yield app
    await app.aclose()


@pytest.mark.usefixtures("shop")
async def test_between_jetq_and_jetq_an_error_keeps_its_type_and_traceback(
    caller: App,
) -> None:
    handle = await caller.aenqueue("end:given-up")
    with pytest.raises(TaskTerminatedError) as raised:
        await handle.aresult(timeout=10)
    assert raised.value.error_type == "ValueError"
    assert 'raise ValueError("no such user")' in raised.value.remote_traceback


@pytest.mark.usefixtures("shop")
async def test_between_jetq_and_jetq_a_result_is_the_value(
    caller: App,
) -> None:
    handle = await caller.aenqueue("email:new", {"to": "ann"})
    assert await handle.aresult(timeout=10) == {"to": "ann", "times": 1, "tries": 1}


@pytest.mark.usefixtures("shop")
async def test_between_jetq_and_jetq_a_snooze_costs_no_try(
    caller: App,
) -> None:
    handle = await caller.aenqueue("end:snooze")

    async def snoozed() -> bool:
        record = await handle.arecord()
        return record.due is not None and record.tries == 0 and record.runs == 1

    await eventually(snoozed)
