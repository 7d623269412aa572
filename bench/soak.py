"""
soak: whether memory stays flat: a day's worth of tasks, one after the other, through children that are recycled.

It is ``jetq worker -p 2 --max-tasks-per-child N --metrics`` on a server of its own. Most tasks run on the event loop,
some in a thread, a few in a process, and one in a hundred fails at first and is retried by a schedule. A producer keeps
some thousands of them waiting. Whatever ran leaves its number in a file, so that what is lost or ran twice is told too.

Memory is read from ``/proc`` (Linux) every second and compared between the second quarter of the tasks and the last.
Recycling hides what grows in a child, so the same is told of the life of each: its second quarter beside its last.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import Struct

from bench import body
from bench.figures import rows
from bench.processes import rss_mib
from jetq import App, Context, EmbeddedServer

GOAL = 5.0
"""Per cent by which the last quarter may exceed the second."""
PROCESSES = 2
QUICK = {"tasks": 300, "generations": 1}
NUMBER = 4
"""Bytes of a task's number in the file."""
_BACKLOG = 5000
_CHUNK = 500
_KEPT = 60.0
"""Seconds that records are kept, so that a long run fills no disk."""
_PATIENCE = 120.0
"""Seconds without any task that ends, after which the run is given up."""
_QUARTERS = 4
_LEAST = 20
"""Seconds that a child must have been watched for its life to have quarters."""


class Sample(Struct):
    """What a process held (MiB) when so many tasks were done."""

    pid: int
    done: int
    rss: float


class Memory(Struct):
    """
    Of one kind of process, in MiB.

    Attributes:
        quarters: Medians, by quarter of the tasks.
        growth: Per cent from the second quarter to the last.
    """

    quarters: list[float]
    growth: float


class Report(Struct, kw_only=True):
    """
    How it went.

    Attributes:
        lost: Tasks that never ran to their end.
        doubled: Tasks that did so more than once.
        children: Processes that there were.
        life_growth: Per cent by which a child grew from the second quarter of its life to the last: the median child.
        supervisor, child, server: Their memory.
    """

    tasks: int
    seconds: float
    lost: int
    doubled: int
    children: int
    life_growth: float
    supervisor: Memory
    child: Memory
    server: Memory

    @property
    def is_flat(self) -> bool:
        """Whether nothing grew that should not, and nothing was lost."""
        return self.lost == 0 and max(self.life_growth, self.supervisor.growth, self.child.growth) < GOAL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=1_000_000, help="how many")
    parser.add_argument("--generations", type=int, default=5, help="how often each child is replaced, about")


def measure(given: argparse.Namespace) -> Report:
    """Run, and tell how far it is."""
    return soak(given.tasks, given.generations, lambda said: print(said, file=sys.stderr, flush=True))


