"""A worker whose handlers are other programs: what it asks them, and what it makes of what they say."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.composition import chain
from jetq.client.handle import TaskHandle
from jetq.errors import RemoteHandlerError, Retry
from jetq.execution.context import Context
from jetq.execution.middleware import CallNext
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.server import EmbeddedServer
from jetq.model.outcome import Crashed, Failed, GivenUp, Invalid, Outcome, Retried, Snoozed, Terminated
from jetq.model.record import ErrorInfo, TaskRecord
from jetq.model.signing import SigningSettings
from jetq.model.state import State
from jetq.settings import Queue
from jetq.wire.codec import decode_record
from jetq.wire.remote import DEADLINE, outcome_reply
from jetq.wire.signature import Signer, Verifier, new_seed
from jetq.worker.worker import Worker
from tests.integration.worker.conftest import SETTINGS
from tests.servers import TestServer

Answer = tuple[bytes, Mapping[str, str] | bytes]
Listen = Callable[..., Awaitable[list[Incoming]]]


@pytest.fixture
async def listen(connection: Connection, namespace: str) -> Listen:
    """Give what answers requests to a remote handler, always the same."""

    async def begin(endpoint: str, data: bytes = b"", headers: Mapping[str, str] | bytes = b"") -> list[Incoming]:
        asked: list[Incoming] = []

        def answer(request: Incoming) -> None:
            asked.append(request)
            connection.send(request.reply, data, headers=headers)

        await connection.subscribe(f"{namespace}.H.T.{endpoint}", answer)
        await connection.request("$JS.API.INFO")  # behind the subscription: it stands now
        return asked

    return begin


@pytest.fixture
async def run(app: App) -> AsyncIterator[Callable[..., Awaitable[TaskRecord]]]:
    """Give what enqueues a task, which runs once, and returns its record."""
    async with Worker(app, settings=SETTINGS):

        async def enqueue(payload: Any = None, timeout: float | None = None) -> TaskRecord:
            handle = await app.aenqueue("audit:log", payload, max_tries=1, timeout=timeout)
            return await handle.await_end(timeout=10)

        yield enqueue


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application with a handler elsewhere."""
    app = make_app()
    app.remote("audit:log", timeout=60)
    return app


Enqueue = Callable[..., Awaitable[TaskRecord]]


