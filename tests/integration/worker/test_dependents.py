"""What finishers tell the dependents of a task, also late, slowly, and when somebody changed the world meanwhile."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.app.dependency import Dependency
from jetq.client.handle import TaskHandle
from jetq.errors import MessageTooLargeError, Terminate
from jetq.execution.context import Context
from jetq.jetstream.backend import Backend
from jetq.jetstream.gathering import together
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import MOST_DEPENDENTS
from jetq.model.events import Event, TaskStateChanged
from jetq.model.record import ABSENT, TaskRecord
from jetq.model.state import End, State
from jetq.wire.codec import Document
from jetq.worker.worker import Worker
from tests.integration.backends import backend_of
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS

LATER = 600.0
LONGEST_TRIP = 5.0
"""Seconds that a task may take whose worker tells ten thousand others."""


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application with a task that does nothing."""
    app = make_app()

    @app.task("nothing", max_tries=1)
    async def nothing() -> int:
        return 1

    return app


async def read(app: App, handle: TaskHandle[Any]) -> Stored:
    stored = await (await backend_of(app)).tasks.read(handle.id)
    assert stored is not None
    return stored


async def fail_silently(app: App, handle: TaskHandle[Any]) -> TaskRecord:
    """Write the end of a task as a finisher does that then freezes."""
    stored = await read(app, handle)
    ended = replace(stored.record, state=State.TERMINATED, end=End.TERMINATED, due=None, last_err="broken")
    return (await (await backend_of(app)).tasks.write(stored.document.updated(ended), stored.sequence)).record


async def test_a_failure_comes_to_each_task_once_however_many_ways_lead_to_it(app: App) -> None:
    root = await app.aenqueue("nothing", delay=LATER)
    layer, all_below = [root], list[TaskHandle[Any]]()
    for _ in range(10):  # 4 ** 10 ways lead from the root to the last layer
        layer = [await app.aenqueue("nothing", depends_on=layer) for _ in range(4)]
        all_below += layer

    await root.acancel()

    assert {(await read(app, each)).record.state for each in all_below} == {State.UNREACHABLE}
    assert await (await backend_of(app)).links.marked() == []


async def test_a_fan_of_a_thousand_comes_together_once_however_many_workers_count(app: App) -> None:
    runs, results = list[int](), list[Any]()

    @app.task("gather")
    async def gather(ctx: Context) -> None:
        runs.append(ctx.attempt)
        results.extend(ctx.dependency_results.items())

    @app.task("number")
    async def number(ctx: Context, value: int) -> int:
        runs.append(ctx.attempt)
        return value

    root = await app.aenqueue("nothing", delay=LATER)
    fan = await app.aenqueue_many([number.using(depends_on=[root]).s(value=value) for value in range(1000)])
    last = await app.aenqueue("gather", depends_on=fan, load_dependencies=True)
    await root.arun_now()
    alone = dataclasses.replace(SETTINGS, concurrency=20, janitor=False)
    async with Worker(app, settings=alone), Worker(app, settings=alone), Worker(app, settings=alone):
        await last.aresult(25)

    assert runs == [1] * 1001
    assert results == [(each.id, value) for value, each in enumerate(fan)]
    record = (await read(app, last)).record
    assert (record.pending, record.satisfied) == ((), ABSENT)
    await eventually(lambda: nothing_is_marked(app))


async def test_dependents_are_told_in_chunks_between_which_others_have_their_say(app: App) -> None:
    parent = await app.aenqueue("nothing", delay=LATER)
    await asyncio.gather(*(app.aenqueue("nothing", depends_on=[parent]) for _ in range(230)))
    failed = await fail_silently(app, parent)
    backend = await backend_of(app)
    write, under_way, most, chunks = backend.tasks.write, 0, 0, 0

    async def counting(document: Document, expect: int, **how: Any) -> Stored:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await write(document, expect, **how)
        finally:
            under_way -= 1

    def between() -> None:
        nonlocal chunks
        chunks += 1

    backend.tasks.write = counting  # type: ignore[method-assign]
    await backend.dependents.follow(failed, between=between)

    assert 1 < most <= 50  # as many as are read when the first is written
    assert chunks == 5


