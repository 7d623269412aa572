"""Schedulers that may be killed, frozen and cut off, a worker that counts what they make, and what is to be there."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from jetq.admin.schedule_keeper import ScheduleKeeper
from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.connection import Connection
from jetq.model.stored_schedule import StoredSchedule
from jetq.model.timetable import Timetable
from jetq.settings import Queue, WorkerSettings
from jetq.wire.names import Names
from jetq.worker.worker import Worker
from tests.faults.blackhole import Blackhole
from tests.servers import TestServer, freeze, until

ROOT = Path(__file__).parents[2]
TTL = 2.0
"""Seconds of a leader's lease in these tests; less than the product's 10, so that there is time for many leaders."""
SLACK = 2.0
"""Seconds beyond the lease that a take-over may take."""


class Said(NamedTuple):
    at: float
    word: str


class Scheduler:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process, way: Blackhole) -> None:
        self.process = process
        self.way = way
        self.said: list[Said] = []
        self._hearing = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said.append(Said(time.monotonic(), line.decode().strip()))

    @property
    def leads(self) -> bool:
        """Whether it said last that it leads, and lives."""
        told = [said.word for said in self.said if said.word in {"leads", "ends"}]
        return self.process.returncode is None and bool(told) and told[-1] == "leads"

    def count(self, word: str) -> int:
        return sum(said.word == word for said in self.said)

    async def until_it_said(self, word: str, times: int = 1) -> None:
        await until(lambda: self.count(word) >= times, 30)

    def freeze(self) -> None:
        freeze(self.process.pid)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
            self.process.kill()
        await self.process.wait()
        await self._hearing


class Stage:
    """
    A server with schedules.

    Attributes:
        runs: How often each task was run.
    """

    def __init__(
        self, server: TestServer, namespace: str, app: App, keeper: ScheduleKeeper, ends: AsyncExitStack
    ) -> None:
        self.server = server
        self.runs: Counter[str] = Counter()
        self.app = app
        self.keeper = keeper
        self.crew: list[Scheduler] = []
        self._namespace = namespace
        self._ends = ends
        self._tables: dict[str, Timetable] = {}

    async def now(self) -> datetime:
        return (await self.app.clients.current()).backend.connection.clock.now()

    async def plan(self, name: str, spec: str, **more: Any) -> None:
        """Store a schedule whose occurrences are accounted for."""
        record = StoredSchedule(
            name=name, schedule=spec, queue="DEFAULT", task_type="tick", created_at=await self.now(), **more
        )
        await self.keeper.add(record)
        self._tables[name] = Timetable.of(record)

    async def hire(self, *, ahead: float = 0.0, point: str = "") -> Scheduler:
        """Start a scheduler, and wait until it is a candidate."""
        way = await self._ends.enter_async_context(Blackhole(self.server.port))
        url = self.server.url.replace(f":{self.server.port}", f":{way.port}")
        words = [url, self._namespace, str(ahead), *([point] if point else [])]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.beat_program", *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        scheduler = Scheduler(process, way)
        self._ends.push_async_callback(scheduler.kill)
        self.crew.append(scheduler)
        await scheduler.until_it_said("ready")
        return scheduler

    async def leader(self, *, other_than: Scheduler | None = None) -> Scheduler:
        """Wait for one that leads."""
        await until(lambda: any(each.leads for each in self.crew if each is not other_than), 30)
        return next(each for each in self.crew if each.leads and each is not other_than)

    def expected(self, since: datetime, last: datetime) -> set[str]:
        """Return the ids of all occurrences of a stretch of time, both ends included."""
        found: set[str] = set()
        for table in self._tables.values():
            planned = table.after(since - timedelta(microseconds=1))
            while planned is not None and planned <= last:
                found.add(table.occurrence(planned).id)
                planned = table.after(planned)
        return found

    async def settle(self, since: datetime, *, more: float = 0.0) -> set[str]:
        """Wait until all that is due from *since* until now, or some seconds more, has run; return what that is."""
        expected = self.expected(since, await self.now() + timedelta(seconds=more))
        await until(lambda: expected <= self.runs.keys(), 30)
        return expected

    async def check_runs(self) -> None:
        """Find nothing that ran twice, and nothing that was not planned."""
        assert {task: count for task, count in self.runs.items() if count != 1} == {}
        now = await self.now()
        assert self.runs.keys() <= self.expected(now - timedelta(hours=1), now + timedelta(seconds=1))


async def make_elections(connection: Connection, names: Names, ttl: float) -> None:
    """Make the bucket of elections with another lease."""
    stream = names.bucket_stream(names.elections)
    config = {
        "name": stream,
        "subjects": [names.bucket_subject(names.elections)],
        "max_msgs_per_subject": 1,
        "discard": "new",
        "max_age": round(ttl * 1e9),
        "duplicate_window": round(ttl * 1e9),
        "allow_rollup_hdrs": True,
        "deny_delete": True,
    }
    await connection.api(f"STREAM.CREATE.{stream}", config)


@asynccontextmanager
async def staged(
    server: TestServer, namespace: str, *, ttl: float = TTL, entries: int | None = None
) -> AsyncIterator[Stage]:
    """Give a stage, whose worker runs until the end, unless the queue is to be so small that it must be full."""
    async with AsyncExitStack() as ends:
        async with await Connection.open(server.address, name="stage") as connection:
            await make_elections(connection, Names(namespace), ttl)
        app = App("stage", namespace=namespace, queues=[Queue("DEFAULT", max_entries=entries)])
        app.connect_to(server.address)
        ends.push_async_callback(app.aclose)
        stage = Stage(server, namespace, app, ScheduleKeeper((await app.clients.current()).backend), ends)

        @app.task("tick")
        async def tick(ctx: Context) -> None:
            stage.runs[ctx.task_id] += 1

        if entries is None:
            await ends.enter_async_context(Worker(app, settings=WorkerSettings(janitor=False)))
        yield stage
