"""What finishers tell the dependents of a task, also late, slowly, and when somebody changed the world meanwhile."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.app.dependency import Dependency
from jetq.client.handle import TaskHandle
from jetq.errors import MessageTooLargeError
from jetq.jetstream.backend import Backend
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import MOST_DEPENDENTS
from jetq.model.record import TaskRecord
from jetq.model.state import End, State
from jetq.wire.codec import Document
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS

LATER = 600.0


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application with a task that does nothing."""
    app = make_app()

    @app.task("nothing", max_tries=1)
    async def nothing() -> int:
        return 1

    return app


async def backend_of(app: App) -> Backend:
    return (await app.clients.current()).backend


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
