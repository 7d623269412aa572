"""
A scheduler process for fault tests: ``python -m tests.faults.beat_program URL NAMESPACE [AHEAD [POINT]]``.

It says ``ready``, ``leads`` and ``ends`` (leads no more), ``distrusts`` its clock, and steps down on TERM. Its clock is
AHEAD seconds ahead of everybody else's; it dies when it passes POINT, the name of a fault point.
"""

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta

import time_machine

from jetq.app.application import App
from jetq.beat.beat import COMPONENT, Beat
from jetq.jetstream.address import Address
from jetq.model.events import Event, LeaderElected, LeadershipEnded
from jetq.model.scheduling import ClockDistrusted
from tests.faults.unique_program import arm_death


def say(word: str) -> None:
    print(word, flush=True)  # noqa: T201 - the test reads it


def tell(event: Event) -> None:
    """Say what counts."""
    match event:
        case LeaderElected() if event.component == COMPONENT:
            say("leads")
        case LeadershipEnded() if event.component == COMPONENT:
            say("ends")
        case ClockDistrusted() if event.ahead:
            say("distrusts")
        case _:
            pass


async def main(url: str, namespace: str, point: str = "") -> None:
    """Be a scheduler until TERM."""
    app, stop = App("beats", namespace=namespace), asyncio.Event()
    app.connect_to(Address.of(url))
    app.bus.listen(tell)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if point:
        arm_death(point)
    async with Beat(app, deploys=False):
        say("ready")
        await stop.wait()


if __name__ == "__main__":
    target, space, *more = sys.argv[1:]
    ahead = timedelta(seconds=float(more[0])) if more else timedelta(0)
    if ahead:
        with time_machine.travel(datetime.now(UTC) + ahead, tick=True):
            asyncio.run(main(target, space, *more[1:]))
    else:
        asyncio.run(main(target, space, *more[1:]))
