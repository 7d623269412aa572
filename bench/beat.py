"""
beat: a scheduler with many schedules.

How long it takes to begin, what it costs while nothing is due, and how late it is when very many are due in one second.
It is ``jetq beat`` on a server of its own. Lateness is counted from the second at which a task was due until its item
is heard on its way to the queue, by another program.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta

from bench.figures import percentiles
from bench.processes import cpu_seconds, rss_mib
from bench.sheet import Goal, Sheet
from jetq import App, EmbeddedServer
from jetq.jetstream.backend import Backend
from jetq.jetstream.message import Incoming
from jetq.jetstream.publisher import Publication, expecting
from jetq.model.stored_schedule import StoredSchedule
from jetq.wire.schedules import new_schedule_document

START_GOAL = 5.0
CPU_GOAL = 5.0
LATE_GOAL = 0.5
QUICK = {"schedules": 40, "due": 20, "seconds": 0.5}
_FIGURE = "figure"
_BEFORE = 8
"""Seconds between the end of the idle time and the second in which many are due."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--schedules", type=int, default=10_000, help="how many are stored")
    parser.add_argument("--due", type=int, default=1_000, help="how many of them are due in one second")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to watch it while nothing is due")


def measure(given: argparse.Namespace) -> Sheet:
    """Watch a scheduler."""
    return asyncio.run(_measure(given.schedules, given.due, given.seconds))


async def _measure(schedules: int, due: int, seconds: float) -> Sheet:
    """Watch a scheduler."""
    with EmbeddedServer.start() as server:
        app = App("bench", servers=server.url)
        async with app:
            backend = (await app.clients.current()).backend
            await _store(backend, schedules - due)
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - jetq itself, before anything is measured
                [sys.executable, "-m", "jetq", "beat", "--servers", server.url, "--health", "127.0.0.1:0"],
                env=os.environ,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                return await asyncio.wait_for(_watch(backend, process, schedules, due, seconds), 120)
            finally:
                process.terminate()
                process.wait()


async def _watch(backend: Backend, process: "subprocess.Popen[str]", schedules: int, due: int, seconds: float) -> Sheet:
    began = time.monotonic()
    url = await asyncio.to_thread(_url, process)
    while await asyncio.to_thread(_known, url) < schedules - due:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.05)
    start = time.monotonic() - began
    late: list[float] = []
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=round(seconds) + _BEFORE)
    await _store(backend, due, at)
    await asyncio.sleep(1.0)
    used = cpu_seconds(process.pid)
    await asyncio.sleep(seconds)
    cpu = (cpu_seconds(process.pid) - used) / seconds * 100
    memory = rss_mib(process.pid)

    def hear(message: Incoming) -> None:
        if message.subject.rpartition(".")[2].startswith("crowd-"):
            late.append((datetime.now(UTC) - at).total_seconds())

    await backend.connection.subscribe(backend.names.items_subject("DEFAULT"), hear)
    while len(late) < due:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.05)
    told = percentiles(late)
    conditions = f"{schedules:,} schedules, {due:,} of them due in one second"
    sheet = Sheet(bench="beat", about="scheduler", conditions=conditions, columns=[_FIGURE])
    for label, value, bound in (
        ("from its start until it knows all, s", start, START_GOAL),
        ("CPU while nothing is due, % of a core", cpu, CPU_GOAL),
        ("RSS, MiB", memory, None),
        ("late, p50, s", told.p50, None),
        ("late, p99, s", told.p99, LATE_GOAL),
    ):
        sheet.put(label, {_FIGURE: value})
        if bound is not None:
            sheet.goals.append(Goal(label, bound, at_least=False, reached=[value]))
    return sheet


async def _store(backend: Backend, count: int, at: datetime | None = None) -> None:
    """Store schedules: once a day at any minute but the next ones, or all of them at one second."""
    now = datetime.now(UTC)
    publications: list[Publication] = []
    for number in range(count):
        name, spec = f"crowd-{number}", "" if at is None else f"{at:%-S %-M %-H} * * *"
        if at is None:
            other = now + timedelta(minutes=10 + number % 1400)
            name, spec = f"daily-{number}", f"{other:%-M %-H} * * *"
        record = StoredSchedule(name=name, schedule=spec, queue="DEFAULT", task_type="noop", created_at=now)
        data = new_schedule_document(record).encode()
        publications.append(Publication(backend.names.stored_schedule(name), data, expecting(0)))
    for answer in await backend.publisher.publish_many(publications, timeout=30):
        if not isinstance(answer, int):
            raise answer


def _url(process: "subprocess.Popen[str]") -> str:
    for line in process.stderr or ():
        if found := re.search(r"http://[\w.:]+", line):
            return found[0]
    raise RuntimeError("the scheduler did not begin")


def _known(url: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - our own page
        found = re.search(r"^jetq_schedules (\d+)", answer.read().decode(), re.MULTILINE)
    return int(found[1]) if found else 0
