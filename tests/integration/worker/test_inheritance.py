"""What a dead child had in flight runs elsewhere at once, however often its heirs are told."""

import asyncio
import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.errors import ServerTimeoutError, TaskTerminatedError, TaskUnreachableError
from jetq.execution.context import Context
from jetq.jetstream.presence import Presences, WorkerPresence
from jetq.jetstream.puller import Delivery, Puller
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event, TaskStateChanged, TaskTakenOver
from jetq.model.record import Run, TaskRecord
from jetq.model.state import State
from jetq.model.transition import claimed, closed
from jetq.model.verdict import Verdict
from jetq.observe.fault_points import Point, arm
from jetq.settings import Queue
from jetq.wire.in_flight import RunInFlight
from jetq.wire.liveness import Inherit, Inherited, Quiet, Started, Stop
from jetq.worker.worker import Worker
from tests.integration.backends import backend_with_queue, read
from tests.integration.flows import node, submit
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS
from tests.integration.worker.supervisors import Overseer

NO_JANITOR = dataclasses.replace(SETTINGS, janitor=False)
DEAD = Run("01DEAD", 1, "abcd0123")
DEATH = "the worker's process was killed by SIGKILL; it held up to 51 MiB of memory"


@pytest.fixture
def app(server: EmbeddedServer, namespace: str, told: list[Event]) -> App:
    """Give an application whose leases outlast every test."""
    app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=60)])
    app.connect_to(server.address)
    app.bus.listen(told.append)
    return app


async def deliver(app: App, task_id: str) -> RunInFlight:
    """Take the task's item as a worker does that then dies, and return what it would have noted."""
    backend = await backend_with_queue(app)
    came: asyncio.Queue[Delivery] = asyncio.Queue()
    puller = Puller(backend.connection, backend.names, "DEFAULT", on_delivery=came.put_nowait, on_credit=lambda: None)
    await puller.start()
    puller.ask(1)
    item = await came.get()
    await puller.stop()
    return RunInFlight(task_id, DEAD.attempt, DEAD.nonce, "DEFAULT", item.sequence, item.reply)


async def leave_behind(app: App, task_id: str, run: Run = DEAD, **changes: Any) -> RunInFlight:
    """Leave a task as a worker does that dies while it runs it."""
    noted = await deliver(app, task_id)
    stored = await read(app, task_id)
    record = replace(claimed(stored.record, run, datetime.now(UTC)), **changes)
    await (await backend_with_queue(app)).tasks.write(stored.document.updated(record), stored.sequence)
    return noted


async def items(app: App) -> int:
    backend = await backend_with_queue(app)
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
    return int(info["state"]["messages"])


def add_handler(app: App) -> list[TaskRecord]:
    """Register a handler, and return what it saw."""
    seen: list[TaskRecord] = []

    @app.task("work")
    async def work(ctx: Context) -> int:
        seen.append(ctx.task)
        return ctx.attempt

    return seen


async def test_its_task_runs_at_once_and_knows_how_the_worker_died(app: App, told: list[Event]) -> None:
    seen = add_handler(app)
    handle = await app.aenqueue("work")
    noted = await leave_behind(app, handle.id)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
            overseer.say(Inherit(DEAD.worker, DEATH, [noted]))
            await overseer.hear(Inherited(DEAD.worker))
            assert await handle.aresult(5) == 2
    await app.aclose()

    [record] = seen
    assert record.error is not None
    assert (record.error.type, record.error.message) == ("WorkerDied", DEATH)
    assert (record.tries, record.crashes) == (2, 1)
    assert [event.dead_worker for event in told if isinstance(event, TaskTakenOver)] == [DEAD.worker]
    outcomes = [event.outcome for event in told if isinstance(event, TaskStateChanged) and event.outcome]
    assert outcomes == ["crashed", "succeeded"]


async def test_the_dead_ones_presence_is_removed(app: App) -> None:
    backend = await backend_with_queue(app)
    presences = Presences(backend.connection, backend.names)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
            presences.write(WorkerPresence(DEAD.worker), 60)

            async def is_there() -> bool:
                return await presences.exists(DEAD.worker)

            await eventually(is_there)
            overseer.say(Inherit(DEAD.worker, DEATH, []))
            await overseer.hear(Inherited(DEAD.worker))
            assert not await is_there()
    await app.aclose()


