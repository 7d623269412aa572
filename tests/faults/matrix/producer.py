"""
A producer of the fault suite: ``python -m tests.faults.matrix.producer RATE KIND...``.

It enqueues RATE tasks a second, of all KINDs in turn (``delayed`` is a plain one that is due a little later), and notes
in the ledger what it is about to enqueue and what became of that. It goes on after every error, until TERM.
"""

import asyncio
import contextlib
import itertools
import signal
import sys
from collections.abc import Iterator

from jetq.app.application import App
from jetq.errors import JetqError
from jetq.wire.ids import new_id
from tests.faults.matrix.load import ledger, new_app

ABREAST = 4
"""Enqueues at one time, so that one that waits for its server does not keep the others."""
DELAY = 0.5


async def produce(app: App, kinds: Iterator[str], pause: float, stop: asyncio.Event) -> None:
    """Enqueue until told to stop."""
    while not stop.is_set():
        kind, task = next(kinds), new_id()
        ledger.note("offered", task)
        delay = DELAY if kind == "delayed" else 0.0
        try:
            await app.aenqueue("plain" if kind == "delayed" else kind, id=task, delay=delay or None)
        except JetqError as error:
            ledger.note("refused", task, type(error).__name__)
        else:
            ledger.note("acknowledged", task, delay)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


async def main(rate: float, kinds: list[str]) -> None:
    """Enqueue until TERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    turns = itertools.cycle(kinds)
    async with new_app() as app, asyncio.TaskGroup() as group:
        for _ in range(ABREAST):
            group.create_task(produce(app, turns, ABREAST / rate, stop))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2:]))