async def test_a_remote_handler_gets_the_record_as_claimed_and_its_answer_is_the_result(
    listen: Listen, run: Enqueue
) -> None:
    asked = await listen("audit:log", b'{"rows": [1, null]}')
    before = datetime.now(UTC)
    record = await run(payload={"user": "ann"})

    assert record.state is State.COMPLETE
    assert record.result is not None
    assert bytes(record.result.payload) == b'{"rows": [1, null]}'
    (request,) = asked
    task = json.loads(request.data)
    assert (task["id"], task["type"], task["state"], task["tries"]) == (record.id, "audit:log", "active", 1)
    headers = request.headers or {}
    assert headers["AJ-Content-Type"] == "application/x-asyncjobs-task+json"
    deadline = datetime.strptime(headers[DEADLINE], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(seconds=55) < deadline - before < timedelta(seconds=60)


@pytest.mark.parametrize(
    ("pattern", "endpoint"),
    [
        pytest.param("audit:*", "audit:new", id="by-type"),
        pytest.param("audit:*", "audit:", id="by-route-of-go"),
        pytest.param("*", "catchall", id="catch-all"),
    ],
)
async def test_a_pattern_calls_the_type_then_its_beginning(
    make_app: Callable[[], App], listen: Listen, pattern: str, endpoint: str
) -> None:
    app = make_app()
    app.remote(pattern)
    asked = await listen(endpoint, b"1")
    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("audit:new")
        assert await handle.aresult(timeout=10) == 1
    assert len(asked) == 1


async def test_an_endpoint_is_called_in_place_of_the_type(make_app: Callable[[], App], listen: Listen) -> None:
    app = make_app()
    audit = app.remote("audit:*", endpoint="auditor")
    await listen("audit:new", b"1")
    await listen("auditor", b"2")
    async with Worker(app, settings=SETTINGS):
        handle = await audit.using(type="audit:new").aenqueue(user="ann")
        assert await handle.aresult(timeout=10) == 2


@pytest.mark.parametrize(
    ("answer", "state", "last_err"),
    [
        pytest.param((b"x", {"AJ-Error": "no disk"}), State.EXPIRED, "no disk", id="error"),
        pytest.param((b"x", {"AJ-Terminate": "bad"}), State.TERMINATED, "bad", id="terminate"),
        pytest.param((b"", {"AJ-Terminate": "bad", "AJ-Error": "x"}), State.TERMINATED, "bad", id="both"),
        pytest.param((b"", {"AJ-Error": ""}), State.EXPIRED, "gave no reason", id="empty-error"),
        pytest.param((b"", {"AJ-Error": "x", "JETQ-Outcome": "Failed"}), State.EXPIRED, "x", id="outcome-without-body"),
        pytest.param((b"[]", {"AJ-Error": "x", "JETQ-Outcome": "Rm"}), State.EXPIRED, "x", id="unknown-outcome"),
        pytest.param((b"done", {"JETQ-Outcome": "Failed"}), State.COMPLETE, "", id="outcome-and-no-error"),
        pytest.param(
            (b"done", b"NATS/1.0\r\n\xff\xfe:\xff\r\n nonsense\r\n:\r\n\r\n"), State.COMPLETE, "", id="garbage"
        ),
        pytest.param((b"done", b"\x00\x01\r\r\n\n"), State.COMPLETE, "", id="no-headers"),
        pytest.param((b"", b"NATS/1.0 503\r\n\r\n"), State.EXPIRED, "no remote handler listens", id="status"),
        pytest.param(
            (b"", b"NATS/1.0\r\nAJ-Error: \xff\xfe\r\n\r\n"), State.EXPIRED, "\ufffd\ufffd", id="error-that-is-no-text"
        ),
        pytest.param((b"", {"AJ-Error": "x" * 60_000}), State.EXPIRED, "xxx", id="long-error"),
    ],
)
async def test_an_answer_that_is_an_error_is_kept_as_one(
    listen: Listen, run: Enqueue, answer: Answer, state: State, last_err: str
) -> None:
    await listen("audit:log", *answer)
    record = await run()
    assert record.state is state
    assert last_err in record.last_err
    assert len(record.last_err) < 5000


ERROR = ErrorInfo("ValueError", "no such user", "Traceback: line 7")


@pytest.mark.parametrize(
    ("outcome", "state", "error"),
    [
        pytest.param(Failed(ERROR, "(after 3)"), State.EXPIRED, ERROR, id="failed"),
        pytest.param(GivenUp(ERROR), State.TERMINATED, ERROR, id="given-up"),
        pytest.param(Crashed(ERROR), State.EXPIRED, ERROR, id="crashed"),
        pytest.param(Terminated("enough"), State.TERMINATED, ErrorInfo(message="enough"), id="terminated"),
        pytest.param(Retried(5, "later", error=ERROR), State.EXPIRED, ERROR, id="retried"),
        pytest.param(Invalid("no user"), State.TERMINATED, ErrorInfo(message="no user"), id="invalid"),
    ],
)
async def test_an_outcome_of_jetq_keeps_type_and_traceback(
    listen: Listen, run: Enqueue, outcome: Outcome, state: State, error: ErrorInfo
) -> None:
    headers, data = outcome_reply(outcome, "in short")
    await listen("audit:log", data, headers)
    record = await run()
    assert record.state is state
    assert record.error == error


@pytest.mark.parametrize(
    "outcome",
    [pytest.param(Snoozed(3600), id="snoozed"), pytest.param(Retried(3600, "later", "ELSEWHERE"), id="retried")],
)
async def test_a_delay_of_an_outcome_is_waited(app: App, listen: Listen, outcome: Outcome) -> None:
    headers, data = outcome_reply(outcome, "in short")
    asked = await listen("audit:log", data, headers)
    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("audit:log", max_tries=2)
        async for event in handle.events():
            if getattr(event, "state", None) is State.RETRY:
                break
        record = await handle.arecord()
    assert record.due is not None
    assert record.due - datetime.now(UTC) > timedelta(seconds=3500)
    assert record.tries == (0 if isinstance(outcome, Snoozed) else 1)
    assert len(asked) == 1


async def test_nobody_there_is_an_error_that_says_where(run: Enqueue, namespace: str) -> None:
    record = await run()
    assert record.error is not None
    assert record.error.type == "RemoteHandlerError"
    assert record.error.message == f"no remote handler listens on {namespace}.H.T.audit:log; start one there"


async def test_a_run_with_too_little_time_is_not_sent(listen: Listen, run: Enqueue) -> None:
    asked = await listen("audit:log")
    record = await run(timeout=2)
    assert "s of this run are left, and a remote handler needs at least 3; give its tasks" in record.last_err
    assert asked == []


async def test_an_answer_after_the_limit_counts_for_nothing(
    app: App, connection: Connection, namespace: str, run: Enqueue
) -> None:
    cancelled = asyncio.Event()
    asked: list[Incoming] = []
    await connection.subscribe(f"{namespace}.H.T.audit:log", asked.append)
    await connection.subscribe(f"{namespace}.H.C.*", lambda _message: cancelled.set())
    await connection.request("$JS.API.INFO")
    record = await run(timeout=3.6)
    assert record.last_err == "TimeoutError: ran longer than its limit of 3.6 s"
    async with asyncio.timeout(5):
        await cancelled.wait()  # servers of jetq are told that nobody waits
    connection.send(asked[0].reply, b"too late")
    await connection.request("$JS.API.INFO")
    assert (await app.handle(record.id).arecord()).state is State.EXPIRED


async def test_a_cancel_ends_the_waiting(app: App, connection: Connection, namespace: str) -> None:
    asked: asyncio.Queue[Incoming] = asyncio.Queue()
    await connection.subscribe(f"{namespace}.H.T.audit:log", asked.put_nowait)
    await connection.request("$JS.API.INFO")
    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("audit:log")
        await asked.get()
        await handle.acancel(by="ann")
        record = await handle.await_end(timeout=10)
    assert record.end == "cancelled"


async def test_a_result_beyond_the_record_ends_the_task(listen: Listen, run: Enqueue) -> None:
    await listen("audit:log", b'"%b"' % (b"x" * (1024 * 1024 - 100)))
    record = await run()
    assert (record.state, record.end) == (State.TERMINATED, "too_large")


async def test_a_signature_holds_for_what_is_sent(server: EmbeddedServer, namespace: str, listen: Listen) -> None:
    seed = new_seed()
    app = App(
        "test", namespace=namespace, queues=[Queue("DEFAULT", lease=1.0)], signing=SigningSettings(key=seed.hex())
    )
    app.connect_to(server.address)
    app.remote("audit:log")
    asked = await listen("audit:log")
    async with Worker(app, settings=SETTINGS):
        await (await app.aenqueue("audit:log", {"a": 1})).aresult(timeout=10)
    await app.aclose()
    assert Verifier([bytes.fromhex(Signer(seed).public_key)]).check(decode_record(asked[0].data)) is None


async def test_the_results_of_parents_are_sent(make_app: Callable[[], App], listen: Listen) -> None:
    app = make_app()

    @app.task("sum:up")
    async def sum_up() -> int:
        return 42

    audit = app.remote("audit:log")
    asked = await listen("audit:log")
    async with Worker(app, settings=SETTINGS):
        parent: TaskHandle[int] = await sum_up.aenqueue()
        call = audit.using(depends_on=parent, load_dependencies=True)
        await (await call.aenqueue(user="ann")).aresult(timeout=10)
    (given,) = json.loads(asked[0].data)["dependency_results"].values()
    assert given["payload"] == 42


async def test_what_comes_before_it_in_a_chain_is_sent(make_app: Callable[[], App], listen: Listen) -> None:
    app = make_app()

    @app.task("sum:up")
    async def sum_up() -> int:
        return 42

    audit = app.remote("audit:log")
    asked = await listen("audit:log")
    async with Worker(app, settings=SETTINGS):
        await (await chain(sum_up.s(), audit.s(user="ann")).aenqueue()).aresult(timeout=10)
        await (await chain(sum_up.s(), audit.using(into="total").s(user="ann")).aenqueue()).aresult(timeout=10)
    plain, filled = (decode_record(request.data).record for request in asked)
    assert [result["payload"] for result in json.loads(bytes(plain.dependency_results)).values()] == [42]
    assert json.loads(plain.payload or b"") == {"user": "ann"}
    assert json.loads(filled.payload or b"") == {"user": "ann", "total": 42}


async def test_middleware_sees_what_the_remote_handler_said(make_app: Callable[[], App], listen: Listen) -> None:
    app = make_app()
    seen: list[RemoteHandlerError] = []

    async def patient(ctx: Context, call_next: CallNext) -> Any:
        try:
            return await call_next(ctx)
        except RemoteHandlerError as error:
            seen.append(error)
            raise Retry(reason="be patient") from error

    app.remote("audit:log", middleware=[patient], max_tries=1)
    headers, data = outcome_reply(Failed(ERROR), "in short")
    await listen("audit:log", data, headers)
    async with Worker(app, settings=SETTINGS):
        record = await (await app.aenqueue("audit:log")).await_end(timeout=10)
    assert record.last_err == "be patient"
    assert (seen[0].error_type, seen[0].remote_traceback) == ("ValueError", "Traceback: line 7")


async def test_a_lost_connection_is_an_error_that_is_tried_again(own_server: TestServer) -> None:
    app = App("test", queues=[Queue("DEFAULT", lease=1.0)])
    app.connect_to(own_server.address)
    app.remote("audit:log", retry=0.1)
    asked: asyncio.Queue[Incoming] = asyncio.Queue()
    async with await Connection.open(own_server.address, name="test") as connection:
        await connection.subscribe("JETQ.H.T.audit:log", asked.put_nowait)
        await connection.request("$JS.API.INFO")
        async with Worker(app, settings=SETTINGS):
            handle = await app.aenqueue("audit:log")
            await asked.get()
            await asyncio.to_thread(own_server.restart)
            again = await asked.get()
            record = await handle.arecord()
            connection.send(again.reply, b"1")
            assert await handle.aresult(timeout=10) == 1
    await app.aclose()
    assert record.runs == 2
