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

import msgspec
from msgspec import Struct

from bench import work
from bench.figures import Percentiles, percentiles
from bench.idle import cpu_seconds, rss_mib
from jetq import App, EmbeddedServer
from jetq.jetstream.backend import Backend
from jetq.jetstream.message import Incoming
from jetq.jetstream.publisher import Publication, expecting
from jetq.model.stored_schedule import StoredSchedule
from jetq.wire.schedules import new_schedule_document

START_GOAL = 5.0
CPU_GOAL = 5.0
LATE_GOAL = 0.5
_BEFORE = 8
"""Seconds between the end of the idle time and the second in which many are due."""


class Report(Struct):
    """
    What a scheduler takes.

    Attributes:
        schedules: How many are stored.
        start: Seconds from the start of its process until it leads and knows all of them.
        cpu_percent: Of one core, while nothing is due.
        rss_mib: Memory that is in use then, in MiB.
        due: How many are due in one second.
        late: Seconds, over these.
    """

    schedules: int
    start: float
    cpu_percent: float
    rss_mib: float
    due: int
    late: Percentiles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--schedules", type=int, default=10_000, help="how many are stored")
    parser.add_argument("--due", type=int, default=1_000, help="how many of them are due in one second")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to watch it while nothing is due")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    report = asyncio.run(measure(given.schedules, given.due, given.seconds))
    if given.json:
        print(msgspec.json.format(work.encode(report)).decode())
        return
    late = report.late
    print(f"start with {report.schedules:,} schedules: {report.start:.2f} s (goal: under {START_GOAL:g} s)")
    print(f"CPU while nothing is due: {report.cpu_percent:.2f} % of a core (goal: under {CPU_GOAL:g} %)")
    print(f"RSS {report.rss_mib:.1f} MiB")
    print(
        f"{report.due:,} due in one second: late p50 {late.p50:.3f} s, p99 {late.p99:.3f} s "
        f"(goal: p99 under {LATE_GOAL:g} s)"
    )


async def measure(schedules: int, due: int, seconds: float) -> Report:
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


async def _watch(
    backend: Backend, process: "subprocess.Popen[str]", schedules: int, due: int, seconds: float
) -> Report:
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
    return Report(schedules, start, cpu, memory, due, percentiles(late))


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