async def test_a_task_that_kills_its_workers_is_ended_with_the_last_death(app: App) -> None:
    add_handler(app)
    handle = await app.aenqueue("work")
    noted = await leave_behind(app, handle.id, crashes=2)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
            overseer.say(Inherit(DEAD.worker, DEATH, [noted]))
            with pytest.raises(TaskTerminatedError):
                await handle.aresult(5)

            async def is_gone() -> bool:
                return await items(app) == 0

            await eventually(is_gone)
    record = (await read(app, handle.id)).record
    await app.aclose()

    assert (record.end, record.crashes) == ("crash", 3)
    assert record.last_err == "the worker died 3 times while it ran this task"
    assert record.error is not None
    assert record.error.message == DEATH


async def test_a_task_whose_last_try_died_ends(app: App) -> None:
    add_handler(app)
    handle = await app.aenqueue("work", max_tries=1)
    noted = await leave_behind(app, handle.id)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
            overseer.say(Inherit(DEAD.worker, DEATH, [noted]))
            await overseer.hear(Inherited(DEAD.worker))
    record = (await read(app, handle.id)).record
    await app.aclose()

    assert (record.state, record.end, record.last_err) == (State.EXPIRED, "max_tries", f"WorkerDied: {DEATH}")


async def test_a_task_that_ends_so_frees_its_key_and_ends_those_that_wait_for_it(app: App) -> None:
    seen = add_handler(app)
    handle = await app.aenqueue("work", unique="one")
    child = await app.aenqueue("work", depends_on=[handle])
    forgiving = await app.aenqueue("work", depends_on=[handle], on_failure="ignore")
    noted = await leave_behind(app, handle.id, crashes=2)
    with Overseer() as overseer:
        async with Worker(app, settings=NO_JANITOR, supervision=overseer.supervision):
            overseer.say(Inherit(DEAD.worker, DEATH, [noted]))
            await overseer.hear(Inherited(DEAD.worker))
            with pytest.raises(TaskUnreachableError):
                await child.aresult(5)
            assert await forgiving.aresult(5) == 1
            again = await app.aenqueue("work", unique="one")
            assert again.is_new
            assert await again.aresult(5) == 1
    record = (await read(app, handle.id)).record
    await app.aclose()

    assert (record.state, record.end) == (State.TERMINATED, "crash")
    assert sorted(each.id for each in seen) == sorted([forgiving.id, again.id])


async def test_the_flow_of_a_task_that_kills_its_workers_fails(app: App) -> None:
    add_handler(app)
    flow = await submit(app, node("a", task_type="work"), node("b", 0, task_type="work"))
    noted = await leave_behind(app, flow["a"].id, crashes=2)
    with Overseer() as overseer:
        async with Worker(app, settings=NO_JANITOR, supervision=overseer.supervision):
            overseer.say(Inherit(DEAD.worker, DEATH, [noted]))
            status = await flow.await_end(5)
    await app.aclose()

    assert status.counts == {"terminated": 1, "unreachable": 1}


async def test_being_told_twice_counts_one_crash(app: App) -> None:
    add_handler(app)
    handle = await app.aenqueue("work")
    noted = await leave_behind(app, handle.id)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
            for _ in range(3):
                overseer.say(Inherit(DEAD.worker, DEATH, [noted]))
            await overseer.hear(Inherited(DEAD.worker), count=3)
            assert await handle.aresult(5) == 2
    record = (await read(app, handle.id)).record
    await app.aclose()

    assert record.crashes == 1


async def test_an_answer_that_is_lost_after_the_record_was_written_loses_nothing(app: App) -> None:
    add_handler(app)
    handle = await app.aenqueue("work")
    noted = await leave_behind(app, handle.id)
    passed: list[str] = []

    def lose() -> None:
        passed.append("")
        raise ServerTimeoutError("the record", 1.0)

    disarm = arm(Point.CRASH_STORED, lose)
    try:
        with Overseer() as overseer:
            async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
                overseer.say(Inherit(DEAD.worker, DEATH, [noted]))
                await overseer.hear(Inherited(DEAD.worker))
                assert await handle.aresult(5) == 2
    finally:
        disarm()
    record = (await read(app, handle.id)).record
    await app.aclose()

    assert (passed, record.crashes) == ([""], 1)


