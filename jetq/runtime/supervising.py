"""
supervising: ``jetq worker --processes N``: a supervisor, with what stands beside it.

That is the embedded server, the page with the metrics of all children, the pid file, systemd, and who watches files.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jetq.jetstream.server import EmbeddedServer
from jetq.model.quantity import seconds
from jetq.observe.bus import Bus
from jetq.observe.exposition import serve_metrics
from jetq.observe.logs import EventLog, Log
from jetq.observe.metrics import SupervisorMetrics
from jetq.observe.summing import Sum, new_registry
from jetq.runtime.file_watch import watch
from jetq.runtime.health_pages import ChildrenReport, serve_health
from jetq.runtime.worker_process import ANNOUNCEMENT, Place, stop_with
from jetq.settings import SupervisorSettings, WorkerSettings
from jetq.supervisor.child import Child, Command
from jetq.supervisor.meter import Meter
from jetq.supervisor.notifying import Notifier
from jetq.supervisor.pidfile import pidfile
from jetq.supervisor.supervisor import Supervisor

_SPARE: Final = 16
"""Runs beyond the slots that may be in flight for a moment."""
_SHOWN: Final = 3


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """
    What stands beside a supervisor.

    Attributes:
        place: Which server; only an embedded one concerns the supervisor.
        metrics: Host and port where Prometheus may read those of all children; None serves and counts nothing.
        health: Host and port where the supervisor says how it and its children are; None says it nowhere.
        pid_file: Holds the number of this process, and lets no second one run.
        watched: A folder; when a Python file in it changes, a rolling restart begins.
        parent_pipe: A file descriptor that another process keeps open as long as it lives; its end stops this one.
    """

    place: Place
    metrics: tuple[str, int] | None = None
    health: tuple[str, int] | None = None
    pid_file: Path | None = None
    watched: Path | None = None
    parent_pipe: int | None = None


def run_supervisor(
    command: Command,
    settings: SupervisorSettings,
    worker: WorkerSettings,
    surroundings: Surroundings,
    *,
    log_lock: int,
) -> int:
    """
    Keep worker processes alive until TERM or INT, or in burst mode until they end. In the main thread.

    Args:
        command: Returns the command of a child, given what it inherits (`runtime.supervised`).
        settings: How many children, and when they are replaced.
        worker: Of each child.
        surroundings: What stands beside.
        log_lock: From :func:`new_log_lock`.

    Returns:
        The exit status: 0 after an end in order, that of the first child if it never worked, else 1.

    Raises:
        AlreadyRunningError: Another process holds the pid file.
        ListenError: Nobody can listen there.
        ServerError: The embedded server does not start.
    """
    log, bus, report = Log("jetq.supervisor"), Bus(), ChildrenReport()
    bus.listen(EventLog("jetq.supervisor"))
    with (
        pidfile(surroundings.pid_file),
        _measured(surroundings, bus, log, report) as meter,
        _server(surroundings.place, log),
    ):
        supervisor = Supervisor(
            lambda place: Child(command, place, worker.concurrency * 2 + _SPARE, log_lock),
            settings,
            patience=seconds("shutdown_timeout", worker.shutdown_timeout),
            burst=worker.burst,
            bus=bus,
            meter=meter,
            notifier=Notifier(),
        )
        report.watch(supervisor)
        log.info("supervisor started", processes=settings.processes, pid=os.getpid())
        if surroundings.parent_pipe is not None:
            stop_with(surroundings.parent_pipe)
        with _watching(surroundings.watched, supervisor.restart, log):
            status = supervisor.run()
    log.info("supervisor stopped", status=status)
    return status


def new_log_lock() -> int:
    """Return a file without a name, which whoever writes to the log locks."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextlib.contextmanager
def _measured(around: Surroundings, bus: Bus, log: Log, report: ChildrenReport) -> Generator[Meter | None, None, None]:
    """Serve the sum of the children's metrics, what the supervisor counts, and how they are."""
    if around.metrics is None and around.health is None:
        yield None
        return
    registry, total = new_registry(), Sum()
    meter = Meter(total)
    bus.listen(SupervisorMetrics(registry))
    registry.register(total)
    with contextlib.ExitStack() as pages:
        if around.metrics is not None:
            log.info("metrics served", url=pages.enter_context(serve_metrics(*around.metrics, registry)))
        pages.enter_context(serve_health(around.health, report, log, registry=registry))
        yield meter


@contextlib.contextmanager
def _server(place: Place, log: Log) -> Generator[None, None, None]:
    """Run the embedded server, if there is to be one; children find it by its announcement."""
    if not place.embedded:
        yield
        return
    with EmbeddedServer.start(store=place.store, announce=ANNOUNCEMENT) as server:
        log.info("server started", pid=server.pid, store=str(server.store or ""), announced=str(ANNOUNCEMENT))
        yield


@contextlib.contextmanager
def _watching(folder: Path | None, restart: Callable[[], None], log: Log) -> Generator[None, None, None]:
    """Begin a rolling restart whenever a Python file changes."""
    if folder is None:
        yield
        return
    unwatched = threading.Event()

    def on_change(paths: list[Path]) -> None:
        log.info("code changed", files=", ".join(path.name for path in paths[:_SHOWN]))
        restart()

    threading.Thread(target=watch, args=(folder, on_change, unwatched), name="jetq-watch", daemon=True).start()
    try:
        yield
    finally:
        unwatched.set()
