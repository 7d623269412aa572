import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from jetq.execution import pools
from jetq.execution.pools import HandlerStopped, ThreadPool

WORD: ContextVar[str] = ContextVar("word", default="unset")


@pytest.fixture
async def pool() -> AsyncIterator[ThreadPool]:
    opened = ThreadPool(2, grace=0.2)
    yield opened
    await opened.close()


def handler_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("jetq-handler")]


class Busy:
    """A call that keeps its thread until it is let go; stoppable ones look up, others are deaf."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.started = threading.Event()
        self.release = threading.Event()
        self.ended = threading.Event()
        self.stopped: BaseException | None = None
        self._deaf = deaf

    def __call__(self) -> str:
        self.started.set()
        try:
            if self._deaf:
                self.release.wait(20)
            while not self.release.is_set():
                time.sleep(0.001)
        except BaseException as error:
            self.stopped = error
            raise
        finally:
            self.ended.set()
        return "done"

    async def begun(self) -> None:
        await asyncio.to_thread(self.started.wait, 10)


async def test_a_call_returns_its_value_or_raises_its_error(pool: ThreadPool) -> None:
    assert await pool.run(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
async def test_a_thread_survives_whatever_a_call_raises(pool: ThreadPool, error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        await pool.run(fail)

    assert await pool.run(lambda: "alive") == "alive"
    assert pool.threads == 1


async def test_stop_iteration_does_not_hang(pool: ThreadPool) -> None:
    def fail() -> None:
        raise StopIteration("enough")

    with pytest.raises(RuntimeError, match="StopIteration"):
        await pool.run(fail)


async def test_threads_start_when_they_are_needed_and_no_more_than_allowed(pool: ThreadPool) -> None:
    assert pool.threads == 0
    for _ in range(5):
        await pool.run(lambda: None)
    assert pool.threads == 1

    calls = [Busy() for _ in range(3)]
    runs = [asyncio.create_task(pool.run(call)) for call in calls]
    await calls[0].begun()
    await calls[1].begun()

    assert pool.threads == 2
    assert not calls[2].started.is_set()
    assert all(thread.daemon for thread in handler_threads())
    for call in calls:
        call.release.set()
    assert await asyncio.gather(*runs) == ["done"] * 3


async def test_context_variables_are_copied(pool: ThreadPool) -> None:
    WORD.set("ours")

    def change() -> str:
        before = WORD.get()
        WORD.set("theirs")
        return before

    assert await pool.run(change) == "ours"
    assert await pool.run(change) == "ours"
    assert WORD.get() == "ours"


async def test_a_cancelled_call_is_stopped_in_its_thread(pool: ThreadPool) -> None:
    call = Busy()
    run = asyncio.create_task(pool.run(call))
    await call.begun()

    run.cancel()

    with pytest.raises(asyncio.CancelledError):
        await run
    assert isinstance(call.stopped, HandlerStopped)
    assert not isinstance(call.stopped, Exception)
    assert pool.threads == 1
    assert await pool.run(lambda: "next") == "next"


async def test_a_call_that_does_not_end_is_given_up_and_its_thread_replaced(pool: ThreadPool) -> None:
    calls = [Busy(deaf=True), Busy(deaf=True)]
    runs = [asyncio.create_task(pool.run(call)) for call in calls]
    for call in calls:
        await call.begun()
    waiting = asyncio.create_task(pool.run(lambda: "waited"))

    for run in runs:
        run.cancel()

    for run in runs:
        with pytest.raises(asyncio.CancelledError):
            await run
    assert not calls[0].ended.is_set()
    assert await waiting == "waited"
    assert await pool.run(lambda: "more") == "more"
    old = [thread for thread in handler_threads() if thread.name in {"jetq-handler-1", "jetq-handler-2"}]
    assert len(old) == 2
    for call in calls:
        call.release.set()
    for thread in old:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


async def test_a_second_cancellation_gives_the_call_up_at_once() -> None:
    pool = ThreadPool(1, grace=60)
    call = Busy(deaf=True)
    run = asyncio.create_task(pool.run(call))
    await call.begun()
    run.cancel()
    await asyncio.sleep(0)

    run.cancel()

    with pytest.raises(asyncio.CancelledError):
        await run
    assert pool.threads == 0
    call.release.set()
    await pool.close()


async def test_a_call_that_still_waits_for_a_thread_is_taken_back() -> None:
    pool = ThreadPool(1, grace=60)
    first, second = Busy(), Busy()
    run = asyncio.create_task(pool.run(first))
    await first.begun()
    waiting = asyncio.create_task(pool.run(second))
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    first.release.set()
    assert await run == "done"
    assert await pool.run(lambda: "next") == "next"
    assert not second.started.is_set()
    await pool.close()


async def test_a_call_that_has_just_ended_is_not_waited_for() -> None:
    pool = ThreadPool(1, grace=60)
    ended = threading.Event()
    run = asyncio.create_task(pool.run(ended.set))
    await asyncio.sleep(0)
    ended.wait(10)
    time.sleep(0.05)  # noqa: ASYNC251 - blocks the loop, so that it learns of the end and the cancellation together
    asyncio.get_running_loop().call_soon(run.cancel)

    with pytest.raises(asyncio.CancelledError):
        await run

    await pool.close()


async def test_an_interruption_that_comes_before_the_thread_has_a_name_stops_the_call(pool: ThreadPool) -> None:
    called: list[int] = []
    job = pools._Job(lambda: called.append(1), asyncio.get_running_loop())
    job.interrupt()

    await asyncio.to_thread(pools._Thread(pool, 9)._carry_out, job)

    assert called == []
    with pytest.raises(HandlerStopped):
        job.outcome()


async def test_an_interruption_that_comes_when_the_call_has_ended_does_not_end_the_thread(
    pool: ThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, late = pools._raise_in, [HandlerStopped]

    def raise_in(thread: int | None, error: type[BaseException] | None) -> None:
        real(thread, late.pop() if error is None and late else error)

    monkeypatch.setattr(pools, "_raise_in", raise_in)

    with pytest.raises(HandlerStopped):
        await pool.run(lambda: "ended")

    assert await pool.run(lambda: "alive") == "alive"
    assert [thread.name for thread in handler_threads()] == ["jetq-handler-1"]


def spin_until(flag: threading.Event) -> None:
    while not flag.is_set():
        pass


async def test_the_exception_hits_nothing_but_the_call_it_is_meant_for() -> None:
    """Cancel calls at the very moment in which they end; every thread must live, and every other call be left alone."""
    pool = ThreadPool(2, grace=5)
    for number in range(300):
        flag = threading.Event()
        run = asyncio.create_task(pool.run(lambda flag=flag: spin_until(flag)))
        await asyncio.sleep(0.0002 * (number % 3))
        flag.set()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

        assert await pool.run(lambda number=number: sum(range(200)) + number) == 19900 + number

    assert pool.threads <= 2
    assert all(thread.is_alive() for thread in handler_threads())
    await pool.close()


async def test_close_ends_idle_threads(pool: ThreadPool) -> None:
    await asyncio.gather(*[pool.run(lambda: time.sleep(0.001)) for _ in range(4)])
    assert handler_threads()

    await pool.close()
    await pool.close()

    assert handler_threads() == []
    with pytest.raises(RuntimeError, match="closed"):
        await pool.run(lambda: None)


async def test_close_stops_what_runs_and_what_waits() -> None:
    pool = ThreadPool(1, grace=5)
    running, waiting = Busy(), Busy()
    runs = [asyncio.create_task(pool.run(call)) for call in (running, waiting)]
    await running.begun()

    await pool.close()

    for run in runs:
        with pytest.raises(HandlerStopped):
            await run
    assert not waiting.started.is_set()
    assert handler_threads() == []


async def test_close_leaves_a_call_behind_that_does_not_end() -> None:
    pool = ThreadPool(1, grace=0.05)
    call = Busy(deaf=True)
    run = asyncio.create_task(pool.run(call))
    await call.begun()

    await pool.close()

    assert len(handler_threads()) == 1
    call.release.set()
    with pytest.raises(HandlerStopped):
        await run
    for thread in handler_threads():
        await asyncio.to_thread(thread.join, 10)


def test_a_thread_outlives_a_loop_that_is_gone() -> None:
    call = Busy(deaf=True)

    async def leave() -> None:
        pool = ThreadPool(1, grace=0.01)
        run = asyncio.create_task(pool.run(call))
        await call.begun()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(leave())
    threads = handler_threads()

    call.release.set()

    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


class Large:
    pass


async def test_an_idle_thread_holds_nothing_of_its_last_call(pool: ThreadPool) -> None:
    large = Large()
    gone = weakref.ref(large)

    def use(value: Large) -> None:
        raise ValueError(str(value))

    def bound(value: Large) -> Callable[[], Any]:
        return lambda: use(value)

    with pytest.raises(ValueError, match="Large"):
        await pool.run(bound(large))
    del large

    for _ in range(1000):
        gc.collect()
        if gone() is None:
            break
        await asyncio.sleep(0.001)
    assert gone() is None
