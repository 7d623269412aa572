"""Flows: all of one runs or nothing, its result is had, and what is left of it is cleaned up."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jetq.admin.blocked_pass import BlockedPass
from jetq.admin.flow_pass import FlowPass
from jetq.admin.janitor import Janitor, always
from jetq.app.application import App
from jetq.client.enqueue import Enqueuer
from jetq.client.flow_handle import FlowHandle
from jetq.errors import (
    DelayTooLongError,
    FlowAbandonedError,
    FlowTimeoutError,
    FlowTooLargeError,
    InvalidSettingError,
    PayloadTooLargeError,
    ResultGoneError,
    TaskCancelledError,
    TaskExpiredError,
    UnknownFlowError,
    UnknownQueueError,
)
from jetq.execution.context import Context
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Connection
from jetq.jetstream.flow_store import StoredFlow
from jetq.jetstream.publisher import Publication
from jetq.jetstream.stream_message import purge_subject
from jetq.model.dependency import MOST_DEPENDENTS
from jetq.model.events import EnqueueFailed, Event, TaskStateChanged
from jetq.model.flow import FlowState
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.observe.fault_points import Point, arm
from jetq.settings import JanitorSettings, Queue
from jetq.worker.worker import Worker
from tests.integration import golayout
from tests.integration.backends import backend_of
from tests.integration.flows import flow_of, node, submit
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS

DIAMOND = (node("a"), node("b", 0), node("c", 0), node("d", 1, 2))
NO_JANITOR = replace(SETTINGS, janitor=False)


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    app = make_app()

    @app.task("give")
    async def give(ctx: Context) -> str:
        return ctx.task_id

    @app.task("fail")
    async def fail() -> None:
        raise ValueError("broken")

    @app.task("slow")
    async def slow() -> None:
        await asyncio.sleep(60)

    return app


def make_worker_app(app: App) -> App:
    """Return another application with the same tasks, whose worker has a connection of its own."""
    other = App("worker", namespace=app.settings.namespace, queues=[Queue("DEFAULT", lease=1.0)])
    other.connect_to(app.address())
    for handler in app.router.handlers:
        other.router.add(handler)
    return other


async def records(handle: FlowHandle[Any]) -> dict[str, TaskRecord]:
    return {name: await task.arecord() for name, task in handle.nodes.items()}


async def test_a_flow_runs_in_order_and_leaves_no_marker(app: App) -> None:
    handle = await submit(app, *DIAMOND)
    backend = await backend_of(app)
    assert await backend.links.marked() != []  # those that wait
    async with Worker(app, settings=NO_JANITOR):
        assert await handle.aresult(10) == handle["d"].id
        assert str(await handle.await_end(10)) == "complete (4 complete)"
        found = await records(handle)
        assert all(record.flow == handle.id and record.runs == 1 for record in found.values())
        ran = [found[name].tried for name in "abcd"]
        assert ran[0] is not None
        assert ran[3] is not None
        assert all(tried is not None and ran[0] <= tried <= ran[3] for tried in ran)
        await eventually(lambda: has_no_marker(backend))


async def has_no_marker(backend: Backend) -> bool:
    return not await backend.links.marked()


async def test_each_record_is_written_once_and_children_before_their_parents(app: App) -> None:
    handle = await submit(app, *DIAMOND)
    backend = await backend_of(app)
    read = await backend.tasks.read_many([task.id for task in handle.nodes.values()])
    stored = {name: each for name, each in zip(handle.nodes, read, strict=True) if each is not None}
    order = sorted(stored, key=lambda name: stored[name].sequence)
    assert order == ["d", "c", "b", "a"]  # and a once more, since it was released
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.tasks}")
    assert info["state"]["last_seq"] == 5
    a, d = stored["a"], stored["d"]
    assert a.record.dependents == (handle["b"].id, handle["c"].id)
    assert (a.record.state, a.record.pending) == (State.NEW, ())
    assert (d.record.state, d.record.pending) == (State.BLOCKED, (handle["b"].id, handle["c"].id))


async def test_the_result_is_put_together_by_its_shape(app: App) -> None:
    handle = await submit(app, node("a"), node("b"), node("c", 0), result=((2, 1), 0))
    keyed = await submit(app, node("a"), node("b"), node("c", 0), keyed=True)
    async with Worker(app, settings=NO_JANITOR):
        a, b, c = (handle[name].id for name in "abc")
        assert await handle.aresult(10) == [[c, b], a]
        assert await keyed.aresult(10) == {"b": keyed["b"].id, "c": keyed["c"].id}


async def test_decoders_read_the_results(app: App) -> None:
    client = await app.clients.current()
    stored = await client.enqueuer.flows.submit(flow_of(node("a"), node("b"), result=(0, 1)))
    handle: FlowHandle[list[Any]] = FlowHandle(stored, clients=app.clients, decoders=(len, bytes.decode))
    async with Worker(app, settings=NO_JANITOR):
        assert await handle.aresult(10) == [28, f'"{handle["b"].id}"']
        assert await handle["a"].aresult(10) == 28


async def test_a_task_that_waits_for_its_time_waits_in_a_flow_as_well(app: App) -> None:
    handle = await submit(app, node("a", due=timedelta(seconds=0.4)), node("b", 0))
    async with Worker(app, settings=NO_JANITOR):
        await handle.aresult(10)
        record = await handle["a"].arecord()
        assert record.tried is not None
        assert record.tried - record.created >= timedelta(seconds=0.4)


async def test_a_flow_with_a_task_whose_record_is_dropped_before_it_is_due_is_refused(
    app: App, connection: Connection, namespace: str
) -> None:
    await golayout.make_store(connection, namespace, max_age=3600 * golayout.SECOND)

    with pytest.raises(DelayTooLongError, match=r"due in 3,660 s, .* drops every record after 3,600 s"):
        await submit(app, node("a"), node("b", 0, due=timedelta(minutes=61)))
    assert not await (await backend_of(app)).links.marked()

    await submit(app, node("a"), node("b", 0, due=timedelta(minutes=59)))


async def test_more_dependents_than_a_record_holds_all_run(app: App) -> None:
    count = MOST_DEPENDENTS + 20
    handle = await submit(app, node("a"), *(node(f"n{number}", 0) for number in range(count)))
    async with Worker(app, settings=NO_JANITOR):
        status = await handle.await_end(25)
        assert status.counts == {"complete": count + 1}
        backend = await backend_of(app)
        await eventually(lambda: has_no_marker(backend))


# failures


async def test_the_result_raises_what_failed_first_by_its_name(app: App) -> None:
    handle = await submit(app, node("a"), node("b", 0, task_type="fail"), node("c", 1), node("d", 2))
    async with Worker(app, settings=NO_JANITOR):
        with pytest.raises(TaskExpiredError, match=r"'b' in its flow.*broken") as caught:
            await handle.aresult(10)
        assert (caught.value.node, caught.value.task_id) == ("b", handle["b"].id)
        assert (await handle.await_end(10)).counts == {"complete": 1, "expired": 1, "unreachable": 2}
        assert await handle.astate() == "failed"


async def test_a_result_that_cannot_be_is_not_waited_for(app: App) -> None:
    handle = await submit(app, node("slow", task_type="slow"), node("bad", task_type="fail"), result=(0, 1))
    async with Worker(app, settings=replace(NO_JANITOR, shutdown_timeout=0.1)):
        with pytest.raises(TaskExpiredError):
            await handle.aresult(10)
        assert await handle.astate() == "running"


async def test_a_failure_that_is_ignored_does_not_fail_the_flow(app: App) -> None:
    handle = await submit(app, node("bad", task_type="fail"), node("b", 0, on_failure="ignore"))
    async with Worker(app, settings=NO_JANITOR):
        assert await handle.aresult(10) == handle["b"].id
        assert str(await handle.astatus()) == "complete (1 complete, 1 expired)"


async def test_waiting_ends_in_time_and_the_flow_goes_on(app: App) -> None:
    handle = await submit(app, *DIAMOND)
    with pytest.raises(FlowTimeoutError, match=r"'test' .*4 of the tasks") as caught:
        await handle.await_end(0.05)
    assert caught.value.unfinished == 4
    with pytest.raises(FlowTimeoutError):
        await handle.aresult(0.05)
    assert await handle.astate() == "running"


async def test_a_result_whose_record_is_gone_says_so(app: App) -> None:
    handle = await submit(app, node("a"), node("b"), result=(0, 1))
    async with Worker(app, settings=NO_JANITOR):
        await handle.await_end(10)
        await handle["a"].adelete()
        with pytest.raises(ResultGoneError):
            await handle.aresult(10)
        assert str(await handle.astatus()) == "complete (1 complete, 1 gone)"


async def test_waiting_for_very_many_subscribes_once_and_reads_each_when_it_ends(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 1000
    nodes = [node(f"n{number}") for number in range(count)]
    handle = await submit(app, *nodes, result=tuple(range(count)))
    backend = await backend_of(app)
    subscribed, reads = list[str](), list[str]()
    subscribe, read = backend.connection.subscribe, backend.tasks.read

    async def counted_subscribe(subject: str, *args: Any, **said: Any) -> Any:
        subscribed.append(subject)
        return await subscribe(subject, *args, **said)

    async def counted_read(task_id: str, **said: Any) -> Any:
        reads.append(task_id)
        return await read(task_id, **said)

    monkeypatch.setattr(backend.connection, "subscribe", counted_subscribe)
    monkeypatch.setattr(backend.tasks, "read", counted_read)
    waiting = asyncio.create_task(handle.aresult(25))

    async def all_are_read() -> bool:
        return len(reads) >= count

    await eventually(all_are_read)
    async with Worker(make_worker_app(app), settings=NO_JANITOR):
        assert len(await waiting) == count
    assert subscribed == [backend.names.task_event("*")]
    assert len(reads) <= 2.5 * count


async def test_an_end_of_which_no_event_came_is_found_all_the_same(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = await submit(app, *(node(f"n{number}") for number in range(20)), result=tuple(range(20)))

    def hear_nothing(_tracker: object, _message: object) -> None:
        """Be deaf."""

    monkeypatch.setattr("jetq.client.flow_tracking.FlowTracker._on_event", hear_nothing)
    waiting = asyncio.create_task(handle.aresult(20))
    async with Worker(make_worker_app(app), settings=NO_JANITOR):
        assert len(await waiting) == 20


async def test_where_a_flow_stands_is_told_without_holding_all_of_its_records(app: App) -> None:
    size, count = 20_000, 800
    handle = await submit(app, *(node(f"n{number}", payload=b'"%b"' % (b"x" * size)) for number in range(count)))

    async def peak(work: Callable[[], Awaitable[object]]) -> int:
        tracemalloc.start()
        try:
            await work()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peaks = {"status": await peak(handle.astatus)}
    await handle.acancel()
    peaks["wait"] = await peak(handle.await_end)
    peaks["list"] = await peak(app.aflows)
    peaks["cancel"] = await peak(handle.acancel)
    assert {what: found for what, found in peaks.items() if found > 2 * size * count} == {}


# cancel


async def test_cancel_cancels_all_that_has_not_run(app: App) -> None:
    handle = await submit(app, *DIAMOND)
    done = await handle.acancel(by="me")
    assert (done.cancelled, done.ended, done.running) == (4, 0, 0)
    assert {name: record.display_state for name, record in (await records(handle)).items()} == dict.fromkeys(
        "abcd", "cancelled"
    )
    assert await handle.astate() == "cancelled"
    with pytest.raises(TaskCancelledError):
        await handle.aresult(5)
    assert await has_no_marker(await backend_of(app))
    assert (await handle.acancel()).ended == 4


@pytest.mark.parametrize("point", [Point.FLOW_CREATED, Point.FLOW_PART_STORED, Point.FLOW_STORED])
async def test_cancel_of_a_flow_that_is_being_stored_lets_nothing_of_it_run(
    app: App, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await backend_of(app)
    cancelling: list[asyncio.Task[Any]] = []

    async def cancel() -> None:
        ((flow_id,), _) = await backend.flows.listed()
        found = await backend.flows.read(flow_id)
        assert found is not None
        handle: FlowHandle[Any] = FlowHandle(found, clients=app.clients)
        assert (await handle.acancel()).cancelled == 4

    def begin() -> None:
        if not cancelling:
            cancelling.append(asyncio.ensure_future(cancel()))

    disarm = arm(point, begin)
    before = backend.flows.decide

    async def decide(flow: StoredFlow, state: FlowState, **limits: Any) -> StoredFlow | None:
        if state is FlowState.COMMITTED:
            await asyncio.gather(*cancelling)
        return await before(flow, state, **limits)

    monkeypatch.setattr(backend.flows, "decide", decide)  # the submitter is slower than who cancels
    try:
        with pytest.raises(FlowAbandonedError):
            await submit(app, *DIAMOND)
    finally:
        disarm()
    ((flow_id,), _) = await backend.flows.listed()
    found = await backend.flows.read(flow_id)
    assert found is not None
    for entry in found.document.nodes:
        stored = await backend.tasks.read(entry.id)
        assert stored is not None
        assert (stored.record.state, stored.record.end) == (State.EXPIRED, "abandoned")


async def test_cancel_leaves_what_runs_alone_unless_it_is_asked_for(app: App) -> None:
    handle = await submit(app, node("a", task_type="slow"), node("b", 0))
    async with Worker(app, settings=NO_JANITOR):

        async def runs() -> bool:
            return await handle["a"].astate() == "active"

        await eventually(runs)
        assert (await handle.acancel()).running == 1
        assert {name: await task.astate() for name, task in handle.nodes.items()} == {"a": "active", "b": "cancelled"}
        assert (await handle.acancel(running=True)).requested == 1
        assert (await handle["a"].await_end(10)).display_state == "cancelled"
        assert await handle.astate() == "cancelled"


async def test_cancel_of_many_ends_each_as_cancelled_and_tells_each_once(app: App, told: list[Event]) -> None:
    handle = await submit(app, node("a"), *(node(f"n{number}", 0) for number in range(600)), node("z", *range(1, 601)))
    assert (await handle.acancel()).cancelled == 602
    assert (await handle.astatus()).counts == {"cancelled": 602}
    ends = [event.task_id for event in told if isinstance(event, TaskStateChanged) and event.end == "cancelled"]
    assert sorted(ends) == sorted(task.id for task in handle.nodes.values())
    assert await has_no_marker(await backend_of(app))


async def test_cancel_of_a_flow_fails_what_depends_on_it_from_outside(app: App) -> None:
    handle = await submit(app, node("a"), node("b", 0), node("c", 1))
    outside = await app.aenqueue("give", depends_on=[handle["b"]])
    assert (await handle.acancel()).cancelled == 3
    assert await outside.astate() == "unreachable"
    assert await handle.astate() == "cancelled"


async def test_cancel_while_a_flow_runs_leaves_every_task_ended(app: App) -> None:
    nodes = [node("a"), *(node(f"n{number}", 0) for number in range(300)), node("z", *range(1, 301))]
    async with Worker(app, settings=NO_JANITOR):
        for delay in (0.0, 0.05, 0.1, 0.2):
            handle = await submit(app, *nodes)
            await asyncio.sleep(delay)
            await handle.acancel()
            status = await handle.await_end(20)
            assert set(status.counts) <= {"complete", "cancelled"}
        backend = await backend_of(app)
        await eventually(lambda: has_no_marker(backend))


@pytest.mark.nightly
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["wide", "fan", "chain"])
async def test_ten_thousand_tasks_are_stored_and_cancelled_in_seconds(app: App, kind: str) -> None:
    count = 10_000
    nodes = {
        "wide": [node(f"n{number}") for number in range(count)],
        "fan": [node("a"), *(node(f"n{number}", 0) for number in range(count - 2)), node("z", *range(1, count - 1))],
        "chain": [node(f"n{number}", *([number - 1] if number else [])) for number in range(count)],
    }[kind]
    loop = asyncio.get_running_loop()
    began = loop.time()
    handle = await submit(app, *nodes)
    assert loop.time() - began < 20  # a tenth of that on a machine that does nothing else
    began = loop.time()
    assert (await handle.acancel()).cancelled == count
    assert loop.time() - began < 60
    assert (await handle.astatus()).counts == {"cancelled": count}
    assert await has_no_marker(await backend_of(app))


async def test_cancel_refuses_a_name_that_is_too_long(app: App) -> None:
    handle = await submit(app, node("a"))
    with pytest.raises(InvalidSettingError, match="200 characters"):
        await handle.acancel(by="x" * 201)
    assert await handle.astate() == "running"


# what cannot be stored


async def test_what_cannot_be_stored_sends_nothing(
    app: App, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PayloadTooLargeError):
        await submit(app, node("a"), node("b", 0, payload=b'"' + b"x" * 2_000_000 + b'"'))
    with pytest.raises(FlowTooLargeError, match="give the tasks shorter names"):
        await submit(app, *(node(f"{number}-{'x' * 4000}") for number in range(300)))
    client = await app.clients.current()

    async def refused_queues(_names: Any) -> dict[str, Any]:
        return {"B": UnknownQueueError("B")}

    monkeypatch.setattr(client.enqueuer, "refused_queues", refused_queues)
    with pytest.raises(UnknownQueueError):
        await submit(app, node("a"), node("b", 0, queue="B"))
    backend = await backend_of(app)
    assert await backend.flows.listed() == ([], [])
    assert await backend.links.marked() == []
    assert len([event for event in told if isinstance(event, EnqueueFailed)]) == 4


async def test_a_queue_that_is_full_delays_a_root_and_loses_none(make_app: Callable[[], App]) -> None:
    app = make_app()
    client = await app.clients.current()
    await client.backend.queue(Queue("SMALL", max_entries=1))

    @app.task("give", queue="SMALL")
    async def give() -> int:
        return 1

    handle = await submit(app, *(node(f"n{number}", queue="SMALL") for number in range(5)), result=(0, 1, 2, 3, 4))
    async with Worker(app, queues=["SMALL"], settings=NO_JANITOR):
        assert await handle.aresult(20) == [1] * 5


# a submission that does not end


class LostError(Exception):
    """What a test raises in the place of a death."""


def lose() -> None:
    raise LostError


POINTS = [Point.FLOW_CREATED, Point.FLOW_MARKED, Point.FLOW_PART_STORED, Point.FLOW_STORED]


async def stop_at(app: App, point: Point, *nodes: Any) -> None:
    """Submit a flow up to a point, as a submitter that dies there."""
    client = await app.clients.current()
    enqueuer = Enqueuer(client.backend, {})

    async def do_nothing(*_: Any) -> None:
        pass

    setattr(enqueuer.flows, "_give_up", do_nothing)  # noqa: B010 - the dead clean nothing up
    disarm = arm(point, lose)
    try:
        with pytest.raises(LostError):
            await enqueuer.flows.submit(flow_of(*nodes))
    finally:
        disarm()


@pytest.mark.parametrize("point", POINTS)
async def test_a_flow_whose_submitter_died_is_ended_by_the_pass(app: App, point: Point) -> None:
    await stop_at(app, point, *DIAMOND)
    backend = await backend_of(app)
    ((flow_id,), _) = await backend.flows.listed()
    young = BlockedPass(backend)
    await young.run(always)
    found = await backend.flows.read(flow_id)
    assert found is not None
    assert found.state is FlowState.BUILDING  # it may live

    old = BlockedPass(backend, FlowPass(backend, submitted=timedelta(0)))
    marked = await old.run(always)
    if point is Point.FLOW_CREATED:
        assert marked == 0
        await FlowPass(backend, submitted=timedelta(0)).sweep((), always)
    found = await backend.flows.read(flow_id)
    assert found is not None
    assert found.state is FlowState.ABORTED
    for entry in found.document.nodes:
        stored = await backend.tasks.read(entry.id)
        assert stored is None or (stored.record.state, stored.record.end) == (State.EXPIRED, "abandoned")
        assert (stored is None) or "was not stored completely" in stored.record.last_err
    if point in {Point.FLOW_PART_STORED, Point.FLOW_STORED}:
        assert await backend.tasks.read(found.document.nodes[-1].id) is not None
    if point is Point.FLOW_STORED:
        assert await backend.links.marked() == []
    handle: FlowHandle[Any] = FlowHandle(found, clients=app.clients)
    with pytest.raises(FlowAbandonedError):
        await handle.aresult(1)
    assert await handle.astate() == "abandoned"


@pytest.mark.parametrize("point", [Point.FLOW_COMMITTED, Point.ROOTS_RELEASED, Point.ROOTS_PLACED])
async def test_a_flow_whose_submitter_died_after_the_commit_runs(app: App, point: Point) -> None:
    await stop_at(app, point, node("a"), node("b"), node("c", 0, 1))
    backend = await backend_of(app)
    ((flow_id,), _) = await backend.flows.listed()
    found = await backend.flows.read(flow_id)
    assert found is not None
    await BlockedPass(backend).run(always)
    async with Worker(app, settings=NO_JANITOR):
        handle: FlowHandle[Any] = FlowHandle(found, clients=app.clients)
        assert (await handle.await_end(10)).counts == {"complete": 3}
        assert [record.runs for record in (await records(handle)).values()] == [1, 1, 1]
        await eventually(lambda: has_no_marker(backend))


@pytest.mark.parametrize("point", [Point.FLOW_STORED, Point.FLOW_COMMITTED, Point.ROOTS_RELEASED])
async def test_the_janitor_neither_revives_nor_ends_what_waits_in_a_flow(app: App, point: Point) -> None:
    await stop_at(app, point, *DIAMOND)
    backend = await backend_of(app)
    ((flow_id,), _) = await backend.flows.listed()
    flow = await backend.flows.read(flow_id)
    assert flow is not None
    ids = [entry.id for entry in flow.document.nodes]
    before = await backend.tasks.read_many(ids)
    janitor = Janitor(backend, JanitorSettings(patience=0.0), name="test")
    for _ in range(3):
        passed = await janitor.run_pass(tell=lambda _: None, go_on=always)
        assert (passed.repairs, passed.missed) == ({}, 0)
    after = await backend.tasks.read_many(ids)
    assert [stored and stored.sequence for stored in after] == [stored and stored.sequence for stored in before]


async def test_a_submitter_that_was_too_slow_is_told_and_nothing_runs(app: App) -> None:
    backend = await backend_of(app)
    enqueuer = Enqueuer(backend, {})
    passed = asyncio.Event()

    async def slow_write(tasks: Any, draft: Any) -> None:
        if not passed.is_set():
            stale = BlockedPass(backend, FlowPass(backend, submitted=timedelta(0)))
            await stale.run(always)
            passed.set()
        await write(tasks, draft)

    write: Any = getattr(enqueuer.flows, "_write")  # noqa: B009 - a step of it
    setattr(enqueuer.flows, "_write", slow_write)  # noqa: B010 - the pass comes before it goes on
    with pytest.raises(FlowAbandonedError, match=r"'test' .*submit it again"):
        await enqueuer.flows.submit(flow_of(*DIAMOND))
    async with Worker(app, settings=NO_JANITOR):
        ((flow_id,), _) = await backend.flows.listed()
        found = await backend.flows.read(flow_id)
        assert found is not None
        handle: FlowHandle[Any] = FlowHandle(found, clients=app.clients)
        assert {record.end for record in (await records(handle)).values()} == {"abandoned"}
        assert await has_no_marker(backend)


async def test_a_record_that_comes_after_the_abort_is_ended_by_the_pass(app: App) -> None:
    """The submitter stalls before its last record, the flow is aborted, and it dies right after that record."""
    backend = await backend_of(app)
    await stop_at(app, Point.FLOW_MARKED, node("a"), node("b", 0))
    stale = BlockedPass(backend, FlowPass(backend, submitted=timedelta(0)))
    await stale.run(always)
    ((flow_id,), _) = await backend.flows.listed()
    flow = await backend.flows.read(flow_id)
    assert flow is not None
    late = flow.document.nodes[0].id
    body = (
        f'{{"id":"{late}","type":"give","queue":"DEFAULT","payload":null,"max_tries":1,"state":"blocked","tries":0,'
        f'"created":"2026-01-01T00:00:00Z","pending":["{flow_id}"],"flow":"{flow_id}"}}'
    )
    await backend.publisher.publish(Publication(backend.names.record(late), body.encode()))
    await BlockedPass(backend).run(always)
    assert (await app.handle(late).arecord()).end == "abandoned"


async def test_a_submission_that_is_refused_half_way_leaves_nothing_that_runs(app: App, told: list[Event]) -> None:
    backend = await backend_of(app)
    enqueuer = Enqueuer(backend, {})
    write: Any = getattr(enqueuer.flows, "_write")  # noqa: B009 - a step of it

    async def refused(tasks: Any, draft: Any) -> None:
        if tasks[0].record.pending == (draft.document.id,):
            raise PayloadTooLargeError("a", 1, 0)
        await write(tasks, draft)

    setattr(enqueuer.flows, "_write", refused)  # noqa: B010 - the roots are refused
    with pytest.raises(PayloadTooLargeError):
        await enqueuer.flows.submit(flow_of(*DIAMOND))
    assert await backend.flows.listed() == ([], [])
    assert await backend.links.marked() == []
    ends = {event.task_id: event.end for event in told if isinstance(event, TaskStateChanged) and event.end}
    assert [*ends.values()] == ["abandoned"] * 3


async def test_a_submission_that_is_cancelled_leaves_nothing_that_runs(app: App) -> None:
    backend = await backend_of(app)
    enqueuer = Enqueuer(backend, {})
    task: asyncio.Task[Any]

    def cancel() -> None:
        task.cancel()

    disarm = arm(Point.FLOW_MARKED, cancel)
    task = asyncio.get_running_loop().create_task(enqueuer.flows.submit(flow_of(*DIAMOND)))
    with suppress(asyncio.CancelledError):
        await task
    disarm()

    async def is_clean() -> bool:
        return await backend.flows.listed() == ([], []) and await has_no_marker(backend)

    await eventually(is_clean)


# what is over


async def test_a_flow_is_removed_when_its_last_record_is_gone(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetq.admin.flow_pass.LATE", timedelta(0))
    backend = await backend_of(app)
    handle = await submit(app, node("a"), node("b", 0))
    await backend.publisher.publish(backend.flows.member(handle.id, "child"))
    janitor = Janitor(backend, JanitorSettings(), name="test")
    async with Worker(app, settings=NO_JANITOR):
        await handle.await_end(10)
        await handle["b"].adelete()
        await janitor.run_pass(tell=lambda _: None, go_on=always)
        assert await handle.astate() == "complete"
        await handle["a"].adelete()
        await janitor.run_pass(tell=lambda _: None, go_on=always)
    assert await backend.flows.listed() == ([], [])


async def test_a_young_flow_and_one_that_is_stored_are_left_alone(app: App) -> None:
    backend = await backend_of(app)
    handle = await submit(app, node("a"))
    await handle["a"].adelete()
    await FlowPass(backend).sweep((), always)
    assert (await backend.flows.listed())[0] == [handle.id]


async def test_a_root_whose_flow_was_removed_by_hand_ends(app: App) -> None:
    backend = await backend_of(app)
    await stop_at(app, Point.FLOW_STORED, node("a"), node("b", 0))
    ((flow_id,), _) = await backend.flows.listed()
    flow = await backend.flows.read(flow_id)
    assert flow is not None
    await purge_subject(backend.connection, backend.names.links, backend.names.flow(flow_id))
    look = BlockedPass(backend)
    await look.run(always)
    root = app.handle(flow.document.nodes[0].id)
    assert await root.astate() == "blocked"  # its marker is young

    def old(_marker: object) -> timedelta:
        return timedelta(minutes=2)

    setattr(look, "_age", old)  # noqa: B010 - it is not
    await look.run(always)
    assert (await root.arecord()).end == "abandoned"
    await look.run(always)
    assert await app.handle(flow.document.nodes[1].id).astate() == "unreachable"


async def test_a_handle_of_a_flow_that_is_gone_says_so(app: App) -> None:
    await stop_at(app, Point.FLOW_CREATED, node("a"))
    backend = await backend_of(app)
    ((flow_id,), _) = await backend.flows.listed()
    found = await backend.flows.read(flow_id)
    assert found is not None
    await backend.flows.remove(flow_id)
    handle: FlowHandle[Any] = FlowHandle(found, clients=app.clients)
    with pytest.raises(UnknownFlowError, match=flow_id):
        await handle.astate()
