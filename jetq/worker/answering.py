"""
answering: carry the requests of workers elsewhere to their answers: read → check → slot → execute → reply.

A request is a task's record and the time until which somebody waits (`wire.remote`). It claims nothing and writes
nothing: whoever asks holds the lease, judges the answer and settles it. So a death at any point costs the one who asks
a silence until its limit, and then another try; and what is done here for somebody who has gone is lost, as the run of
a worker that lost its lease is.

What is refused, and what fails, is answered at once, since the other side holds a slot meanwhile. Nothing runs beyond
the deadline of its request, not even by ``ctx.extend``. Where more is asked than there are slots, requests wait, in
order, for as long as their deadlines allow and as long as there is room for all of them.

A task without a handler is answered with an error if it came where this application is called: on one of its types, on
a route before them, on the catch-all. What only a wildcard caught belongs to somebody else, and is left alone.
"""

import asyncio
import contextlib
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from jetq.errors import MalformedRecordError, MessageTooLargeError
from jetq.execution.executor import Execution, Executor, time_limits
from jetq.jetstream.connection import Connection, Incoming
from jetq.model.answering import Refusal, RequestAnswered, RequestRefused
from jetq.model.events import AttemptFailed, TaskProgressed
from jetq.model.outcome import Cancelled, Interrupted, Outcome, Snoozed, Succeeded, TimedOut, Unstorable
from jetq.model.progress import Progress
from jetq.model.record import ErrorInfo, TaskRecord
from jetq.observe.bus import Bus
from jetq.routing.handler import Handler
from jetq.routing.router import Router
from jetq.settings import Queue
from jetq.wire.codec import Document, decode_record
from jetq.wire.micro import Endpoint
from jetq.wire.remote import DEADLINE, error_reply, outcome_reply, read_deadline, told
from jetq.wire.signature import Verifier
from jetq.worker.slots import Slot, Slots

