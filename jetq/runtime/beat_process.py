"""
beat_process: a scheduler as a process of its own, from its settings to its exit.
"""

import asyncio

from jetq.app.application import App
from jetq.beat.beat import Beat
from jetq.observe.logs import EventLog, Log
from jetq.runtime.health_pages import serve_numbers_and_health
from jetq.runtime.measuring import measured_scheduler
from jetq.runtime.stopping import obeying
from jetq.runtime.worker_process import Place, UvloopChoice, log_address, loop_factory


def run_beat(
    app: App,
    *,
    deploys: bool,
    place: Place,
    uvloop: UvloopChoice = "auto",
    metrics: tuple[str, int] | None = None,
    health: tuple[str, int] | None = None,
) -> None:
    """
    Run a scheduler, which is a candidate for the janitor too, until TERM or INT. In the main thread.

    Args:
        app: Whose server and namespace it is.
        deploys: Store what the application declares, at the beginning.
        place: Which server and namespace.
        uvloop: ``auto`` uses it where it is installed.
        metrics: Host and port where Prometheus may read them.
        health: Host and port where this scheduler says how it is (`runtime.health_pages`), with its metrics.

    Raises:
        ListenError: Nobody can listen there.
        ServerError: No connection, or the streams are not as they must be.
        ConfigurationError: Something cannot be used.
    """
    place.settle(app)
    log = Log("jetq.runtime")
    forget = app.bus.listen(EventLog("jetq.beat"))
    try:
        log_address(log, app)
        beat = Beat(app, deploys=deploys, janitor=True)
        with (
            serve_numbers_and_health(metrics, health, beat.health, log, measured_scheduler(app, beat)),
            asyncio.Runner(loop_factory=loop_factory(uvloop)) as runner,
        ):
            runner.run(_beat(beat, log))
    finally:
        forget()


async def _beat(beat: Beat, log: Log) -> None:
    stop = asyncio.Event()
    with obeying(log, stop.set):
        async with beat:
            await stop.wait()
