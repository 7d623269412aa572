"""
side: one side of a comparison, in a process of its own.

``python -m bench.side bare|jetq enqueue URL ...`` enqueues and prints what that took as one line of JSON;
``python -m bench.side bare work URL ...`` runs tasks until it is stopped. jetq's worker is the real ``jetq worker``.
"""

import argparse
import asyncio
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import msgspec

from bench import bare, body, work, workload
from bench.work import Spent
from jetq import App, Queue, StoreSettings
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.jetstream.topology import Topology
from jetq.wire.names import Names

_T = TypeVar("_T")

BARE_NAMESPACE: Final = "BARE"
JETQ_NAMESPACE: Final = workload.NAMESPACE
NAMESPACES: Final = {"bare": BARE_NAMESPACE, "jetq": JETQ_NAMESPACE}
ABREAST: Final = 100
"""Tasks that are on their way at one time in the mode of that name."""
_CHUNK: Final = 500
_BYTES: Final = 4_000_000
"""Of arguments that are made at one time, so that large ones do not fill the memory."""

Enqueue = Callable[[list[dict[str, Any]]], Awaitable[object]]


def jetq_app(url: str) -> App:
    """Return the application."""
    return workload.make_app(url)


async def make_streams(url: str, namespace: str, *, queues: int = 1, replicas: int = 1) -> None:
    """Make the same streams for both sides, as jetq makes them."""
    wanted = list(map(Queue, workload.names(queues)))
    async with await Connection.open(Address.of(url), name="bench") as connection:
        await Topology(connection, Names(namespace), StoreSettings(replicas=replicas)).ensure(wanted)


def bare_worker(url: str, slots: int, loop: str) -> list[str]:
    """Return the command of the bare loop's worker."""
    return [sys.executable, "-m", "bench.side", "bare", "work", url, "--slots", str(slots), "--loop", loop]


def enqueue(
    side: str,
    url: str,
    tasks: int,
    *,
    mode: str = "many",
    size: int = 24,
    loop: str = "asyncio",
    task_type: str = work.TASK_TYPE,
    replicas: int = 1,
) -> Spent:
    """Enqueue in a process of its own; return what it took."""
    options = ["--tasks", str(tasks), "--mode", mode, "--size", str(size), "--loop", loop, "--type", task_type]
    options += ["--replicas", str(replicas)]
    command = [sys.executable, "-m", "bench.side", side, "enqueue", url, *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - this program
    return msgspec.json.decode(done.stdout, type=Spent)


def jetq_enqueue(given: argparse.Namespace) -> Spent:
    """Enqueue with ``app.enqueue_many``, or one by one from sync code, whose loop runs in a thread behind it."""
    if given.loop == "uvloop":
        import uvloop  # noqa: PLC0415 - an optional extra

        uvloop.install()
    app = workload.make_app(given.url, replicas=given.replicas)
    many = given.mode == "many"

    def send(payloads: list[dict[str, Any]]) -> None:
        if many:
            app.enqueue_many([(given.type, payload) for payload in payloads])
        else:
            for payload in payloads:
                app.enqueue(given.type, payload)

    send(_payloads(work.WARM_UP if many else ABREAST, given.size))
    spent = _Spender(given)
    while payloads := spent.more():
        began = spent.begin()
        send(payloads)
        spent.end(began)
    app.close()
    return spent.finished()


async def jetq_aenqueue(given: argparse.Namespace) -> Spent:
    """Enqueue one by one from async code, or many that are on their way at one time."""
    async with workload.make_app(given.url, replicas=given.replicas) as app:

        async def one(payloads: list[dict[str, Any]]) -> None:
            for payload in payloads:
                await app.aenqueue(given.type, payload)

        return await _spent(given, one)


async def bare_enqueue(given: argparse.Namespace) -> Spent:
    """Enqueue with the bare loop."""
    loop = await bare.Loop.open(given.url, BARE_NAMESPACE)
    producer = bare.Producer(loop)

    async def one(payloads: list[dict[str, Any]]) -> None:
        for payload in payloads:
            await producer.enqueue_many([payload])

    try:
        return await _spent(given, producer.enqueue_many if given.mode == "many" else one)
    finally:
        await loop.client.close()


async def _spent(given: argparse.Namespace, send: Enqueue) -> Spent:
    """Send all as the mode wants it; return what it took."""
    abreast = ABREAST if given.mode == "abreast" else 1
    await send(_payloads(work.WARM_UP if given.mode == "many" else ABREAST, given.size))
    spent = _Spender(given)
    while payloads := spent.more():
        began = spent.begin()
        await asyncio.gather(*(send(payloads[place::abreast]) for place in range(abreast)))
        spent.end(began)
    return spent.finished()


def _payloads(count: int, size: int) -> list[dict[str, Any]]:
    """Return those that warm up: few when they are large. Their indices are before zero."""
    return [body.payload(-1 - index, size) for index in range(min(count, max(_BYTES // size, 1)))]


class _Spender:
    """Makes the arguments piece by piece, and counts what the rest takes."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._size = given.size
        self._tasks = given.tasks
        self._at_once = given.tasks if given.size * given.tasks <= _BYTES else max(_BYTES // given.size, 1)
        self._made = 0
        self._total = Spent(given.tasks, 0.0, 0.0)

    def more(self) -> list[dict[str, Any]]:
        """Return the next arguments; none at the end."""
        until = min(self._made + self._at_once, self._tasks)
        made = [body.payload(index, self._size) for index in range(self._made, until)]
        self._made = until
        return made

    def begin(self) -> tuple[float, float]:
        """Return the times of now."""
        return time.perf_counter(), time.process_time()

    def end(self, began: tuple[float, float]) -> None:
        """Count what passed since then."""
        self._total.seconds += time.perf_counter() - began[0]
        self._total.cpu_seconds += time.process_time() - began[1]

    def finished(self) -> Spent:
        """Return it all, with the most memory that this process ever held."""
        self._total.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return self._total


async def bare_work(given: argparse.Namespace) -> None:
    """Run tasks with the bare loop until it is stopped."""
    loop = await bare.Loop.open(given.url, BARE_NAMESPACE)
    worker = bare.Worker(loop, work.handle, slots=given.slots, on_complete=lambda: None)
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    await worker.start()
    await done.wait()
    await loop.client.close()


def run(coroutine: Coroutine[Any, Any, _T], loop: str) -> _T:
    """Run on the event loop that is wanted."""
    factory = None
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 - an optional extra

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coroutine)


def main() -> None:
    """Do one half; print what enqueueing took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["bare", "jetq"])
    parser.add_argument("half", choices=["enqueue", "work"])
    parser.add_argument("url")
    parser.add_argument("--tasks", type=int, default=1)
    parser.add_argument("--mode", choices=["sync", "single", "abreast", "many"], default="many")
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--type", default=work.TASK_TYPE)
    parser.add_argument("--slots", type=int, default=500)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    given = parser.parse_args()
    match given.side, given.half, given.mode:
        case "bare", "work", _:
            run(bare_work(given), given.loop)
            return
        case "jetq", "enqueue", "sync" | "many":
            spent = jetq_enqueue(given)
        case "jetq", "enqueue", _:
            spent = run(jetq_aenqueue(given), given.loop)
        case "bare", "enqueue", _:
            spent = run(bare_enqueue(given), given.loop)
        case _:
            parser.error("jetq's worker is `jetq worker`")
    sys.stdout.write(work.encode(spent).decode() + "\n")


if __name__ == "__main__":
    main()
