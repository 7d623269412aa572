"""
budget: how many calls a task costs, beside what is recorded: a measure of work that no machine's speed disturbs.

One process enqueues tasks and works on them, with a real server. Counted are the calls of jetq's own functions and the
calls that these make into C; a coroutine that goes on after it waited counts as called again, and so do those that wait
for it. What the event loop and nats-py do is not counted, since that depends on how many messages come at a time.

``--record`` writes what was counted into ``budget.json``; do so in the commit that spends more, or less, and say why.
Counts differ between versions of Python, so the record names the one that it is for.
"""

import argparse
import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import msgspec
from msgspec import Struct

import jetq
from bench import body, side, work
from jetq import App, EmbeddedServer, Worker, WorkerSettings
from jetq.model.events import TaskStateChanged
from jetq.model.state import State

QUICK: Final = {"tasks": 200}
RECORDED: Final = Path(__file__).with_name("budget.json")
TOLERANCE: Final = 0.03
"""By what part a path may exceed its record."""
_PACKAGE: Final = str(Path(jetq.__file__).parent)
_SINGLES: Final = 200
_SLOTS: Final = 50
_TELLING: Final = 0.1
"""Calls a task by which a function must differ to be named."""
_SHOWN: Final = 25


class Cost(Struct):
    """
    What a task costs on one path.

    Attributes:
        calls: All.
        functions: By function, those of C under the function that calls them.
    """

    calls: float
    functions: dict[str, float]


class Budget(Struct):
    """What is recorded."""

    python: str
    paths: dict[str, Cost]


class Report(Struct):
    """What was counted, and what is recorded for this Python, if anything."""

    counted: Budget
    recorded: Budget | None
    tasks: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=2_000, help="tasks of each path")
    parser.add_argument("--record", action="store_true", help="write what was counted into budget.json")


def measure(given: argparse.Namespace) -> Report:
    """Count."""
    counted = count(given.tasks)
    if given.record:
        RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(counted, order="sorted")) + b"\n")
    return Report(counted, recorded(), given.tasks)


def recorded() -> Budget | None:
    """Return the record for this Python."""
    if not RECORDED.exists():
        return None
    budget = msgspec.json.decode(RECORDED.read_bytes(), type=Budget)
    return budget if budget.python == _python() else None


def count(tasks: int) -> Budget:
    """Return what the paths cost."""
    with EmbeddedServer.start() as server:
        return Budget(_python(), asyncio.run(_count(server.url, tasks)))


async def _count(url: str, tasks: int) -> dict[str, Cost]:
    paths: dict[str, Cost] = {}
    await side.make_streams(url, side.JETQ_NAMESPACE)
    async with side.jetq_app(url) as app:
        await app.aenqueue_many(_entries(work.WARM_UP))
        with _counted(paths, "enqueue_many", tasks):
            await app.aenqueue_many(_entries(tasks))
        with _counted(paths, "enqueue", _SINGLES):
            for _, payload in _entries(_SINGLES):
                await app.aenqueue(work.TASK_TYPE, payload)
        await _work(app, paths, tasks)
    return paths


async def _work(app: App, paths: dict[str, Cost], tasks: int) -> None:
    """Count a worker's path, from the end of the tasks that warm up to the end of as many as are counted."""
    ended, loop = 0, asyncio.get_running_loop()
    warm, done = loop.create_future(), loop.create_future()

    def on_change(event: TaskStateChanged) -> None:
        nonlocal ended
        if event.state is State.COMPLETE:
            ended += 1
            if ended == work.WARM_UP:
                warm.set_result(None)
                begin.__enter__()
            elif ended == work.WARM_UP + tasks:
                begin.__exit__(None, None, None)
                done.set_result(None)

    begin = _counted(paths, "work", tasks)
    app.bus.listen_to(TaskStateChanged, on_change)
    async with Worker(app, settings=WorkerSettings(concurrency=_SLOTS, janitor=False)):
        await warm
        await done


def _entries(count: int) -> list[tuple[str, Any]]:
    return [(work.TASK_TYPE, body.payload(index)) for index in range(count)]


@contextmanager
def _counted(paths: dict[str, Cost], name: str, tasks: int) -> Generator[None, None, None]:
    """Count what happens meanwhile in this thread."""
    calls: Counter[tuple[CodeType, str]] = Counter()
    names: dict[CodeType, str] = {}

    def on_event(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event in {"call", "c_call"} and code.co_filename.startswith(_PACKAGE):
            names.setdefault(code, f"{code.co_filename[len(_PACKAGE) + 1 :]}:{code.co_qualname}")
            calls[code, argument.__name__ if event == "c_call" else ""] += 1

    gc.collect()
    gc.disable()
    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(None)
        gc.enable()
    functions: Counter[str] = Counter()
    for (code, called), times in calls.items():
        functions[f"{names[code]} > {called}" if called else names[code]] += times
    told = {function: round(times / tasks, 3) for function, times in functions.most_common() if times >= tasks / 100}
    paths[name] = Cost(round(sum(functions.values()) / tasks, 2), told)


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def text(report: Report) -> str:
    """Return the counts beside the record, and where a path that exceeds it does so."""
    lines = [f"calls a task, of {report.tasks:,} tasks, Python {report.counted.python}"]
    for name, counted in report.counted.paths.items():
        before = report.recorded.paths.get(name) if report.recorded else None
        if before is None:
            lines.append(f"  {name:14}{counted.calls:8.1f}  nothing is recorded for this Python")
            continue
        lines.append(
            f"  {name:14}{counted.calls:8.1f}  recorded {before.calls:.1f} ({counted.calls / before.calls - 1:+.1%})"
        )
    return "\n".join([*lines, *over(report)])


def over(report: Report) -> list[str]:
    """Return what to say of paths that exceed their record; nothing if none does."""
    lines: list[str] = []
    for name, counted in report.counted.paths.items():
        before = report.recorded.paths.get(name) if report.recorded else None
        if before is not None and counted.calls > before.calls * (1 + TOLERANCE):
            lines.append(
                f"{name}: {counted.calls:.1f} calls a task are more than {TOLERANCE:.0%} above the recorded"
                f" {before.calls:.1f}; what differs most:"
            )
            lines += _differences(before.functions, counted.functions)
    return lines


def _differences(before: dict[str, float], now: dict[str, float]) -> list[str]:
    differs = {name: now.get(name, 0.0) - before.get(name, 0.0) for name in before.keys() | now.keys()}
    telling = sorted(
        (name for name, change in differs.items() if abs(change) >= _TELLING), key=lambda name: -abs(differs[name])
    )
    return [
        f"  {differs[name]:+8.2f}  ({before.get(name, 0.0):.2f} -> {now.get(name, 0.0):.2f})  {name}"
        for name in telling[:_SHOWN]
    ]