async def test_a_run_that_is_anothers_by_now_is_left_alone(app: App) -> None:
    seen = add_handler(app)
    handle = await app.aenqueue("work")
    noted = await leave_behind(app, handle.id, Run("01OTHER", 2, "ffff0000"))
    before = await read(app, handle.id)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
            overseer.say(Inherit(DEAD.worker, DEATH, [noted, replace(noted, task_id="no-such-task")]))
            await overseer.hear(Inherited(DEAD.worker))
    after = await read(app, handle.id)
    await app.aclose()

    assert (after, seen) == (before, [])


async def test_a_task_that_was_not_claimed_yet_runs_at_once_and_at_no_cost(app: App) -> None:
    add_handler(app)
    handle = await app.aenqueue("work")
    noted = await deliver(app, handle.id)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
            overseer.say(Inherit(DEAD.worker, DEATH, [noted]))
            assert await handle.aresult(5) == 1
    record = (await read(app, handle.id)).record
    await app.aclose()

    assert (record.tries, record.crashes) == (1, 0)


async def test_a_task_that_ended_and_whose_item_was_not_removed_is_found_done(app: App) -> None:
    seen = add_handler(app)
    handle = await app.aenqueue("work")
    noted = await leave_behind(app, handle.id)
    stored = await read(app, handle.id)
    ended = closed(stored.record, Verdict(state=State.COMPLETE, result=b"7"), datetime.now(UTC))
    await (await backend_with_queue(app)).tasks.write(stored.document.updated(ended), stored.sequence)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
            overseer.say(Inherit(DEAD.worker, DEATH, [noted]))

            async def is_gone() -> bool:
                return await items(app) == 0

            await eventually(is_gone)
    await app.aclose()

    assert seen == []


async def test_runs_are_noted_until_their_items_are_settled(app: App) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.task("wait")
    async def wait() -> None:
        begun.set()
        await go_on.wait()

    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision) as worker:
            await overseer.hear(Started(worker.id))
            handle = await app.aenqueue("wait")
            await begun.wait()
            noted_by, runs = overseer.in_flight()
            run = (await read(app, handle.id)).record.run
            go_on.set()
            await handle.aresult(5)

            async def is_forgotten() -> bool:
                return overseer.in_flight() == (worker.id, [])

            await eventually(is_forgotten)
    await app.aclose()

    assert run is not None
    assert noted_by == worker.id == run.worker
    assert [(each.task_id, each.attempt, each.nonce, each.queue) for each in runs] == [
        (handle.id, run.attempt, run.nonce, "DEFAULT")
    ]
    assert runs[0].reply.startswith("$JS.ACK.")


async def test_told_to_be_quiet_it_takes_nothing_more_and_finishes_what_runs(app: App) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.task("wait")
    async def wait() -> None:
        begun.set()
        await go_on.wait()

    add_handler(app)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision) as worker:
            first = await app.aenqueue("wait")
            await begun.wait()
            overseer.say(Quiet())

            async def is_quiet() -> bool:
                return worker._fetcher._quiet

            await eventually(is_quiet)
            second = await app.aenqueue("work")
            go_on.set()
            await first.aresult(5)
            assert (await read(app, second.id)).record.state is State.NEW
            assert worker.running == 0
    await app.aclose()


@pytest.mark.parametrize("how", ["stop", "now", "vanish"])
async def test_the_supervisors_word_and_its_end_stop_a_worker(app: App, how: str) -> None:
    begun = asyncio.Event()

    @app.task("wait")
    async def wait() -> None:
        begun.set()
        await asyncio.sleep(0.2 if how != "now" else 1000)

    with Overseer() as overseer:
        running = asyncio.create_task(Worker(app, settings=SETTINGS, supervision=overseer.supervision).run())
        handle = await app.aenqueue("wait")
        await begun.wait()
        if how == "vanish":
            overseer.vanish()
        else:
            overseer.say(Stop(now=how == "now"))
        async with asyncio.timeout(5):
            await running
    record = (await read(app, handle.id)).record
    await app.aclose()

    assert record.state is (State.RETRY if how == "now" else State.COMPLETE)
