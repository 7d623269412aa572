"""
responder_process: a server of remote handlers as a process of its own, from its settings to its exit.
"""

import asyncio
import contextlib
from collections.abc import Generator, Sequence

from jetq.app.application import App
from jetq.observe.answering_metrics import AnsweringMetrics
from jetq.observe.logs import EventLog, Log
from jetq.observe.metrics import Metrics
from jetq.runtime.health_pages import serve_numbers_and_health
from jetq.runtime.stopping import obeying
from jetq.runtime.worker_process import Place, UvloopChoice, log_address, loop_factory
from jetq.settings import WorkerSettings
from jetq.wire.version import version
from jetq.worker.responder import Responder


def run_responder(
    app: App,
    *,
    settings: WorkerSettings | None = None,
    place: Place | None = None,
    group: str | None = None,
    endpoints: Sequence[str] = (),
    uvloop: UvloopChoice = "auto",
    metrics: tuple[str, int] | None = None,
    health: tuple[str, int] | None = None,
) -> None:
    """
    Answer the requests of workers elsewhere until TERM or INT. In the main thread.

    Args:
        app: Whose handlers answer.
        settings: Slots, threads, processes, shutdown.
        place: Which server and namespace.
        group: Of the servers that share the requests; None is named after the application.
        endpoints: What to be called by; none leaves it to the handlers.
        uvloop: ``auto`` uses it where it is installed.
        metrics: Host and port where Prometheus may read them.
        health: Host and port where this server says how it is (`runtime.health_pages`), with its metrics.

    Raises:
        ListenError: Nobody can listen there.
        ServerError: No connection, or it may not listen where it must.
        ConfigurationError: Something cannot be used.
    """
    (place or Place()).settle(app)
    log = Log("jetq.runtime")
    forget = app.bus.listen(EventLog("jetq.responder"))
    try:
        log_address(log, app)
        responder = Responder(app, settings=settings, version=version(), group=group, endpoints=endpoints)
        with (
            serve_numbers_and_health(metrics, health, responder.health, log, _measured(app, responder)),
            asyncio.Runner(loop_factory=loop_factory(uvloop)) as runner,
        ):
            runner.run(_answer(responder, log))
    finally:
        forget()


@contextlib.contextmanager
def _measured(app: App, responder: Responder) -> Generator[None, None, None]:
    """Count what it does, in the default registry."""
    answering = AnsweringMetrics(running=lambda: responder.running, waiting=lambda: responder.waiting)
    with contextlib.ExitStack() as listening:
        for metrics in (answering, Metrics()):
            listening.callback(metrics.forget)
            listening.callback(app.bus.listen(metrics))
        yield


async def _answer(responder: Responder, log: Log) -> None:
    """Answer until a signal says otherwise."""
    with obeying(log, responder.stop, responder.cancel):
        await responder.run()
