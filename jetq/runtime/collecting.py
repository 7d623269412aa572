"""
collecting: Python's garbage collector, at the pace of a worker.

What a task needs lives for milliseconds and is freed by reference counts; only what refers to itself in a circle needs
the collector. But it looks after every few hundred objects that were made and not freed yet, and what hundreds of tasks
under way have in their hands is far more: so it walks through living objects again and again, which took a sixth of a
worker's processor time. Here it looks a tenth as often, and not at all at what is there when the worker begins:
modules, functions, classes, which no pass ever frees, and whose walk would stop the loop of a large application.

The price: a circle lives until some ten thousand objects more were made, in place of some hundred.
"""

import contextlib
import gc
from collections.abc import Generator
from typing import Final

from jetq.model.events import WorkerStarted
from jetq.observe.bus import Bus

YOUNG: Final = 10_000
"""Objects that are made and not freed until the collector looks at the young ones."""


@contextlib.contextmanager
def calm_collector(bus: Bus) -> Generator[None, None, None]:
    """
    Let the collector look seldom once a worker has begun, and as before in the end.

    An application that lets it look more seldom still, or never, has its way.
    """
    before = gc.get_threshold()

    def calm(_event: WorkerStarted) -> None:
        forget()  # so that no other event is looked at
        young, *older = gc.get_threshold()
        if young:
            gc.set_threshold(max(young, YOUNG), *older)
        gc.collect()  # what is garbage now would stay for ever
        gc.freeze()

    forget = bus.listen_to(WorkerStarted, calm)
    try:
        yield
    finally:
        forget()
        gc.unfreeze()
        gc.set_threshold(*before)
