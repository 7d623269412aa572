"""What a handler says of its progress is told at once, and kept in the record by the run alone."""

import asyncio
import threading
import time
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import InvalidSettingError, MessageTooLargeError, ServerTimeoutError, Snooze
from jetq.execution.context import Context
from jetq.jetstream.connection import Incoming
from jetq.jetstream.task_store import Stored, TaskStore
from jetq.model.events import Event, RunLost, TaskProgressed, UpdateConflict
from jetq.model.progress import Progress
from jetq.model.record import CancelRequest, Run
from jetq.model.retry import Fixed
from jetq.wire.codec import Document
from jetq.wire.events import TaskProgressEvent, decode_event
from jetq.worker import progress
from jetq.worker.worker import Worker
from tests.integration.backends import backend_of
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS


async def kept(handle: TaskHandle[Any], current: float) -> Progress:
    """Wait until the record has a progress."""

    async def is_there() -> bool:
        said = await handle.aprogress()
        return said is not None and said.current == current

    await eventually(is_there, within=10)
    said = await handle.aprogress()
    assert said is not None
    return said


async def change(app: App, task_id: str, **changes: Any) -> None:
    """Change a record as somebody else does, whoever else writes it."""
    backend = await backend_of(app)
    stored = await backend.tasks.read(task_id)
    assert stored is not None
    await backend.tasks.write(stored.document.updated(replace(stored.record, **changes)), stored.sequence)


def current_values(told: list[Event]) -> list[float]:
    return [event.progress.current for event in told if isinstance(event, TaskProgressed)]


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_progress_is_told_at_once_and_kept_in_the_record(app: App, kind: str) -> None:
    goes_on = threading.Event()

    def say(ctx: Context) -> None:
        ctx.progress(0, 3)
        ctx.progress(1.5, 3, "half")

    @app.task("loop")
    async def on_loop(ctx: Context) -> int:
        say(ctx)
        await asyncio.to_thread(goes_on.wait, 10)
        return 1

    @app.task("thread")
    def in_thread(ctx: Context) -> int:
        say(ctx)
        goes_on.wait(10)
        return 1

    heard: list[Incoming] = []
    async with Worker(app, settings=SETTINGS):
        backend = await backend_of(app)
        handle = await (on_loop if kind == "async" else in_thread).using(id=f"one-{kind}").aenqueue()
        await backend.connection.subscribe(backend.names.task_progress(handle.id), heard.append)
        said = await kept(handle, 1.5)
        goes_on.set()
        assert await handle.aresult(10) == 1
        assert await handle.aprogress() is None

    assert (said.total, said.text, said.fraction) == (3, "half", 0.5)
    events = [decode_event(message.data) for message in heard]
    assert [(event.current, event.total, event.text) for event in events if isinstance(event, TaskProgressEvent)] == [
        (0, 3, ""),
        (1.5, 3, "half"),
    ]


async def test_the_record_is_written_once_a_second_and_ends_with_the_last_value(
    app: App, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    write = TaskStore.write

    async def counted(self: TaskStore, document: Document, expect: int, **options: Any) -> Stored:
        written.append(bytes(document.record.progress))
        return await write(self, document, expect, **options)

    monkeypatch.setattr(TaskStore, "write", counted)
    monkeypatch.setattr(progress, "KEEP_EVERY", 0.3)

    @app.task("busy")
    async def busy(ctx: Context) -> None:
        for number in range(60):
            ctx.progress(number)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)

    async with Worker(app, settings=SETTINGS):
        handle = await busy.aenqueue()
        await kept(handle, 59)
        await handle.aresult(10)

    assert current_values(told) == list(range(60))
    writes = [each for each in written if each]
    assert 3 <= len(writes) <= 5


async def test_the_last_value_survives_a_run_that_comes_back(app: App) -> None:
    seen: list[float] = []
    handles: list[TaskHandle[int]] = []

    @app.task("nap")
    async def nap(ctx: Context) -> int:
        if ctx.attempt == 1:
            for number in range(5):
                ctx.progress(number)
            raise Snooze(0.2)
        said = await handles[0].aprogress()
        assert said is not None
        seen.append(said.current)
        return 1

    handles.append(await nap.aenqueue())
    async with Worker(app, settings=SETTINGS):
        await handles[0].aresult(10)

    assert seen == [4]


async def test_what_others_write_meanwhile_is_kept(app: App, told: list[Event]) -> None:
    first, second = asyncio.Event(), asyncio.Event()

    @app.task("shared")
    async def shared(ctx: Context) -> None:
        ctx.progress(1)
        await first.wait()
        ctx.progress(2)
        await second.wait()

    async with Worker(app, settings=SETTINGS):
        handle = await shared.aenqueue()
        await kept(handle, 1)
        await change(app, handle.id, schedule="theirs", scheduled_for=None)
        first.set()
        await kept(handle, 2)
        record = await handle.arecord()
        assert record.schedule == "theirs"
        await change(app, handle.id, schedule="again")
        second.set()
        record = await handle.await_end(10)

    assert record.schedule == "again"
    conflicts = [event.what for event in told if isinstance(event, UpdateConflict)]
    assert set(conflicts) == {"progress", "end"}


