"""What happened to a task, also after it is gone."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from jetq.admin.task_history import task_history
from jetq.admin.task_operations import TaskOperations
from jetq.app.application import App
from jetq.errors import BlockingCallError, HistoryNotKeptError, InvalidNameError
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import TaskStateChanged
from jetq.model.retry import Fixed
from jetq.model.state import State
from jetq.settings import Settings, StoreSettings
from jetq.worker.worker import Worker
from tests.integration.backends import backend_of
from tests.integration.watching import eventually

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.fixture
async def app(server: EmbeddedServer, namespace: str) -> AsyncIterator[App]:
    """Give an application that keeps events for an hour."""
    made = App("test", settings=Settings(namespace=namespace, store=StoreSettings(events_kept=3600)))
    made.connect_to(server.address)
    yield made
    await made.aclose()


async def tell(app: App, *events: TaskStateChanged) -> None:
    backend = await backend_of(app)
    for event in events:
        backend.bus.emit(event)
    await backend.connection.api("INFO")


def change(sequence: int, state: State = State.RETRY, *, repeated: bool = False) -> TaskStateChanged:
    return TaskStateChanged(
        task_id="A",
        task_type="x:y",
        queue="DEFAULT",
        state=state,
        tries=1,
        created=NOW,
        at=NOW,
        sequence=sequence,
        repeated=repeated,
    )


async def test_the_history_of_a_task_is_all_its_states(app: App) -> None:
    tries: list[int] = []

    @app.task("flaky", retry=Fixed(0.1))
    async def flaky() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("not yet")

    async with Worker(app):
        other = await app.aenqueue("flaky", delay=60)
        handle = await flaky.aenqueue()
        await handle.aresult(10)
    history = await app.ahistory(handle.id)

    assert [event.display_state for event in history] == ["new", "active", "retry", "active", "complete"]
    assert [event.sequence for event in history] == sorted(event.sequence for event in history)
    assert history[2].last_error == "ValueError: not yet"
    assert [event.display_state for event in await app.ahistory(other.id)] == ["scheduled"]


async def test_the_history_of_a_deleted_task_is_kept(app: App) -> None:
    handle = await app.aenqueue("x:y")
    await TaskOperations(await backend_of(app)).delete(handle.id)

    assert [event.display_state for event in await app.ahistory(handle.id)] == ["new"]


async def test_a_change_that_was_told_twice_is_in_the_history_once(app: App) -> None:
    await tell(app, change(5), change(5, repeated=True), change(6, State.COMPLETE))

    assert [event.sequence for event in await app.ahistory("A")] == [5, 6]


async def test_the_order_of_a_history_is_that_of_the_writing(app: App) -> None:
    await tell(app, change(6, State.ACTIVE), change(5, State.NEW), change(0, State.RETRY), change(9, State.COMPLETE))

    history = await app.ahistory("A")

    assert [event.state for event in history] == [State.NEW, State.RETRY, State.ACTIVE, State.COMPLETE]


async def test_a_task_that_never_was_has_no_history(app: App) -> None:
    assert await app.ahistory("NEVER") == []


async def test_a_history_ends_with_the_time_that_events_are_kept(app: App) -> None:
    handle = await app.aenqueue("x:y")
    backend = await backend_of(app)
    await backend.topology.keep_events(1)

    async def is_gone() -> bool:
        return await app.ahistory(handle.id) == []

    await eventually(is_gone)


async def test_without_a_stream_of_events_the_way_to_have_one_is_told(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(server.address)
    async with app:
        handle = await app.aenqueue("x:y")
        with pytest.raises(HistoryNotKeptError) as refused:
            await app.ahistory(handle.id)

    assert (refused.value.task_id, refused.value.stream) == (handle.id, f"{namespace}_EVENTS")
    assert "events_kept" in str(refused.value)
    assert "jetq tasks configure --events-kept" in str(refused.value)


async def test_an_id_that_no_task_can_have_is_refused(app: App) -> None:
    backend = await backend_of(app)
    with pytest.raises(InvalidNameError):
        await task_history(backend.connection, backend.names, "a.*")


async def test_in_a_loop_the_blocking_method_is_refused(app: App) -> None:
    with pytest.raises(BlockingCallError, match="ahistory"):
        app.history("A")


def test_a_history_is_read_without_a_loop(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", settings=Settings(namespace=namespace, store=StoreSettings(events_kept=3600)))
    app.connect_to(server.address)
    handle = app.enqueue("x:y")

    assert [event.display_state for event in app.history(handle.id)] == ["new"]
    app.close()


@pytest.mark.alone
async def test_a_history_among_many_events_is_found_quickly(app: App) -> None:
    for start in range(0, 20_000, 1000):
        await tell(app, *(_other(number) for number in range(start, start + 1000)))
    handle = await app.aenqueue("x:y")
    began = time.monotonic()
    history = await app.ahistory(handle.id)
    took = time.monotonic() - began

    assert len(history) == 1
    assert took < 1


def _other(number: int) -> TaskStateChanged:
    return TaskStateChanged(
        task_id=f"O{number}", task_type="x:y", queue="Q", state=State.NEW, tries=0, created=NOW, at=NOW, sequence=number
    )