async def end_root(app: App, root: TaskHandle[Any], kind: str) -> None:
    """Let a task end that has no worker yet."""
    if kind == "cancel":
        await root.acancel()
        return
    told = list[Event]()
    app.bus.listen(told.append)
    async with Worker(app, settings=SETTINGS):
        await root.await_end(20)
        trips = [await round_trip(app) for _ in range(20)]
        await eventually(lambda: nothing_is_marked(app), within=90)
    assert max(trips) < LONGEST_TRIP
    changes = [event for event in told if isinstance(event, TaskStateChanged) and event.task_id == root.id]
    assert not any(event.repeated for event in changes), "its lease ran out while its dependents were told"


async def round_trip(app: App) -> float:
    began = asyncio.get_running_loop().time()
    await (await app.aenqueue("nothing")).aresult(20)
    return asyncio.get_running_loop().time() - began


async def nothing_is_marked(app: App) -> bool:
    return not await (await backend_of(app)).links.marked()


@pytest.mark.nightly
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["worker", "cancel", "deadline"])
@pytest.mark.parametrize(("wide", "deep"), [(9_999, 1), (1, 3_000), (100, 100)])
async def test_ten_thousand_descendants_end_with_their_root(app: App, kind: str, wide: int, deep: int) -> None:
    @app.task("fail")
    async def fail() -> None:
        raise Terminate("no more")

    @app.task("leaf")
    async def leaf() -> None: ...

    root = await app.aenqueue("fail", deadline=0.001 if kind == "deadline" else None)
    layer, below = [root] * wide, list[str]()
    for _ in range(deep):
        layer = await app.aenqueue_many([leaf.using(depends_on=[each]).s() for each in layer])
        below += [each.id for each in layer]

    await end_root(app, root, kind)

    backend = await backend_of(app)
    for start in range(0, len(below), 100):
        found = await together([backend.tasks.read(task_id) for task_id in below[start : start + 100]])
        assert {each.record.state for each in found if each is not None} == {State.UNREACHABLE}
    assert await backend.links.marked() == []