async def test_a_cancel_request_is_not_overwritten(app: App) -> None:
    goes_on = asyncio.Event()

    @app.task("unwanted", retry=Fixed(0))
    async def unwanted(ctx: Context) -> None:
        ctx.progress(1)
        await goes_on.wait()
        ctx.progress(2)
        raise ValueError("failed")

    async with Worker(app, settings=SETTINGS):
        handle = await unwanted.aenqueue()
        await kept(handle, 1)
        await change(app, handle.id, cancel_requested=CancelRequest(by="ann"))
        goes_on.set()
        record = await handle.await_end(10)

    assert record.display_state == "cancelled"


@pytest.mark.parametrize("gone", [False, True], ids=["taken", "removed"])
async def test_the_progress_of_a_lost_run_is_refused_and_stops_it(app: App, *, gone: bool) -> None:
    lost, stopped, started = asyncio.Event(), asyncio.Event(), asyncio.Event()
    app.bus.listen_to(RunLost, lambda _event: lost.set())

    @app.task("lost")
    async def handler(ctx: Context) -> None:
        ctx.progress(1)
        started.set()
        try:
            while True:
                await asyncio.sleep(0.05)
                ctx.progress(2)
        finally:
            stopped.set()

    async with Worker(app, settings=SETTINGS):
        handle = await handler.aenqueue()
        await started.wait()
        backend = await backend_of(app)
        await kept(handle, 1)
        if gone:
            await backend.tasks.remove(handle.id)
        else:
            await change(app, handle.id, run=Run("other", 2, "theirs"), runs=2)
        async with asyncio.timeout(10):
            await stopped.wait()
            await lost.wait()
        if not gone:
            said = await handle.aprogress()
            assert said is not None
            assert said.current == 1


@pytest.mark.parametrize("error", [ServerTimeoutError("the store", 1), MessageTooLargeError("it", 9, 8)], ids=type)
async def test_no_server_makes_a_task_fail_by_its_progress(
    app: App, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    write = TaskStore.write

    async def refused(self: TaskStore, document: Document, expect: int, **options: Any) -> Stored:
        if bytes(document.record.progress):
            raise error
        return await write(self, document, expect, **options)

    monkeypatch.setattr(TaskStore, "write", refused)
    monkeypatch.setattr(progress, "KEEP_EVERY", 0.05)

    @app.task("unheard")
    async def unheard(ctx: Context) -> str:
        for number in range(10):
            ctx.progress(number)
            await asyncio.sleep(0.02)
        return "done"

    async with Worker(app, settings=SETTINGS):
        assert await (await unheard.aenqueue()).aresult(10) == "done"


@pytest.mark.alone
async def test_a_thread_that_says_more_than_can_be_told_ends_with_its_last_value(app: App, told: list[Event]) -> None:
    @app.task("flood")
    def flood(ctx: Context) -> float:
        for number in range(20_000):
            ctx.progress(number)
        began = time.monotonic()
        ctx.progress(20_000)
        return time.monotonic() - began

    async with Worker(app, settings=SETTINGS):
        assert await (await flood.aenqueue()).aresult(20) < 1

    values = current_values(told)
    assert values == sorted(values)
    assert values[-1] == 20_000


@pytest.mark.parametrize(
    ("current", "total", "text"),
    [
        (-1, None, ""),
        (1, -1, ""),
        ("1", None, ""),
        (None, None, ""),
        (True, None, ""),
        (float("nan"), None, ""),
        (float("inf"), None, ""),
        (2**53 + 1, None, ""),
        (1, "all", ""),
        (1, None, 7),
    ],
)
async def test_nonsense_is_the_handlers_error(app: App, current: Any, total: Any, text: Any) -> None:
    caught: list[str] = []

    @app.task("nonsense")
    async def nonsense(ctx: Context) -> None:
        with pytest.raises(InvalidSettingError) as error:
            ctx.progress(current, total, text)
        caught.append(str(error.value))

    async with Worker(app, settings=SETTINGS):
        await (await nonsense.aenqueue()).aresult(10)

    assert "progress" in caught[0]


async def test_a_run_that_is_over_says_nothing_any_more(app: App, told: list[Event]) -> None:
    contexts: list[Context] = []

    @app.task("over")
    async def over(ctx: Context) -> None:
        contexts.append(ctx)

    async with Worker(app, settings=SETTINGS):
        await (await over.aenqueue()).aresult(10)
        contexts[0].progress(1)
        await asyncio.to_thread(contexts[0].progress, 2)

    assert current_values(told) == []
