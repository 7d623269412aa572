"""
workers: which workers live, and what people ask of them.

A worker's presence says that it lives; it is as old as a third of a lease at most. Questions go to its lease thread,
which answers also while a handler blocks the event loop.
"""

import asyncio
import difflib
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from jetq.errors import NoResponderError, ServerTimeoutError, UnknownWorkerError, WireError
from jetq.jetstream.connection import Connection
from jetq.jetstream.presence import Presences, SeenPresence
from jetq.model.record import Run
from jetq.model.running import RunningTask
from jetq.wire.control import ControlReply, ControlRequest, decode_control_reply, encode_control
from jetq.wire.names import Names

_PATIENCE: Final = 2.0
"""Seconds that a worker has for an answer."""
_MOST_NEAR: Final = 3


class WorkerInfo(Struct, frozen=True, kw_only=True):
    """
    A worker that lives.

    Attributes:
        worker: Its id, new with each start.
        host, pid: Its process.
        version: Of the application, or of jetq.
        started: By the worker's clock.
        queues: That it serves.
        patterns: Of its handlers.
        slots: Tasks that it may run at one time.
        running: Tasks that it runs.
        state: ``working``, ``quiet`` or ``stopping``.
        tasks: Those that run, the oldest ones, as of *seen*.
        seen: When it last said so, by the server's clock.
    """

    worker: str
    host: str
    pid: int
    version: str
    started: datetime | None
    queues: list[str]
    patterns: list[str]
    slots: int
    running: int
    state: str
    tasks: list[RunningTask]
    seen: datetime


class Ping(Struct, frozen=True, kw_only=True):
    """A worker's sign of life: after how many milliseconds, and how many tasks it runs; None without an answer."""

    worker: str
    ms: float | None
    running: int | None = None
    state: str = ""


class WorkerDirectory:
    """
    Finds workers, and asks them.

    Args:
        connection: To the server.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._presences = Presences(connection, names)

    async def list_workers(self) -> list[WorkerInfo]:
        """
        Return the workers that live, in the order of their starts.

        Raises:
            ServerError: No answer, or a refusal.
        """
        return [_info(seen) for seen in await self._presences.read_all()]

    async def find(self, worker: str) -> WorkerInfo:
        """
        Return a worker by its id, or by the beginning or the end of that if no other has the same.

        Raises:
            UnknownWorkerError: None matches, or several do.
            ServerError: No answer, or a refusal.
        """
        found = {info.worker: info for info in await self.list_workers()}
        return found[chosen(worker, found)]

    async def ping(self, worker: str) -> Ping:
        """
        Ask a worker for a sign of life.

        Raises:
            ServerError: A refusal.
        """
        asked = time.perf_counter()
        reply = await self._ask(worker, ControlRequest("ping"))
        if reply is None:
            return Ping(worker=worker, ms=None)
        return Ping(
            worker=worker,
            ms=round((time.perf_counter() - asked) * 1000, 3),
            running=reply.count,
            state=reply.state,
        )

    async def ping_all(self, workers: Iterable[str]) -> list[Ping]:
        """Ask several workers at one time; see :meth:`ping`."""
        return await asyncio.gather(*(self.ping(worker) for worker in workers))

    async def inspect(self, worker: str) -> list[RunningTask]:
        """
        Return the tasks that a worker runs now, those that began first at the beginning.

        Raises:
            UnknownWorkerError: It is gone.
            ServerTimeoutError: It does not answer.
            ServerError: A refusal.
        """
        return (await self._told(worker, ControlRequest("inspect"))).tasks

    async def runs(self, task_id: str, run: Run) -> bool | None:
        """
        Ask the worker of a run whether it goes on; None without an answer.

        Raises:
            ServerError: A refusal.
        """
        request = ControlRequest("running", task=task_id, attempt=run.attempt, nonce=run.nonce)
        reply = await self._ask(run.worker, request)
        return None if reply is None else reply.running

    async def quiet(self, worker: str) -> int:
        """
        Let a worker take no more tasks, and stay; return how many it runs.

        Raises:
            UnknownWorkerError: It is gone.
            ServerTimeoutError: It does not answer.
            ServerError: A refusal.
        """
        return (await self._told(worker, ControlRequest("quiet"))).count

    async def stop(self, worker: str) -> int:
        """
        Let a worker end in order; return how many tasks it still runs. Its supervisor starts another one.

        Raises:
            UnknownWorkerError: It is gone.
            ServerTimeoutError: It does not answer.
            ServerError: A refusal.
        """
        return (await self._told(worker, ControlRequest("stop"))).count

    async def _told(self, worker: str, request: ControlRequest) -> ControlReply:
        subject = self._names.control(worker)
        try:
            answer = await self._connection.request(subject, encode_control(request), timeout=_PATIENCE)
        except NoResponderError:
            raise UnknownWorkerError(worker) from None
        return decode_control_reply(answer.data)

    async def _ask(self, worker: str, request: ControlRequest) -> ControlReply | None:
        try:
            return await self._told(worker, request)
        except (UnknownWorkerError, ServerTimeoutError, WireError):
            return None


def chosen(worker: str, known: Iterable[str]) -> str:
    """
    Return the id that is meant by one, or by its beginning or end.

    Raises:
        UnknownWorkerError: None is, or several are.
    """
    ids = list(known)
    if worker in ids:
        return worker
    wanted = worker.upper()
    matching = [each for each in ids if wanted and (each.startswith(wanted) or each.endswith(wanted))]
    if len(matching) == 1:
        return matching[0]
    near = matching or difflib.get_close_matches(wanted, ids, _MOST_NEAR, 0.5)
    raise UnknownWorkerError(worker, near[:_MOST_NEAR])


def _info(seen: SeenPresence) -> WorkerInfo:
    return WorkerInfo(**asdict(seen.presence), seen=seen.written)