async def test_a_worker_that_stops_while_it_tells_dependents_leaves_the_rest_to_the_next(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetq.worker.worker.SETTLE_TIMEOUT", 0.01)

    @app.task("fail")
    async def fail() -> None:
        raise Terminate("no more")

    root = await app.aenqueue("fail")
    children = await asyncio.gather(*(app.aenqueue("nothing", depends_on=[root]) for _ in range(1000)))
    impatient = dataclasses.replace(SETTINGS, shutdown_timeout=0.01, janitor=False)
    async with Worker(app, settings=impatient):
        await children[0].await_end(20)
    assert not await nothing_is_marked(app)

    async with Worker(app, settings=impatient):
        await eventually(lambda: nothing_is_marked(app))
    assert {await child.astate() for child in children} == {State.UNREACHABLE}


# finishers that come late


async def test_an_old_failure_of_a_parent_that_started_again_is_none(app: App) -> None:
    parent = await app.aenqueue("nothing", delay=LATER)
    child = await app.aenqueue("nothing", depends_on=[parent])
    failed = await fail_silently(app, parent)
    dependents = (await backend_of(app)).dependents
    await dependents.follow(failed)
    done = await parent.aretry(dependents=True)
    assert done.detail.endswith("dependents that wait again: 1")

    await dependents.follow(failed)

    assert (await read(app, child)).record.state is State.BLOCKED
    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(20) == 1


async def test_a_failure_that_is_being_told_while_the_parent_starts_again_is_none(
    app: App, make_app: Callable[[], App]
) -> None:
    parent = await app.aenqueue("nothing", delay=LATER)
    child = await app.aenqueue("nothing", depends_on=[parent])
    grandchild = await app.aenqueue("nothing", depends_on=[child])
    failed = await fail_silently(app, parent)
    finisher, reached, go_on = await backend_of(make_app()), asyncio.Event(), asyncio.Event()
    write = finisher.tasks.write

    async def slowly(document: Document, expect: int, **how: Any) -> Stored:
        reached.set()
        await go_on.wait()
        return await write(document, expect, **how)

    finisher.tasks.write = slowly  # type: ignore[method-assign]
    telling = asyncio.create_task(finisher.dependents.follow(failed))
    await reached.wait()
    await parent.aretry(dependents=True)
    go_on.set()
    await telling

    assert (await read(app, child)).record.state is State.BLOCKED
    async with Worker(app, settings=SETTINGS):
        assert await grandchild.aresult(20) == 1


async def test_a_parent_that_succeeds_in_its_next_run_is_counted_by_whoever_saw_it_fail(app: App) -> None:
    parent = await app.aenqueue("nothing", delay=LATER)
    child = await app.aenqueue("nothing", depends_on=[parent])
    failed = await fail_silently(app, parent)
    await parent.aretry()
    await (await backend_of(app)).dependents.follow(failed)
    assert (await read(app, child)).record.state is State.BLOCKED

    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(20) == 1


async def test_a_parent_that_is_gone_keeps_the_reason_of_its_end(app: App) -> None:
    parent = await app.aenqueue("nothing", delay=LATER)
    child = await app.aenqueue("nothing", depends_on=[parent])
    failed = await fail_silently(app, parent)
    backend = await backend_of(app)
    await backend.tasks.remove(parent.id)

    await backend.dependents.follow(failed)

    record = (await read(app, child)).record
    assert (record.state, record.end) == (State.UNREACHABLE, End.DEPENDENCY)
    assert record.last_err.endswith("ended terminated: broken")


async def test_a_finisher_that_sleeps_leaves_the_marker_of_a_later_task_with_the_same_id(
    app: App, make_app: Callable[[], App]
) -> None:
    parent = await app.aenqueue("nothing", delay=LATER)
    child = await app.aenqueue("nothing", depends_on=[parent], id="again")
    ended = await read(app, parent)
    complete = replace(ended.record, state=State.COMPLETE, due=None)
    finisher, reached, go_on = await backend_of(make_app()), asyncio.Event(), asyncio.Event()
    unmark = finisher.links.unmark

    async def slowly(task_id: str, *, through: int | None = None) -> None:
        reached.set()
        await go_on.wait()
        await unmark(task_id, through=through)

    finisher.links.unmark = slowly  # type: ignore[method-assign]
    telling = asyncio.create_task(finisher.dependents.follow(complete))
    await reached.wait()
    async with Worker(app, settings=SETTINGS):
        await child.aresult(20)
    await child.adelete()
    other = await app.aenqueue("nothing", delay=LATER)
    await app.aenqueue("nothing", depends_on=[other], id="again")
    go_on.set()
    await telling

    assert await (await backend_of(app)).links.marker("again") is not None


async def test_a_child_that_cannot_hold_what_its_parents_gave_ends_and_holds_up_nobody(app: App) -> None:
    backend = await backend_of(app)
    parent = await app.aenqueue("nothing", delay=LATER)
    wishes = Dependency(parent, on_failure="run")
    full = await app.aenqueue("nothing", depends_on=[wishes], load_dependencies=True)
    child = await app.aenqueue("nothing", depends_on=[wishes], load_dependencies=True)
    await fill(backend, await read(app, full))
    failed = await fail_silently(app, parent)

    await backend.dependents.follow(failed)

    assert (await read(app, child)).record.state is State.NEW
    record = (await read(app, full)).record
    assert (record.state, record.end) == (State.UNREACHABLE, End.TOO_LARGE)


async def fill(backend: Backend, stored: Stored) -> None:
    """Write the largest record that the server takes, as another program may."""
    size = backend.connection.max_payload
    while True:
        size -= 12
        record = replace(stored.record, payload=b"x" * (size * 3 // 4))
        with contextlib.suppress(MessageTooLargeError):
            await backend.tasks.write(stored.document.updated(record), stored.sequence)
            return


# an operator's retry


async def test_a_thousand_unreachable_tasks_and_more_wait_again(app: App) -> None:
    parent = await app.aenqueue("nothing", delay=LATER)
    children = await asyncio.gather(
        *(app.aenqueue("nothing", depends_on=[parent]) for _ in range(MOST_DEPENDENTS + 20))
    )
    await parent.acancel()
    done = await parent.aretry(dependents=True)
    assert done.detail.endswith(f"dependents that wait again: {MOST_DEPENDENTS + 20:,}")

    async with Worker(app, settings=SETTINGS):
        await asyncio.gather(*(child.aresult(25) for child in children))
    backend = await backend_of(app)
    await eventually(lambda: nothing_is_left(backend, parent.id))


async def nothing_is_left(backend: Backend, parent: str) -> bool:
    return not await backend.links.marked() and not await backend.links.children(parent)


async def test_a_cancelled_child_does_not_wait_again(app: App) -> None:
    parent = await app.aenqueue("nothing", delay=LATER)
    child = await app.aenqueue("nothing", depends_on=[parent])
    await child.acancel()
    await parent.acancel()
    before = await read(app, child)

    await parent.aretry(dependents=True)

    assert (await read(app, child)).sequence == before.sequence
