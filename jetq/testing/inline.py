"""
inline: run a task here and now, without a server.

What a worker does between reading a record and writing it, done by the same code: the record goes through the codec,
the router chooses the handler, the payload is bound, the executor runs the handler with its middleware and its time
limit, and the outcome is judged. Nothing is stored and nothing is run again; what a handler enqueues through its
context is written down.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jetq.app.application import App
from jetq.app.call import TaskCall
from jetq.app.options import CallOptions, build_request
from jetq.app.submission import encode_payload
from jetq.client.blocking import forbid_in_loop
from jetq.client.handle import failure
from jetq.execution.executor import Executor, time_limits
from jetq.execution.retry_rules import RetryRules
from jetq.model.outcome import Outcome, Unroutable
from jetq.model.progress import Progress
from jetq.model.record import Run, TaskRecord
from jetq.model.retry import Exponential
from jetq.model.state import State
from jetq.model.transition import claimed, closed
from jetq.model.verdict import Rules, Verdict, judge, max_tries
from jetq.routing.handler import Handler
from jetq.routing.values import decode_value
from jetq.settings import Queue
from jetq.wire.codec import decode_record, new_document
from jetq.wire.ids import new_id

WORKER = "inline"
"""The worker's id in inline runs."""


@dataclass(frozen=True)
class InlineEnqueue:
    """What a handler enqueued through its context."""

    task_type: str
    payload: Any
    options: dict[str, Any]


@dataclass(frozen=True)
class InlineRun:
    """
    What a run led to.

    Attributes:
        record: As a worker would have stored it after the run.
        outcome: What happened.
        verdict: What follows from it; the wait before a retry is without its random part.
        enqueued: What the handler enqueued through its context.
        progress: What it said of its progress.
        handler: What ran; None if no handler takes the type.
    """

    record: TaskRecord
    outcome: Outcome
    verdict: Verdict
    enqueued: list[InlineEnqueue]
    progress: list[Progress]
    handler: Handler | None

    def result(self) -> Any:
        """
        Return the handler's result, as a caller gets it.

        Raises:
            TaskFailedError: There is none; also where a worker would try again.
        """
        if self.record.state is not State.COMPLETE or self.record.result is None:
            raise failure(self.record)
        raw = bytes(self.record.result.payload)
        if self.handler is None:
            return decode_value(raw)
        is_many = self.record.options is not None and self.record.options.each
        return self.handler.decode_results(raw) if is_many else self.handler.decode_result(raw)


@dataclass
class _Notebook:
    """Stands in for the application behind ``ctx.enqueue``, and for the worker behind ``ctx.progress``."""

    entries: list[InlineEnqueue] = field(default_factory=list[InlineEnqueue])
    said: list[Progress] = field(default_factory=list[Progress])

    def enqueue(self, task_type: str, payload: Any = None, **options: Any) -> None:
        """Write the task down, if it is one that could be enqueued."""
        CallOptions(**options)
        data = encode_payload(task_type, payload)
        self.entries.append(InlineEnqueue(task_type, None if data is None else decode_value(data), options))

    async def aenqueue(self, task_type: str, payload: Any = None, **options: Any) -> None:
        """Write the task down."""
        self.enqueue(task_type, payload, **options)

    def report(self, task: TaskRecord, progress: Progress) -> None:  # noqa: ARG002 - there is one task
        """Write down what the handler says of its progress."""
        self.said.append(progress)

    def extended(self, task: TaskRecord, ends: float) -> None:
        """No lease is there to be kept."""


def run_inline(
    app: App, task: str | TaskCall[Any], payload: Any = None, *, attempt: int = 1, state: Any = None
) -> InlineRun:
    """
    Run a task here and now.

    Args:
        app: Whose handlers and middleware to use.
        task: A task call (``send_email.s(to=...)``) or a task type.
        payload: With a task type.
        attempt: The number of this run, for handlers that look at it; all runs before used a try.
        state: For ``ctx.state``, in place of what the application's lifespan yields; no hooks run.

    Raises:
        InvalidPayloadError: The payload is not JSON.
        BlockingCallError: Called inside a running event loop; await :func:`arun_inline` there.
    """
    forbid_in_loop("run_inline", "arun_inline")
    return asyncio.run(arun_inline(app, task, payload, attempt=attempt, state=state))


async def arun_inline(
    app: App, task: str | TaskCall[Any], payload: Any = None, *, attempt: int = 1, state: Any = None
) -> InlineRun:
    """Run a task here and now; see :func:`run_inline`."""
    app.load()
    now = datetime.now(UTC)
    record = _claimed_record(app, task, payload, attempt, now)
    queue = app.queues.get(record.queue) or Queue(record.queue)
    handler = app.router.match(record.type)
    notebook = _Notebook()
    executor = Executor(
        threads=1, middleware=app.middleware, logger=app.logger, enqueuer=notebook, errors=app.error_rules, state=state
    )
    try:
        outcome = await _outcome(executor, handler, record, queue, notebook)
    finally:
        await executor.close()
    if handler is None:
        rules = Rules(retry=Exponential(), max_tries=max_tries(record.max_tries, queue.max_tries))
    else:
        rules = RetryRules(app.settings).of(record, handler, queue_max_tries=queue.max_tries)
    verdict = judge(outcome, record, rules, now=datetime.now(UTC), chance=0.0)
    return InlineRun(
        closed(record, verdict, datetime.now(UTC)), outcome, verdict, notebook.entries, notebook.said, handler
    )


def _claimed_record(app: App, task: str | TaskCall[Any], payload: Any, attempt: int, now: datetime) -> TaskRecord:
    if isinstance(task, TaskCall):
        request = task.request()
    else:
        handler = app.router.match(task)
        request = build_request(task, encode_payload(task, payload), CallOptions(), handler, app.settings)
    stored = new_document(request.record(request.task_id or new_id(), "", now)).encode()
    record = decode_record(stored).record
    for number in range(1, attempt + 1):
        record = claimed(record, Run(WORKER, number, ""), now, crashed=False)
    return record


async def _outcome(
    executor: Executor, handler: Handler | None, record: TaskRecord, queue: Queue, notebook: _Notebook
) -> Outcome:
    if handler is None:
        return Unroutable(record.type)
    limit, soft = time_limits(record, handler, queue.run_time)
    return await executor.start(handler, record, limit=limit, soft=soft, worker=WORKER, reporter=notebook).run()
