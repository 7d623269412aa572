"""
watchdog: items wait, slots are free, and nothing arrives.

A worker that lives and takes no tasks is the worst of all, since nobody notices. What can lead to it is seen by others
(a lost connection, silence of the server, a refused request), but not everything: somebody removed the queue's
consumer, a proxy swallows what one side says. So this looks at the result alone. A queue from which nothing came for a
while, though slots are free, is looked at on the server; if items wait there that may be delivered, and still do at the
next look, something is wrong. It is told, the worker counts as not ready, and what can be made anew is: the queue's
consumer, or the connection.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from jetq.errors import JetqError, ServerError, ServerTimeoutError
from jetq.jetstream.backend import Backend
from jetq.jetstream.lookup import find_consumer
from jetq.jetstream.puller import Puller
from jetq.model.serving import FetchingRestored, FetchingStalled
from jetq.settings import Queue
from jetq.worker.condition import Condition
from jetq.worker.slots import Slots

_EVERY: Final = 5.0
"""Seconds between two looks."""
_AGAIN: Final = 15.0
"""Seconds until the connection is made anew once more, if that did not help."""
_LOOKS: Final = 2
"""Looks in a row that find the same, until it counts."""
_GONE: Final = "the queue, or its consumer, is gone"
_SILENT: Final = "the server does not answer"


class _Suspicion(Struct):
    """Since when a queue is suspicious, how many looks found it so, why, and when something was done about it."""

    since: float
    looks: int = 0
    reason: str = ""
    told: bool = False
    mended: float = float("-inf")


class Watchdog:
    """
    Watches the pullers of a worker, in its loop.

    Args:
        worker: The worker's id.
        backend: The server.
        slots: Of the worker.
        pullers: By the names of their queues.
        declared: The queues, to make one anew that is gone.
        condition: Told what is stalled.
    """

    def __init__(
        self,
        worker: str,
        backend: Backend,
        *,
        slots: Slots,
        pullers: Mapping[str, Puller],
        declared: Mapping[str, Queue],
        condition: Condition,
    ) -> None:
        self._worker = worker
        self._backend = backend
        self._slots = slots
        self._pullers = pullers
        self._declared = declared
        self._condition = condition
        self._suspicions: dict[str, _Suspicion] = {}
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Watch until it is cancelled."""
        while True:
            before = self._loop.time()
            await asyncio.sleep(_EVERY)
            for queue, puller in self._pullers.items():
                await self._look_at(queue, puller, before)

    async def _look_at(self, queue: str, puller: Puller, before: float) -> None:
        if puller.arrived > before:
            self._trust(queue)
        elif self._slots.free > 0 and self._backend.connection.is_connected and not puller.is_stopped:
            await self._suspect(queue, puller)

    async def _suspect(self, queue: str, puller: Puller) -> None:
        try:
            async with asyncio.timeout(_EVERY):
                consumer = await find_consumer(self._backend.connection, self._backend.names.queue(queue))
        except (TimeoutError, ServerTimeoutError):
            reason = _SILENT
        except ServerError:
            return  # this user may not look
        else:
            reason = _GONE if consumer is None else _stuck(consumer)
        suspicion = self._suspicions.get(queue)
        if suspicion is None or suspicion.since < puller.arrived:
            if not reason:
                return
            suspicion = self._suspicions[queue] = _Suspicion(self._loop.time())
        if not reason:
            self._trust(queue)
            return
        suspicion.looks, suspicion.reason = suspicion.looks + 1, reason
        if suspicion.looks >= _LOOKS or reason == _GONE:
            await self._mend(queue, suspicion)

    def _trust(self, queue: str) -> None:
        suspicion = self._suspicions.pop(queue, None)
        if suspicion is not None and suspicion.told:
            self._condition.stalled.pop(queue, None)
            self._backend.bus.emit(FetchingRestored(worker=self._worker, queue=queue))

    async def _mend(self, queue: str, suspicion: _Suspicion) -> None:
        now = self._loop.time()
        self._condition.stalled[queue] = suspicion.reason
        if not suspicion.told:
            suspicion.told = True
            seconds = now - max(suspicion.since, self._pullers[queue].arrived)
            event = FetchingStalled(worker=self._worker, queue=queue, reason=suspicion.reason, seconds=seconds)
            self._backend.bus.emit(event)
        if suspicion.reason == _GONE:
            with contextlib.suppress(JetqError):
                await self._backend.topology.ensure_queue(self._declared[queue])
        elif now - suspicion.mended >= _AGAIN:
            suspicion.mended = now
            self._backend.connection.rebuild(suspicion.reason)


def _stuck(consumer: dict[str, Any]) -> str:
    """Say what waits at a queue that could be delivered; nothing if there is nothing, or it may not be."""
    most, held = consumer["config"].get("max_ack_pending", 0), consumer.get("num_ack_pending", 0)
    waiting = int(consumer.get("num_pending", 0))
    if consumer.get("paused") or not waiting or (most > 0 and held >= most):
        return ""
    asked = consumer.get("num_waiting", 0)
    return f"{waiting:,} items wait at the server, where {asked:,} requests of workers wait for them"
