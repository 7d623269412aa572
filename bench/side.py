"""
side: one half of one side, in a process of its own: ``python -m bench.side bare|jetq enqueue|work URL ...``.

It prints what its tasks took as one line of JSON.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bench import bare, work
from bench.work import Spent
from jetq import App, WorkerSettings
from jetq.model.events import TaskStateChanged
from jetq.model.state import State
from jetq.runtime.worker_process import run_worker

_T = TypeVar("_T")

BARE_NAMESPACE = "BARE"
JETQ_NAMESPACE = "FULL"


class Meter:
    """Measures from the end of the first tasks to that of the last, by counting those that ended."""

    def __init__(self, tasks: int, on_last: Callable[[], None]) -> None:
        self._tasks = tasks
        self._on_last = on_last
        self._ended = 0
        self._began = (0.0, 0.0)
        self.spent = Spent(tasks, 0.0, 0.0)

    def count(self) -> None:
        """Count one that ended."""
        self._ended += 1
        if self._ended == work.WARM_UP:
            self._began = (time.perf_counter(), time.process_time())
        elif self._ended == work.WARM_UP + self._tasks:
            began, cpu = self._began
            self.spent = Spent(self._tasks, time.perf_counter() - began, time.process_time() - cpu)
            self._on_last()


def jetq_app(url: str) -> App:
    """Return the application."""
    app = App("bench", servers=url, namespace=JETQ_NAMESPACE)
    app.task(work.TASK_TYPE)(work.handle)
    return app


def jetq_enqueue(url: str, tasks: int) -> Spent:
    """Enqueue with ``app.enqueue_many``."""
    app = jetq_app(url)
    app.enqueue_many([(work.TASK_TYPE, work.payload(index)) for index in range(work.WARM_UP)])
    entries = [(work.TASK_TYPE, work.payload(index)) for index in range(tasks)]
    began, cpu = time.perf_counter(), time.process_time()
    app.enqueue_many(entries)
    spent = Spent(tasks, time.perf_counter() - began, time.process_time() - cpu)
    app.close()
    return spent


def jetq_work(url: str, tasks: int, slots: int, loop: str) -> Spent:
    """Run tasks as ``jetq worker`` does."""
    app = jetq_app(url)
    meter = Meter(tasks, lambda: signal.raise_signal(signal.SIGTERM))

    def on_change(event: TaskStateChanged) -> None:
        if event.state is State.COMPLETE:
            meter.count()

    app.bus.listen_to(TaskStateChanged, on_change)
    run_worker(app, settings=WorkerSettings(concurrency=slots), uvloop="on" if loop == "uvloop" else "off")
    return meter.spent


async def bare_enqueue(url: str, tasks: int) -> Spent:
    """Enqueue with the bare loop."""
    loop = await bare.Loop.open(url, BARE_NAMESPACE)
    producer = bare.Producer(loop)
    await producer.enqueue_many([work.payload(index) for index in range(work.WARM_UP)])
    payloads = [work.payload(index) for index in range(tasks)]
    began, cpu = time.perf_counter(), time.process_time()
    await producer.enqueue_many(payloads)
    spent = Spent(tasks, time.perf_counter() - began, time.process_time() - cpu)
    await loop.client.close()
    return spent


async def bare_work(url: str, tasks: int, slots: int) -> Spent:
    """Run tasks with the bare loop."""
    loop = await bare.Loop.open(url, BARE_NAMESPACE)
    done = asyncio.Event()
    meter = Meter(tasks, done.set)
    worker = bare.Worker(loop, work.handle, slots=slots, on_complete=meter.count)
    await worker.start()
    await done.wait()
    await loop.client.close()
    return meter.spent


def run(coroutine: Coroutine[Any, Any, _T], loop: str) -> _T:
    """Run on the event loop that is wanted."""
    factory = None
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 - an optional extra

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coroutine)


def main() -> None:
    """Do one half and print what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["bare", "jetq"])
    parser.add_argument("half", choices=["enqueue", "work"])
    parser.add_argument("url")
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    given = parser.parse_args()
    match given.side, given.half:
        case "jetq", "enqueue":
            spent = jetq_enqueue(given.url, given.tasks)
        case "jetq", _:
            spent = jetq_work(given.url, given.tasks, given.slots, given.loop)
        case _, "enqueue":
            spent = run(bare_enqueue(given.url, given.tasks), "asyncio")
        case _:
            spent = run(bare_work(given.url, given.tasks, given.slots), given.loop)
    sys.stdout.write(work.encode(spent).decode() + "\n")


if __name__ == "__main__":
    main()