_MOST_HELD: Final = 64 * 1024 * 1024
"""Bytes that requests may take here, running and waiting; beyond that they are refused."""
_OVERHEAD: Final = 6 * 1024
"""Bytes that a request takes beside its own: what was read of it, its asyncio task, its timer (measured: 5,000)."""
_HEADERS: Final = 16 * 1024
"""Bytes that are left for the headers of an answer."""
_RESEND: Final = 0.1
_PATIENCE: Final = 30.0
"""Seconds that an answer without a deadline waits for a connection."""
_ELSEWHERE: Final = 1.0
"""Seconds until a task that was interrupted here is tried again, elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """
    What requests are answered with.

    Attributes:
        responder: The id of this server.
        connection: To the server.
        router: The handlers that answer.
        queues: Whose run times are the limits of their tasks, by name.
        verifier: Says whose tasks run; None runs everybody's.
        bus: Told what happens.
    """

    responder: str
    connection: Connection
    router: Router
    queues: Mapping[str, Queue]
    verifier: Verifier | None
    bus: Bus


class _Job:
    """A request on its way to its answer."""

    __slots__ = ("document", "endpoint", "execution", "handler", "request", "task", "until", "unwanted")

    def __init__(self, request: Incoming, endpoint: Endpoint) -> None:
        self.request = request
        self.endpoint = endpoint
        self.document: Document | None = None
        self.handler: Handler | None = None
        self.until: float | None = None
        self.execution: Execution | None = None
        self.task: asyncio.Task[None] | None = None
        self.unwanted = False

    @property
    def size(self) -> int:
        """Bytes that it takes here."""
        return len(self.request.data) + _OVERHEAD

    @property
    def task_id(self) -> str:
        return "" if self.document is None else self.document.record.id


class Answers:
    """
    Answers requests.

    Args:
        means: What with.
        executor: Runs the handlers.
        slots: How many at one time.
        claims: Whether this application is called by a subject, so that nobody else would answer there.

    Attributes:
        running: Handlers that run.
    """

    def __init__(self, means: Means, executor: Executor, slots: Slots, claims: Callable[[str], bool]) -> None:
        self._means = means
        self._executor = executor
        self._slots = slots
        self._claims = claims
        self._loop = asyncio.get_running_loop()
        self._jobs: set[_Job] = set()
        self._held = 0
        self.running = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot; from any thread."""
        return max(0, len(self._jobs) - self.running)

    # coming and going

    def take(self, request: Incoming, endpoint: Endpoint) -> None:
        """Answer a request, some time. A callback: it does not block."""
        if not request.reply:
            return  # nobody waits for it
        job = _Job(request, endpoint)
        if self._held + job.size > _MOST_HELD:
            said = f"{len(self._jobs)} requests wait here already; another try may find room"
            self._refuse(job, Refusal.BUSY, said)
            return
        self._jobs.add(job)
        self._held += job.size
        job.task = self._loop.create_task(self._answer(job))
        job.task.add_done_callback(lambda task: self._ended(job, task))

    def _ended(self, job: _Job, task: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        self._held -= job.size
        if not task.cancelled() and (error := task.exception()) is not None:
            told_of = "".join(traceback.format_exception(error))
            self._means.bus.emit(AttemptFailed(queue="", error=told_of, unexpected=True))

    def forget(self, message: Incoming) -> None:
        """End what somebody asked for who waits no more. A callback: it does not block."""
        task_id, nonce = message.subject.rpartition(".")[2], message.data.decode("utf-8", "replace")
        for job in tuple(self._jobs):
            run = None if job.document is None else job.document.record.run
            if job.task_id == task_id and run is not None and run.nonce == nonce:
                job.unwanted = True
                self._stop(job, Cancelled("the worker that asked"))

    def interrupt(self) -> int:
        """Stop all that runs or waits, since the server ends; return how many there were."""
        count = len(self._jobs)
        for job in tuple(self._jobs):
            self._stop(job, Interrupted())
        return count

    def _stop(self, job: _Job, outcome: Outcome) -> None:
        if job.execution is not None:
            job.execution.stop(outcome)
        elif job.task is not None:
            job.task.cancel()

    async def drained(self, timeout: float) -> bool:
        """Wait until everything is answered; False if it is not by then."""
        tasks = {job.task for job in self._jobs if job.task is not None}
        if tasks:
            _, rest = await asyncio.wait(tasks, timeout=max(0.0, timeout))
            return not rest
        return True

    # one request

    async def _answer(self, job: _Job) -> None:
        handler = self._checked(job)
        if handler is None:
            return
        try:
            async with asyncio.timeout_at(job.until):
                await self._slots.wait()
        except TimeoutError:
            self._refuse(job, Refusal.LATE, "no slot was free here before the deadline of the request")
            return
        except asyncio.CancelledError:
            if not job.unwanted:
                await self._reply(job, Interrupted())
            raise
        with Slot(self._slots, None):
            began = time.perf_counter_ns()
            self.running += 1
            try:
                outcome = await self._run(job, handler)
            finally:
                self.running -= 1
            spent = time.perf_counter_ns() - began
        error = await self._reply(job, outcome)
        job.endpoint.nanoseconds += spent
        record = self._record(job)
        self._means.bus.emit(
            RequestAnswered(
                task_id=record.id,
                task_type=record.type,
                pattern=handler.pattern,
                outcome=type(outcome).__name__.lower(),
                error=error,
                duration=spent / 1e9,
            )
        )

    def _checked(self, job: _Job) -> Handler | None:
        """Read a request and return its handler; one that cannot run is answered here."""
        try:
            job.document = decode_record(job.request.data)
        except MalformedRecordError as error:
            self._refuse(job, Refusal.MALFORMED, f"the request is no task: {error}")
            return None
        record = job.document.record
        handler = self._means.router.match(record.type)
        if handler is None:
            self._refuse(job, Refusal.UNROUTABLE, f"no handler for the task type {record.type!r} on this server")
            return None
        if (complaint := self._late(job)) is not None:
            self._refuse(job, Refusal.LATE, complaint)
            return None
        verifier = self._means.verifier
        if verifier is not None and (complaint := verifier.check(job.document)) is not None:
            self._refuse(job, Refusal.SIGNATURE, complaint, final=True)
            return None
        return handler

    def _late(self, job: _Job) -> str | None:
        """Note until when somebody waits; say so if that is over, or makes no sense."""
        try:
            deadline = read_deadline(job.request.headers)
        except ValueError as error:
            return f"{DEADLINE} is no time with a zone, such as 2026-11-24T03:00:00Z ({error})"
        if deadline is None:
            return None
        left = (deadline - self._means.connection.clock.now()).total_seconds()
        if left <= 0:
            return f"the deadline of this request was {-left:.1f} s ago"
        job.until = self._loop.time() + left
        return None

    async def _run(self, job: _Job, handler: Handler) -> Outcome:
        record = self._record(job)
        queue = self._means.queues.get(record.queue) or Queue(record.queue or "DEFAULT")
        limit, soft = time_limits(record, handler, queue.run_time)
        left = float("inf") if job.until is None else max(0.001, job.until - self._loop.time())
        limit = min(limit, left)
        execution = self._executor.start(
            handler, record, limit=limit, soft=soft, worker=self._means.responder, reporter=self
        )
        if handler.hands_on:
            execution.context.document = job.document
        job.execution = execution
        end = None if job.until is None else self._loop.call_at(job.until, execution.stop, TimedOut(round(left, 3)))
        try:
            return await execution.run()
        finally:
            if end is not None:
                end.cancel()

    def _record(self, job: _Job) -> TaskRecord:
        if job.document is None:
            raise AssertionError("a request is run before it is read")
        return job.document.record

    # answers

    async def _reply(self, job: _Job, outcome: Outcome) -> str:
        """Answer with an outcome; return what it says went wrong."""
        headers: dict[str, str] = {}
        if isinstance(outcome, Succeeded):
            body, text = outcome.result, ""
        else:
            if isinstance(outcome, Interrupted):
                stopped = "the server that ran the handler stopped before it ended"
                outcome = Snoozed(_ELSEWHERE, ErrorInfo(type="Interrupted", message=stopped))
            text = told(outcome)
            headers, body = outcome_reply(outcome, text)
        most = self._means.connection.max_payload
        if len(body) > most - _HEADERS:
            text = f"the result has {len(body):,} bytes, and the server takes messages of {most:,} bytes"
            headers, body = outcome_reply(Unstorable(ErrorInfo(type="ResultTooLarge", message=text), True), text)
        until = self._loop.time() + _PATIENCE if job.until is None else job.until
        while not self._send(job, headers, body) and self._loop.time() < until:  # noqa: ASYNC110 - as a link is dialled
            await asyncio.sleep(_RESEND)
        self._count(job, text)
        return text

    def _refuse(self, job: _Job, reason: Refusal, text: str, *, final: bool = False) -> None:
        """Answer with an error, unless it may be another program's to answer."""
        if not (self._claims(job.request.subject) or self._is_ours(job)):
            return
        self._send(job, error_reply(text, final=final), b"")
        self._count(job, text)
        refused = RequestRefused(subject=job.request.subject, reason=reason, detail=text, task_id=job.task_id)
        self._means.bus.emit(refused)

    def _is_ours(self, job: _Job) -> bool:
        return job.document is not None and self._means.router.match(job.document.record.type) is not None

    def _send(self, job: _Job, headers: dict[str, str], body: bytes) -> bool:
        try:
            return self._means.connection.send(job.request.reply, body, headers=headers)
        except MessageTooLargeError:  # the server takes less than it did when this was measured
            return True

    @staticmethod
    def _count(job: _Job, error: str) -> None:
        job.endpoint.requests += 1
        if error:
            job.endpoint.errors += 1
            job.endpoint.last_error = error

    # what handlers say meanwhile

    def report(self, task: TaskRecord, progress: Progress) -> None:
        """Tell whoever listens how far a handler is; nothing is stored. From any thread."""
        said = TaskProgressed(
            task_id=task.id,
            task_type=task.type,
            queue=task.queue,
            worker=self._means.responder,
            attempt=task.runs,
            progress=progress,
        )
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._means.bus.emit, said)

    def extended(self, task: TaskRecord, ends: float) -> None:
        """The deadline of the request stands."""
