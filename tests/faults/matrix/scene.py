"""
scene: servers, workers and producers of one scenario, from the first task to the verdict.

A scenario is a coroutine function that gets a :class:`Scene`::

    async def server_killed(scene: Scene) -> None:
        server = scene.serve()                      # or servers of its own, and scene.at(their URL)
        await scene.begin(services=2)               # workers and producers; returns when tasks are being completed
        scene.down("server")                        # noted in the ledger; a fault at one blow is scene.fault("...")
        server.kill()
        await asyncio.sleep(scene.span(5, 60))      # short form, long form
        await asyncio.to_thread(server.run)
        scene.up("server")
        await scene.goes_on()                       # tasks that were enqueued from now on have been completed

When it returns, the load stops, and the scene waits for rest and judges (`ledger`). A worker process that the scenario
kills or freezes for good is named with :meth:`Scene.dies`, else its repeated runs are held against it.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from jetq.app.application import App
from jetq.errors import TaskNotFoundError
from jetq.jetstream.address import Address
from jetq.model.record import TaskRecord
from jetq.wire.ids import new_id
from tests.faults.conftest import ROOT
from tests.faults.matrix import load
from tests.faults.matrix.ledger import PATIENCE, Account, Ledger, Verdict
from tests.faults.service import Service
from tests.integration.watching import eventually
from tests.servers import TestServer

RATE = 40.0
"""Tasks that a producer enqueues in a second."""
KINDS = ("plain", "plain", "thread", "plain", "plain", "retried", "plain", "plain", "thread", "delayed")
FIRST = 20
"""Tasks that are completed before anything is broken."""
_T = TypeVar("_T")
Program = tuple[str, ...]
APP = "tests.faults.matrix.load:app"
WORKER = ("-m", "jetq", "worker", APP, "-c", "20", "--log-format", "json")
SWIFT = ("-m", "tests.faults.supervisor_program")
"""A supervisor that waits less before it replaces children that crash again and again."""
_AT_ONCE = 200
"""Records that are read at one time."""


@dataclass(frozen=True)
class Scenario:
    """
    A row of the matrix.

    Attributes:
        name: Of the test.
        fault: What is broken, for the table.
        words: What that means, how it is done, and what a user sees of it.
        play: Does it.
        often: Whether its short form is in every run; the nightly one is enough where another shows nearly the same.
    """

    name: str
    fault: str
    words: str
    play: "Callable[[Scene], Awaitable[None]]"
    often: bool = True


class Scene:
    """
    Everything that takes part.

    Args:
        folder: An empty folder.
        namespace: Of the tasks.
        long: Whether the long form is wanted.

    Attributes:
        environment: Of all workers and producers; change it before they start.
        services: Workers under their supervisors.
        ledger: Where everything is noted.
    """

    def __init__(self, folder: Path, namespace: str, *, long: bool) -> None:
        self.folder = folder
        self.long = long
        self.ledger = Ledger(folder / "ledger")
        self.services: list[Service] = []
        self.namespace = namespace
        self.environment = os.environ | {"JETQ_NAMESPACE": namespace, load.LEDGER: str(self.ledger.path)}
        self._producers: list[subprocess.Popen[bytes]] = []
        self._stack = contextlib.ExitStack()
        self._own: Address | None = None

    def span(self, short: float, long: float) -> float:
        """Return a number for the form that is played."""
        return long if self.long else short

    # Setting

    def serve(self, extra: str | None = None, *, store: Path | None = None, limits: str = "") -> TestServer:
        """Start a server of the scene's own, where workers and producers go."""
        server = self._stack.enter_context(TestServer.start(extra, store=store, limits=limits))
        self.at(server.url)
        return server

    def at(self, url: str, *, own: Address | None = None) -> None:
        """Say where workers and producers go, and where the scene itself reads records, if that is another way."""
        self.environment["JETQ_NATS_URL"] = url
        self._own = own or Address.of(url)

    def keep(self, closing: contextlib.AbstractContextManager[_T]) -> _T:
        """Enter what is to be left when the scene ends, and return what that gives."""
        return self._stack.enter_context(closing)

    def app(self) -> App:
        """Return an application of the scene's own, without handlers."""
        app = load.new_app()
        app.reconfigure(replace(app.settings, namespace=self.namespace))
        assert self._own is not None
        app.connect_to(self._own)
        return app

    async def hire(
        self, *options: str, processes: int = 2, program: Program = WORKER, more: Mapping[str, str] | None = None
    ) -> Service:
        """Start workers under a supervisor, and wait until they take tasks."""
        size = (str(processes), APP) if program is SWIFT else ("-p", str(processes), *options)
        service = Service((*program, *size), {**self.environment, **(more or {})})
        self.services.append(service)
        await service.ready(processes)
        return service

    def produce(self, *, rate: float = RATE, kinds: tuple[str, ...] = KINDS) -> None:
        """Start a producer."""
        command = [sys.executable, "-m", "tests.faults.matrix.producer", str(rate), *kinds]
        self._producers.append(subprocess.Popen(command, cwd=ROOT, env=self.environment))

    async def begin(self, *, services: int = 2, processes: int = 2) -> None:
        """Start services and a producer, and wait until tasks are being completed."""
        await asyncio.gather(*(self.hire(processes=processes) for _ in range(services)))
        self.produce()
        await self.goes_on()

    async def enqueue(self, app: App, kind: str, payload: object = None, *, count: int = 1) -> None:
        """Enqueue tasks together, beside those of the producers."""
        tasks = [new_id() for _ in range(count)]
        for task in tasks:
            self.ledger.note("offered", task)
        await app.aenqueue_many(app.s(kind, payload, id=task) for task in tasks)
        for task in tasks:
            self.ledger.note("acknowledged", task, 0)

    # What happens

    def fault(self, name: str) -> None:
        """Note that something is broken at one blow."""
        self.ledger.note("fault", name)

    def down(self, name: str) -> None:
        """Note that something is away from now on."""
        self.ledger.note("down", name)

    def up(self, name: str) -> None:
        """Note that it is back."""
        self.ledger.note("up", name)

    def dies(self, pid: int) -> None:
        """Note that a worker process is killed, or frozen until it is given up; its runs may be repeated."""
        self.ledger.note("died", pid)

    def kill(self, pid: int) -> None:
        """Kill a worker process."""
        self.dies(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.fault("kill")

    async def goes_on(self, count: int = FIRST, *, within: float = 60.0) -> None:
        """Wait until so many tasks were completed that were acknowledged after this call."""
        begin = self.ledger.size()

        async def enough() -> bool:
            seen = self.ledger.entries(begin)
            fresh, ended = (
                {entry.fields[0] for entry in seen if entry.word == word} for word in ("acknowledged", "end")
            )
            return len(fresh & ended) >= count

        await eventually(enough, within=within)

    # The end

    async def settle(self) -> Verdict:
        """Stop the load, wait for rest, stop the workers, and judge."""
        statuses = await asyncio.gather(*(asyncio.to_thread(self._dismiss, each) for each in self._producers))
        self._producers.clear()
        records = await self._rest()
        statuses += await asyncio.gather(*(each.stop() for each in self.services if each.process.poll() is None))
        for service in self.services:
            for told in service.events("run lost, its result is dropped"):
                self.ledger.note("lost", told["task_id"])
        verdict = Account(self.ledger.entries(), records).verdict()
        crashed = [f"a process ended with status {status}" for status in statuses if status]
        defects = [
            str(told)
            for service in self.services
            for event in ("delivery left, a defect of jetq", "listener failed")
            for told in service.events(event)
        ]
        return verdict._replace(problems=(*verdict.problems, *crashed, *defects))

    @staticmethod
    def _dismiss(producer: "subprocess.Popen[bytes]") -> int:
        producer.terminate()
        return producer.wait(PATIENCE + 10)

    async def _rest(self) -> dict[str, TaskRecord]:
        """Wait until every acknowledged task is final, or nothing has happened for longer than it may; return all."""
        lines, since = 0, time.monotonic()
        async with self.app() as app:
            while True:
                account = Account(self.ledger.entries(), {})
                open_ones = await _read(app, account.acknowledged.keys() - account.ended.keys())
                if account.lines != lines:
                    lines, since = account.lines, time.monotonic()
                is_stuck = time.monotonic() - since > PATIENCE + 5
                if is_stuck or all(record.is_final for record in open_ones.values()):
                    records = await _read(app, account.offered)
                    settled = (records[task].is_final for task in account.acknowledged if task in records)
                    if is_stuck or all(settled):
                        return records
                await asyncio.sleep(0.2)  # nothing tells of rest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for producer in self._producers:
            producer.kill()
            producer.wait()
        for service in self.services:
            service.kill()
        self._stack.close()
        self.ledger.close()


async def _read(app: App, tasks: Iterable[str]) -> dict[str, TaskRecord]:
    """Return the records of those tasks that exist."""
    found: dict[str, TaskRecord] = {}
    listed = list(tasks)
    for begin in range(0, len(listed), _AT_ONCE):
        some = listed[begin : begin + _AT_ONCE]
        records = await asyncio.gather(*(app.handle(task).arecord() for task in some), return_exceptions=True)
        for task, record in zip(some, records, strict=True):
            if isinstance(record, TaskRecord):
                found[task] = record
            elif not isinstance(record, TaskNotFoundError):
                raise record
    return found
