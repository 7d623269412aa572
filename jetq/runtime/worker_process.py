"""
worker_process: a worker as a process of its own, from its settings to its exit.

It connects, works until TERM or INT or, in burst mode, until the queues are empty, and stops in order. With an embedded
server, that starts before and ends after everything else.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from jetq.app.application import App
from jetq.beat.beat import Beat
from jetq.errors import InvalidSettingError
from jetq.jetstream.address import Address, find_address
from jetq.jetstream.server import EmbeddedServer
from jetq.observe.exposition import serve_metrics
from jetq.observe.logs import EventLog, Log
from jetq.observe.metrics import Metrics
from jetq.runtime.collecting import calm_collector
from jetq.runtime.health_pages import serve_health
from jetq.runtime.measuring import measured_scheduler
from jetq.runtime.stopping import obeying
from jetq.settings import STATE_FOLDER, ConnectionSettings, WorkerSettings
from jetq.wire.version import version
from jetq.worker.queue_choice import Queues
from jetq.worker.supervision import Supervision
from jetq.worker.worker import Worker

UvloopChoice = Literal["auto", "on", "off"]

ANNOUNCEMENT: Final = Path(STATE_FOLDER) / "server.json"
"""Where an embedded server leaves its address for other programs of the same folder."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """
    Which server and namespace, as the command line says; None leaves the application's word.

    Attributes:
        servers, context: As in `settings.ConnectionSettings`.
        namespace: Prefix of all streams.
        embedded: Run a server in this process's care; the rest of the above but the namespace is absent then.
        store: Folder of the embedded server's data; None is a temporary one.
        announced: Use the server that another process announced in this folder, whatever the application says.
    """

    servers: str | None = None
    context: str | None = None
    namespace: str | None = None
    embedded: bool = False
    store: Path | None = None
    announced: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.embedded and (self.servers is not None or self.context is not None):
            raise InvalidSettingError("embedded", value=True, wanted="off when servers or a context are given")
        if self.store is not None and not self.embedded:
            raise InvalidSettingError("store", str(self.store), "absent without embedded: it is that server's folder")

    def settle(self, app: App) -> None:
        """Let the application work in this place; an embedded server is the caller's to start."""
        settings = app.settings.with_connection(servers=self.servers, context=self.context)
        if self.namespace is not None:
            settings = replace(settings, namespace=self.namespace)
        if settings != app.settings:
            app.reconfigure(settings)
        if self.announced:
            app.connect_to(announced_address())

    @contextlib.contextmanager
    def server(self, app: App) -> Generator[EmbeddedServer | None, None, None]:
        """Run the embedded server, if there is to be one."""
        if not self.embedded:
            yield None
            return
        with EmbeddedServer.start(store=self.store, announce=ANNOUNCEMENT) as server:
            app.connect_to(server.address)
            yield server


def announced_address() -> Address:
    """Return the address that an embedded server announced in this folder."""
    return find_address(ConnectionSettings(), environ={}, use_selected=False)


def run_worker(
    app: App,
    *,
    queues: Queues = (),
    settings: WorkerSettings | None = None,
    place: Place | None = None,
    uvloop: UvloopChoice = "auto",
    parent_pipe: int | None = None,
    metrics: tuple[str, int] | None = None,
    health: tuple[str, int] | None = None,
    supervision: Supervision | None = None,
    beat: bool = False,
) -> None:
    """
    Run a worker until TERM or INT, or in burst mode until the queues are empty. In the main thread.

    Args:
        app: Whose tasks to run.
        queues: Which queues to serve, or their weights; none means all that the application knows.
        settings: Slots, threads, shutdown, burst.
        place: Which server and namespace.
        uvloop: ``auto`` uses it where it is installed.
        parent_pipe: A file descriptor that another process keeps open as long as it lives; its end stops the worker.
        metrics: Host and port where Prometheus may read them; None serves and counts nothing.
        health: Host and port where this worker says how it is (`runtime.health_pages`); None says it nowhere.
        supervision: The supervisor of this process, if there is one; it serves the metrics and the health.
        beat: Be a candidate for the lead of the schedules as well.

    Raises:
        ListenError: Nobody can listen there.
        ServerError: No connection, or the streams are not as they must be.
        ConfigurationError: Something cannot be used.
    """
    place = place or Place()
    place.settle(app)
    log = Log("jetq.runtime")
    forget = app.bus.listen(EventLog())
    try:
        is_child = supervision is not None
        with _measured(app, metrics, health, log, is_child=is_child) as measured, place.server(app) as server:
            if server is not None:
                log.info("server started", pid=server.pid, store=str(server.store or ""), announced=str(ANNOUNCEMENT))
            log_address(log, app)
            worker = Worker(app, queues=queues, settings=settings, version=f"jetq {version()}", supervision=supervision)
            scheduler = Beat(app) if beat else None
            if measured is not None:
                measured.watch(lambda: worker.running)
            if parent_pipe is not None:
                stop_with(parent_pipe)
            with (
                contextlib.ExitStack() as pages,
                calm_collector(app.bus),
                serve_health(None if is_child else health, worker.condition.health, log),
                asyncio.Runner(loop_factory=loop_factory(uvloop)) as runner,
            ):
                if scheduler is not None and measured is not None:
                    pages.enter_context(measured_scheduler(app, scheduler))
                runner.run(_work(worker, log, scheduler, is_child=is_child))
    finally:
        forget()


@contextlib.contextmanager
def _measured(
    app: App, address: tuple[str, int] | None, health: tuple[str, int] | None, log: Log, *, is_child: bool
) -> Generator[Metrics | None, None, None]:
    """Count what happens, and serve the numbers, if they are asked for; a child's are served by its supervisor."""
    if address is None and health is None:
        yield None
        return
    metrics = Metrics()
    forget = app.bus.listen(metrics)
    try:
        if is_child or address is None:
            yield metrics
        else:
            with serve_metrics(*address) as url:
                log.info("metrics served", url=url)
                yield metrics
    finally:
        forget()
        metrics.forget()


def log_address(log: Log, app: App) -> None:
    """Say where it connects, and who said so."""
    address = app.address()
    servers = ",".join(map(str, address.servers))
    log.info("connecting", server=servers, source=address.source, namespace=app.settings.namespace)


async def _work(worker: Worker, log: Log, beat: Beat | None, *, is_child: bool) -> None:
    """
    Work until a signal says otherwise.

    A child hears from its supervisor when it is to stop at once. A second signal is none of that: whoever signals a
    whole group of processes reaches it beside the supervisor.
    """
    with obeying(log, worker.stop, None if is_child else worker.cancel):
        async with contextlib.AsyncExitStack() as beside:
            if beat is not None:
                worker.condition.scheduler = beat.health
                await beside.enter_async_context(beat)
            await worker.run()


def loop_factory(choice: UvloopChoice) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """
    Return what makes the event loop; None is asyncio's own.

    Raises:
        InvalidSettingError: uvloop is wanted and not installed.
    """
    if choice == "off":
        return None
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        if choice == "on":
            raise InvalidSettingError("uvloop", choice, "off: it is not installed (pip install uvloop)") from None
        return None
    factory: Any = uvloop.new_event_loop
    return factory  # type: ignore[no-any-return]  # uvloop's stubs are partial


def stop_with(parent_pipe: int) -> None:
    """Stop this process in order when the one that holds the other end of the pipe is gone."""

    def wait() -> None:
        os.read(parent_pipe, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="jetq-parent", daemon=True).start()
