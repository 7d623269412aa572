"""Unique tasks from the enqueue to their end."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import jetq.client.keyed
import jetq.worker.turns
from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import DuplicateTaskError, InvalidPayloadError, InvalidSettingError, TaskExpiredError, Terminate
from jetq.execution.context import Context
from jetq.model.events import Event, TaskDeduplicated
from jetq.model.retry import Fixed
from jetq.model.state import End, State
from jetq.model.transition import hastened
from jetq.model.unique import Unique
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS

LATEST = Unique("k", mode="latest")


class Gate:
    """A handler that tells when it runs, and runs until it is let go."""

    def __init__(self) -> None:
        self.running: list[int] = []
        self.most = 0
        self.ran: list[int] = []
        self.open = asyncio.Event()

    async def pass_through(self, number: int) -> int:
        self.running.append(number)
        self.most = max(self.most, len(self.running))
        self.ran.append(number)
        try:
            await self.open.wait()
        finally:
            self.running.remove(number)
        return number

    async def await_running(self, number: int) -> None:
        async def runs() -> bool:
            return number in self.running

        await eventually(runs)


@pytest.fixture
def gate(app: App) -> Gate:
    """Give the gate that tasks of the type ``gate`` pass through."""
    gate = Gate()

    @app.task("gate", max_tries=3)
    async def pass_through(ctx: Context, number: int, fail: bool = False) -> int:
        if fail and ctx.tries == 1:
            await gate.pass_through(number)
            raise ValueError("as asked")
        return await gate.pass_through(number)

    return gate


def addressee(to: str, **_rest: object) -> str | None:
    return to if to != "all" else None


async def holder(app: App, key: str) -> str:
    return await (await app.clients.current()).backend.keys.holder(key)


@pytest.mark.parametrize("how", ["success", "terminate", "expiry", "deadline", "invalid"])
async def test_the_key_is_free_when_the_task_has_ended(app: App, how: str) -> None:
    @app.task("end", max_tries=1)
    async def end(how: str) -> None:
        if how == "terminate":
            raise Terminate("enough")
        if how == "expiry":
            raise ValueError("no luck")

    payload = {"other": 1} if how == "invalid" else {"how": how}
    deadline = 0.01 if how == "deadline" else None
    first = await app.aenqueue("end", payload, unique="k", deadline=deadline)
    assert (await app.aenqueue("end", payload, unique="k")).id == first.id
    async with Worker(app, settings=SETTINGS):
        await first.await_end(20)

        async def is_free() -> bool:
            return await holder(app, "end k") == ""

        await eventually(is_free)
        second = await app.aenqueue("end", {"how": "success"}, unique="k")
        await second.aresult(20)

    assert second.is_new
    assert second.id != first.id


async def test_a_task_keeps_its_key_over_its_retries(app: App) -> None:
    @app.task("flaky", max_tries=3, retry=Fixed(0.3))
    async def flaky(ctx: Context) -> int:
        if ctx.tries < 3:
            raise ValueError("as asked")
        return ctx.tries

    async with Worker(app, settings=SETTINGS):
        first = await app.aenqueue("flaky", unique=True)
        ended = asyncio.create_task(first.aresult(20))
        found: set[str] = set()
        while not ended.done():
            again = await app.aenqueue("flaky", unique=True)
            if not ended.done():
                found.add(again.id)
            await asyncio.sleep(0.05)
        assert await ended == 3

    assert first.id in found
    assert len(found) <= 2  # at the very end one may find the task over


async def test_a_handler_says_which_of_its_tasks_are_the_same(app: App) -> None:
    @app.task("mail", unique=addressee)
    async def mail(to: str, text: str = "") -> str:
        return to + text

    @app.task("report", unique=True)
    async def report(month: str, year: int = 2026) -> str:
        return f"{month} {year}"

    ann, ann_again = await mail.aenqueue("ann", text="1"), await mail.aenqueue("ann", text="2")
    bob = await mail.aenqueue("bob")
    all_1, all_2 = await mail.aenqueue("all"), await mail.aenqueue("all")
    pair = await app.aenqueue("mail", {"to": "ann"})
    may = await report.aenqueue("may", year=2025)
    may_again = await app.aenqueue("report", {"year": 2025, "month": "may"})
    may_next = await report.aenqueue("may")
    aside = await report.using(unique=False).aenqueue("may")
    by_hand = await report.using(unique="x").aenqueue("may")

    assert (ann.is_new, ann_again.is_new, pair.is_new) == (True, False, False)
    assert ann.id == ann_again.id == pair.id
    assert (bob.is_new, all_1.is_new, all_2.is_new) == (True, True, True)
    assert (may.is_new, may_again.is_new, may_again.id) == (True, False, may.id)
    assert (may_next.is_new, aside.is_new, by_hand.is_new) == (True, True, True)
    with pytest.raises(InvalidPayloadError):
        await app.aenqueue("mail", {"from": "ann"})


async def test_one_enqueued_again_tells_so_and_has_the_firsts_result(app: App, gate: Gate, told: list[Event]) -> None:
    async with Worker(app, settings=SETTINGS):
        first = await app.aenqueue("gate", {"number": 1}, unique="k")
        await gate.await_running(1)
        second = await app.aenqueue("gate", {"number": 2}, unique="k")
        gate.open.set()
        assert await second.aresult(20) == 1

    assert (first.is_new, second.is_new, second.id) == (True, False, first.id)
    assert [event.task_id for event in told if isinstance(event, TaskDeduplicated)] == [first.id]


async def test_a_handler_enqueues_a_unique_task_once(app: App) -> None:
    handles: list[TaskHandle[Any]] = []

    @app.task("parent")
    async def parent(ctx: Context) -> None:
        handles.extend([await ctx.aenqueue("child", unique="k", delay=60) for _ in range(3)])

    async with Worker(app, settings=SETTINGS):
        await (await app.aenqueue("parent")).aresult(20)

    assert len({handle.id for handle in handles}) == 1
    assert [handle.is_new for handle in handles] == [True, False, False]


async def test_many_at_once_and_streams_know_keys(app: App) -> None:
    @app.task("mail", unique=addressee)
    async def mail(to: str) -> None: ...

    many = await app.aenqueue_many([mail.s("ann"), ("mail", {"to": "bob"}), mail.s("ann"), ("mail", {"to": "ann"})])
    stream = [outcome async for outcome in app.aenqueue_iter(mail.s(name) for name in ("ann", "cid", "cid"))]

    assert [handle.is_new for handle in many] == [True, True, False, False]
    assert [outcome.is_new for outcome in stream if isinstance(outcome, TaskHandle)] == [False, True, False]


async def test_an_id_that_exists_gives_the_task_that_exists(app: App) -> None:
    await app.aenqueue("one", {"a": 1}, id="mine", delay=60)

    with pytest.raises(DuplicateTaskError) as caught:
        await app.aenqueue("other", {"a": 1}, id="mine")
    (outcome,) = await app.aenqueue_many([app_call(app)], errors="return")

    for error in (caught.value, outcome):
        assert isinstance(error, DuplicateTaskError)
        assert (error.task_id, error.state, error.task_type, error.queue) == ("mine", "scheduled", "one", "DEFAULT")
        assert (await error.handle.arecord()).id == "mine"
        assert not error.handle.is_new


def app_call(app: App) -> Any:
    @app.task("call")
    async def call() -> None: ...

    return call.using(id="mine").s()


# replace


async def test_one_that_became_active_meanwhile_is_followed_by_another(app: App, gate: Gate) -> None:
    unique = Unique("k", mode="replace")
    async with Worker(app, settings=SETTINGS):
        first = await app.aenqueue("gate", {"number": 1}, unique=unique)
        await gate.await_running(1)
        second = await app.aenqueue("gate", {"number": 2}, unique=unique, delay=0.6)
        third = await app.aenqueue("gate", {"number": 3}, unique=unique, delay=0.6)
        gate.open.set()
        assert await first.aresult(20) == 1
        assert await holder(app, "gate k") == second.id  # the first one's end frees what is its own
        assert await second.aresult(20) == 3

    assert (second.is_new, third.is_new, third.id) == (True, False, second.id)
    assert gate.ran == [1, 3]


async def test_one_that_waits_for_a_retry_takes_the_new_payload_and_all_its_tries(app: App) -> None:
    seen: list[tuple[int, int]] = []

    @app.task("flaky", max_tries=2, retry=Fixed(3600))
    async def flaky(ctx: Context, number: int) -> int:
        seen.append((number, ctx.tries))
        if number == 1:
            raise ValueError("as asked")
        return number

    unique = Unique("k", mode="replace")
    async with Worker(app, settings=SETTINGS):
        first = await flaky.using(unique=unique).aenqueue(1)

        async def waits() -> bool:
            return await first.astate() == "retry"

        await eventually(waits)
        second = await flaky.using(unique=unique, delay=0.1).aenqueue(2)
        assert await second.aresult(20) == 2

    assert second.id == first.id
    assert seen == [(1, 1), (2, 1)]


async def test_a_debounced_task_runs_once_with_the_last_payload_however_often_it_is_enqueued(
    app: App, gate: Gate
) -> None:
    gate.open.set()
    unique = Unique("k", mode="replace")
    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("gate", {"number": -1}, unique=unique, delay=0.5)
        for number in range(20):
            handle = await app.aenqueue("gate", {"number": number}, unique=unique, delay=0.5)
            await asyncio.sleep(0.02)
        assert await handle.aresult(20) == 19

    assert gate.ran == [19]


# latest


async def test_of_the_latest_one_runs_one_waits_and_the_newest_payload_wins(app: App, gate: Gate) -> None:
    async with Worker(app, settings=SETTINGS):
        first = await app.aenqueue("gate", {"number": 1}, unique=LATEST)
        await gate.await_running(1)
        waiting = [await app.aenqueue("gate", {"number": number}, unique=LATEST) for number in range(2, 8)]
        assert await waiting[0].astate() == "scheduled"
        gate.open.set()
        assert await first.aresult(20) == 1
        assert await waiting[0].aresult(20) == 7

    assert len({handle.id for handle in waiting}) == 1
    assert [handle.is_new for handle in waiting] == [True, *[False] * 5]
    assert gate.ran == [1, 7]
    assert gate.most == 1
    assert await holder(app, "gate k") == ""


async def test_the_latest_are_never_two_however_they_come_and_the_last_one_runs(app: App) -> None:
    running, ran = [0, 0], list[int]()

    @app.task("latest", unique=LATEST)
    async def latest(number: int) -> None:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0.005 * (number % 3))
        ran.append(number)
        running[0] -= 1

    async with Worker(app, settings=SETTINGS), Worker(app, settings=SETTINGS):
        handle = await latest.aenqueue(-1)
        for number in range(150):
            handle = await latest.aenqueue(number)
            await asyncio.sleep(0.003 * (number % 5))
        await handle.await_end(20)

    assert running == [0, 1]
    assert ran == sorted(ran)
    assert ran[-1] == 149
    assert len(ran) > 10


@pytest.mark.parametrize("end", ["fails", "is cancelled by its record", "is gone"])
async def test_the_latest_runs_after_whatever_end_of_the_one_before(
    app: App, gate: Gate, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (jetq.worker.turns, jetq.client.keyed):
        monkeypatch.setattr(module, "LATEST_POLL", 0.5)
    async with Worker(app, settings=SETTINGS):
        first = await app.aenqueue("gate", {"number": 1, "fail": end == "fails"}, unique=LATEST, max_tries=1)
        await gate.await_running(1)
        second = await app.aenqueue("gate", {"number": 2}, unique=LATEST)
        backend = (await app.clients.current()).backend
        if end == "is gone":
            await backend.tasks.remove(first.id)
        elif end != "fails":
            stored = await backend.tasks.read(first.id)
            assert stored is not None
            go = b'{"id":"%b","type":"gate","queue":"DEFAULT","payload":null,"max_tries":5,"state":"terminated",' % (
                first.id.encode()
            )
            go += b'"created":"2026-11-24T03:00:00Z","tries":1}'
            await backend.publisher.publish(backend.tasks.publication(first.id, go, stored.sequence))
        gate.open.set()
        assert await second.aresult(20) == 2

    assert gate.ran == [1, 2]


async def test_one_that_waits_for_a_retry_gives_way_to_the_latest(app: App) -> None:
    began = asyncio.Event()
    go_on = asyncio.Event()

    @app.task("flaky", max_tries=5, retry=Fixed(3600))
    async def flaky(number: int) -> int:
        if number == 1:
            began.set()
            await go_on.wait()
            raise ValueError("as asked")
        return number

    async with Worker(app, settings=SETTINGS):
        first = await flaky.using(unique=LATEST).aenqueue(1)
        await began.wait()
        second = await flaky.using(unique=LATEST).aenqueue(2)
        go_on.set()
        assert await second.aresult(20) == 2
        with pytest.raises(TaskExpiredError):
            await first.aresult(20)

    assert (await first.arecord()).end == End.SUPERSEDED


async def test_the_latest_looks_itself_whether_its_turn_has_come(
    app: App, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody made it runnable too early, and nobody wakes it in the end."""
    for module in (jetq.worker.turns, jetq.client.keyed):
        monkeypatch.setattr(module, "LATEST_POLL", 0.5)
    async with Worker(app, settings=SETTINGS):
        first = await app.aenqueue("gate", {"number": 1}, unique=LATEST)
        await gate.await_running(1)
        second = await app.aenqueue("gate", {"number": 2}, unique=LATEST)
        backend = (await app.clients.current()).backend
        stored = await backend.tasks.read(second.id)
        assert stored is not None
        hasty = await backend.tasks.write(stored.document.updated(hastened(stored.record)), stored.sequence)
        await backend.queues.put(hasty)

        async def waits_again() -> bool:
            return await second.astate() == "scheduled"

        await eventually(waits_again)
        assert gate.ran == [1]
        await backend.keys.free("gate k", second.id)
        gate.open.set()
        await first.aresult(20)
        assert await second.aresult(20) == 2

    assert gate.most == 1


async def test_a_time_of_its_own_is_refused_for_the_latest(app: App) -> None:
    for options in ({"delay": 1}, {"run_at": datetime.now(UTC) + timedelta(1)}):
        with pytest.raises(InvalidSettingError, match="latest"):
            await app.aenqueue("gate", {"number": 1}, unique=LATEST, **options)  # type: ignore[arg-type]


async def test_a_dead_workers_task_keeps_its_key_until_its_end(
    make_app: Callable[[], App], app: App, gate: Gate
) -> None:
    async with Worker(app, settings=SETTINGS):
        first = await app.aenqueue("gate", {"number": 1}, unique="k")
        await gate.await_running(1)
        record = await first.arecord()
        assert record.key == "gate k"
        assert (await make_app().aenqueue("gate", {"number": 2}, unique="k")).id == first.id
        gate.open.set()
        await first.aresult(20)
        assert (await first.arecord()).state is State.COMPLETE