def soak(tasks: int, generations: int, tell: Callable[[str], None]) -> Report:
    """Run so many tasks, and watch."""
    with EmbeddedServer.start() as server, tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "done"
        log.touch()
        with _supervisor(server.url, log, max(tasks // PROCESSES // generations, 1)) as supervisor:
            watch = Watch({supervisor.pid: "supervisor", server.pid: "server"}, supervisor.pid, log)
            began = time.perf_counter()
            with watch.watching():
                asyncio.run(_produce(server.url, log, tasks, tell))
            took = time.perf_counter() - began
            _settle(log)
        runs = _runs(log)
    growths = [_growth(life) for life in watch.lives() if len(life) >= _LEAST]
    return Report(
        tasks=tasks,
        seconds=took,
        lost=sum(1 for number in range(tasks) if number not in runs),
        doubled=sum(1 for count in runs.values() if count > 1),
        children=len(watch.lives()),
        life_growth=median(growths) if growths else 0.0,
        supervisor=memory(watch.of("supervisor"), tasks),
        child=memory(watch.of("child"), tasks),
        server=memory(watch.of("server"), tasks),
    )


@contextmanager
def _supervisor(url: str, log: Path, max_tasks: int) -> Generator["subprocess.Popen[bytes]", None, None]:
    options = ("-p", str(PROCESSES), "--max-tasks-per-child", str(max_tasks), "--metrics", "127.0.0.1:0")
    command = [sys.executable, "-m", "jetq", "worker", "bench.soak:app", *options, "--log-level", "error"]
    environment = os.environ | {"BENCH_URL": url, "BENCH_LOG": str(log)}
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - jetq itself
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


class Watch:
    """
    Reads what processes hold, every second.

    Args:
        named: Processes by their numbers.
        supervisor: The one whose children are watched too.
        log: Says how many tasks are done.
    """

    def __init__(self, named: dict[int, str], supervisor: int, log: Path) -> None:
        self._named = named
        self._supervisor = supervisor
        self._log = log
        self._samples: list[Sample] = []
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Generator[None, None, None]:
        """Watch from a thread."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            done = _done(self._log)
            for pid in (*self._named, *_children(self._supervisor)):
                try:
                    self._samples.append(Sample(pid, done, rss_mib(pid)))
                except OSError:
                    continue  # it is gone

    def of(self, name: str) -> list[Sample]:
        """Return the samples of one kind of process."""
        return [sample for sample in self._samples if self._named.get(sample.pid, "child") == name]

    def lives(self) -> list[list[float]]:
        """Return what each child held, from its start to its end."""
        found: dict[int, list[float]] = {}
        for sample in self.of("child"):
            found.setdefault(sample.pid, []).append(sample.rss)
        return list(found.values())


def memory(samples: list[Sample], tasks: int) -> Memory:
    """Sum up what a kind of process held."""
    parts: list[list[float]] = [[] for _ in range(_QUARTERS)]
    for sample in samples:
        parts[min(sample.done * _QUARTERS // tasks, _QUARTERS - 1)].append(sample.rss)
    quarters = [median(part) if part else 0.0 for part in parts]
    _, second, _, last = quarters
    return Memory(quarters, _percent(second, last))


def _growth(life: list[float]) -> float:
    quarter = len(life) // _QUARTERS
    return _percent(median(life[quarter : 2 * quarter]), median(life[-quarter:]))


def _percent(before: float, after: float) -> float:
    return (after / before - 1) * 100 if before else 0.0


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _done(log: Path) -> int:
    return log.stat().st_size // NUMBER


async def _produce(url: str, log: Path, tasks: int, tell: Callable[[str], None]) -> None:
    """Keep tasks waiting until all were enqueued, and wait until all ran."""
    enqueued, seen, moved, told = 0, 0, time.monotonic(), 0
    async with soak_app(url) as client:
        while seen < tasks:
            if enqueued < tasks and enqueued - seen < _BACKLOG:
                numbers = range(enqueued, min(enqueued + _CHUNK, tasks))
                await client.aenqueue_many([(_type(number), body.payload(number)) for number in numbers])
                enqueued = numbers.stop
            else:
                await asyncio.sleep(0.05)
            if (done := _done(log)) > seen:
                seen, moved = done, time.monotonic()
            if time.monotonic() - moved > _PATIENCE:
                return
            if seen * 20 // tasks > told:
                told = seen * 20 // tasks
                tell(f"{seen:,} of {tasks:,}")


def _settle(log: Path) -> None:
    """Wait until nothing runs any more, so that what runs twice is seen."""
    before = -1
    while (now := _done(log)) > before:
        before = now
        time.sleep(2)


def _runs(log: Path) -> Counter[int]:
    data = log.read_bytes()
    return Counter(int.from_bytes(data[at : at + NUMBER], "big") for at in range(0, len(data), NUMBER))


def _type(number: int) -> str:
    if number % 1000 == 1:
        return "soak:process"
    match number % 100:
        case 0:
            return "soak:retried"
        case 2 | 12 | 22 | 32 | 42:
            return "soak:thread"
        case _:
            return "soak:loop"


def text(report: Report) -> str:
    """Return the report for people."""
    table: list[tuple[str, ...]] = [("RSS, MiB", "1st quarter", "2nd", "3rd", "4th", "4th by 2nd", "goal")]
    for name, held in (("supervisor", report.supervisor), ("child", report.child), ("server", report.server)):
        goal = "" if name == "server" else f"< {GOAL:+g} %"
        table.append((name, *(f"{quarter:.1f}" for quarter in held.quarters), f"{held.growth:+.1f} %", goal))
    return (
        f"{report.tasks:,} tasks in {report.seconds:,.0f} s ({report.tasks / report.seconds:,.0f}/s), "
        f"{report.lost} lost, {report.doubled} twice, {report.children} children\n\n{rows(table)}\n\n"
        f"within the life of a child: {report.life_growth:+.1f} % (goal: < {GOAL:+g} %)"
    )


def soak_app(url: str) -> App:
    """Return the application."""
    made = App("bench", servers=url, namespace="SOAK", retention=_KEPT)
    made.task("soak:loop")(_on_loop)
    made.task("soak:thread")(_in_thread)
    made.task("soak:process", pool="process")(in_process)
    made.task("soak:retried", retry=1.0)(_retried)
    return made


async def _on_loop(index: int, **rest: Any) -> dict[str, int]:
    del rest
    _note(index)
    return {"index": index}


def _in_thread(index: int, **rest: Any) -> int:
    del rest
    _note(index)
    return index


def in_process(index: int, **rest: Any) -> int:
    """Do in a process what the others do elsewhere."""
    del rest
    _note(index)
    return index


async def _retried(ctx: Context, index: int, **rest: Any) -> int:
    del rest
    if ctx.attempt == 1:
        raise ValueError(index)
    _note(index)
    return index


def _note(number: int) -> None:
    os.write(_log, number.to_bytes(NUMBER, "big"))


if url := os.environ.get("BENCH_URL"):
    _log = os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND)
    app = soak_app(url)
