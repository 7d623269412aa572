"""
executor: run a handler once and say what happened.

:meth:`Execution.run` binds the payload, calls the handler through its middleware in the caller's own asyncio task, and
turns everything that can come of it into an outcome. It never raises; only when its coroutine is closed, perhaps in
another context by the garbage collector, does it let that pass.

A soft limit asks a run to end before its limit (`soft_limit`); what the handler makes of that is its outcome. The
limits may move while it runs, by the handler's own word.

Stopping has one way: at the time limit, or by :meth:`Execution.stop`, the outcome is fixed and the asyncio task is
cancelled. A handler may catch the cancellation, clean up, return or raise as it likes: the fixed outcome stands. One
that goes on all the same is cancelled again each grace. Cancellations that this module asked for are taken back before
``run`` returns, so its caller sees its own alone. A cancellation from outside, of the task itself, is an interruption;
a CancelledError that nobody asked for is the handler's own failure.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final

from jetq.errors import InvalidPayloadError, JetqError
from jetq.execution.composed import bound
from jetq.execution.context import OVER, Context, Enqueuer, Reporter, current_context
from jetq.execution.deciding import decided, outcome_of
from jetq.execution.ending import after_return
from jetq.execution.failure import MAX_MESSAGE, shorten
from jetq.execution.middleware import CallNext, Middleware, compose
from jetq.execution.pools import GRACE, HandlerStopped, ThreadPool, each_call, each_on_loop, on_loop, plain_call
from jetq.execution.process_pool import ProcessPool
from jetq.execution.soft_limit import SoftLimit
from jetq.model.outcome import Interrupted, Invalid, Outcome, TimedOut
from jetq.model.record import ABSENT, TaskRecord
from jetq.observe.scope import TaskScope, current_scope
from jetq.routing.error_rules import ErrorRules
from jetq.routing.handler import Handler, check_middleware

_NO_RULES: Final = ErrorRules()


class Executor:
    """
    Runs handlers.

    Args:
        threads: Sync handlers that may run at one time.
        middleware: Run around every handler, the first outermost.
        logger: For ``ctx.logger``; None is the logger ``jetq.task``.
        enqueuer: For ``ctx.enqueue``; None leaves it unusable.
        grace: Seconds that a handler may take to end after it was told to.
        errors: Which exceptions are worth another try, where a handler does not say.
        processes: For handlers with a process of their own; without, they run in threads.
        state: For ``ctx.state``.

    Raises:
        InvalidSettingError: One of *middleware* is no async function.
    """

    def __init__(
        self,
        *,
        threads: int,
        middleware: Sequence[Middleware] = (),
        logger: Any = None,
        enqueuer: Enqueuer | None = None,
        grace: float = GRACE,
        errors: ErrorRules | None = None,
        processes: ProcessPool | None = None,
        state: Any = None,
    ) -> None:
        check_middleware(middleware)
        self._processes = processes
        self._state = state
        self._errors = errors or _NO_RULES
        self._middleware = tuple(middleware)
        self._logger = logger
        self._enqueuer = enqueuer
        self._grace = grace
        self._threads = ThreadPool(threads, grace=grace)
        self._calls: dict[Handler, tuple[CallNext, ErrorRules | None]] = {}

    def start(
        self,
        handler: Handler,
        record: TaskRecord,
        *,
        limit: float,
        soft: float | None = None,
        worker: str = "",
        reporter: Reporter | None = None,
    ) -> "Execution":
        """
        Prepare a run.

        Args:
            handler: What runs.
            record: As the claim wrote it.
            limit: Seconds that it may take.
            soft: Seconds after which it is asked to end; None, and what is not below *limit*, is never.
            worker: This worker's id.
            reporter: Hears what it says while it goes on.
        """
        known = self._calls.get(handler)
        if known is None:
            known = self._calls[handler] = self._composed(handler), self._rules_of(handler)
        call, rules = known
        if record.options is not None and record.options.each:
            call = self._composed(handler, each=True)
        soft_limit = None
        if soft is not None and soft < limit:
            soft_limit = SoftLimit(soft, limit)
            call = soft_limit.around(call)
        context = Context(
            record,
            worker=worker,
            limit=limit,
            logger=self._logger,
            enqueuer=self._enqueuer,
            reporter=reporter,
            soft_limit=soft_limit,
            state=self._state,
        )
        return Execution(handler, call, context, limit=limit, grace=self._grace, rules=rules)

    def _composed(self, handler: Handler, *, each: bool = False) -> CallNext:
        middleware = (*self._middleware, *handler.options.middleware)
        if handler.kind == "async":
            call = each_on_loop(handler) if each else on_loop(handler)
        elif handler.kind == "process" and self._processes is not None:
            call = self._processes.caller(handler, watched=bool(middleware))
        else:
            call = self._threads.caller(handler, each_call if each else plain_call)
        return compose(middleware, call)

    def _rules_of(self, handler: Handler) -> ErrorRules | None:
        rules = handler.options.errors.within(self._errors)
        return None if rules == _NO_RULES else rules

    async def close(self) -> None:
        """Stop what still runs in threads and processes, and end them."""
        await self._threads.close()
        if self._processes is not None:
            await self._processes.close()

    def quiet(self) -> None:
        """Let nothing begin that waits for a process; its run is interrupted before it began."""
        if self._processes is not None:
            self._processes.quiet()


class Execution:
    """
    One run of a handler. Made by :meth:`Executor.start`.

    Attributes:
        context: What the handler gets.
        limit: Seconds that it may take.
        deadline: In the loop's time, when the limit ends; None before it runs.
        duration: Seconds that it ran; None before its end.
    """

    __slots__ = (
        "_call",
        "_cancelled_before",
        "_cancels",
        "_fixed",
        "_grace",
        "_handler",
        "_loop",
        "_rules",
        "_started",
        "_task",
        "_timer",
        "_why",
        "context",
        "deadline",
        "duration",
        "limit",
    )

    def __init__(
        self,
        handler: Handler,
        call: CallNext,
        context: Context,
        *,
        limit: float,
        grace: float,
        rules: ErrorRules | None,
    ) -> None:
        self.context = context
        self.limit = limit
        self.deadline: float | None = None
        self.duration: float | None = None
        self._handler = handler
        self._call = call
        self._grace = grace
        self._rules = rules
        self._fixed: Outcome | None = None
        self._why: JetqError | None = None
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle
        self._cancels = 0
        self._cancelled_before = 0

    async def run(self) -> Outcome:
        """Run the handler and return what happened. Once, in an asyncio task that runs nothing else meanwhile."""
        context, record = self.context, self.context.task
        try:
            options = record.options
            if options is None or (options.into is ABSENT and not options.each):
                context.arguments = self._handler.bind(record.payload, record.type)
            else:
                context.arguments = bound(self._handler, record)
        except InvalidPayloadError as error:
            return Invalid(shorten(error.reason, MAX_MESSAGE))
        except Exception as error:  # noqa: BLE001 - a model's validator is the user's code
            return self._failed(error)
        if self._fixed is not None:
            return self._fixed
        self._begin()
        scope = current_scope.set(TaskScope(record.id, record.type, record.queue, record.runs, context.worker))
        current = current_context.set(context)
        try:
            outcome = self._returned(await self._call(context))
        except BaseException as error:
            if isinstance(error, GeneratorExit) and not self._is_running():
                self._end()
                raise
            outcome = self._raised(error)
        self._end()
        self.duration = time.perf_counter() - self._started
        current_context.reset(current)
        current_scope.reset(scope)
        return outcome

    def stop(self, outcome: Outcome, why: JetqError | None = None) -> None:
        """
        Stop the handler; :meth:`run` returns *outcome* as soon as it has ended. The first word counts.

        Args:
            outcome: What happened.
            why: The argument of the CancelledError that an async handler sees.
        """
        if self._fixed is None:
            self._fixed = outcome
            self._why = why
            if self._task is not None:
                if (soft := self.context.soft_limit) is not None:
                    soft.close()
                self._timer.cancel()
                self._cancel()

    def runs_in(self, task: asyncio.Task[Any]) -> bool:
        """Whether the handler is called in an asyncio task; from any thread."""
        return self._task is task

    @property
    def is_over(self) -> bool:
        """Whether the run was told to end."""
        return self._fixed is not None

    @property
    def timed_out(self) -> bool:
        """Whether it was told to end since its time limit is over."""
        return isinstance(self._fixed, TimedOut)

    def extended(self) -> None:
        """Follow the context's new limit, from any thread; until the loop gets to it, :meth:`_expire` looks there."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._move()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the run is over
                self._loop.call_soon_threadsafe(self._move)

    def _end(self) -> None:
        """Stop the clock."""
        self._timer.cancel()
        self.context.runner = OVER
        if (soft := self.context.soft_limit) is not None:
            soft.close()

    def _move(self) -> None:
        if self.is_over or self._task is None or self.deadline is None:
            return
        left = max(0.0, self.context.time_left)
        before, self.deadline = self.deadline, self._loop.time() + left
        self.limit = round(self.limit + self.deadline - before, 3)
        self._timer.cancel()
        self._timer = self._loop.call_at(self.deadline, self._expire)
        if (soft := self.context.soft_limit) is not None:
            soft.move(left)

    def began(self, limit: float) -> None:
        """Count from now: the handler had to wait until it could begin."""
        self.limit = limit
        self._started = time.perf_counter()

    def _begin(self) -> None:
        """Start the clock."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self.deadline = self._loop.time() + self.limit
        self._timer = self._loop.call_at(self.deadline, self._expire)
        if self._task is not None:
            self._cancelled_before = self._task.cancelling()
        self.context.runner = self
        if (soft := self.context.soft_limit) is not None:
            soft.begin(self._loop, self._task)
        self._started = time.perf_counter()  # finer than the time of a uvloop

    def _expire(self) -> None:
        if self.context.time_left > 0:  # a thread extended it, and the word of that is behind this call
            self._move()
        else:
            self.stop(TimedOut(self.limit))

    def _cancel(self) -> None:
        if self._task is not None:
            self._cancels += 1
            self._task.cancel(self._why)
            self._timer = self._loop.call_later(self._grace, self._cancel)

    def _is_running(self) -> bool:
        """Whether the run's coroutine is driven by its task, and not being closed by somebody else."""
        try:
            return asyncio.current_task() is self._task
        except RuntimeError:
            return False

    def _returned(self, value: Any) -> Outcome:
        return self._ended() or after_return(value)

    def _raised(self, error: BaseException) -> Outcome:
        task, soft = self._task, self.context.soft_limit
        if soft is not None:
            soft.close()
        asked_outside = task is not None and task.cancelling() - self._cancels > self._cancelled_before
        if fixed := self._ended():
            return fixed
        if isinstance(error, HandlerStopped) or (isinstance(error, asyncio.CancelledError) and asked_outside):
            return Interrupted()
        if soft is not None and soft.ended(error):
            return self._ruled(TimedOut(soft.seconds, soft=True))
        return self._failed(error)

    def _failed(self, error: BaseException) -> Outcome:
        """Say what an exception means: a signal speaks for itself, about all others there may be rules."""
        return outcome_of(error, self._rules, self.context)

    def _ended(self) -> Outcome | None:
        """Take back our cancellations; return the fixed outcome, if there is one."""
        task, self._task = self._task, None
        while task is not None and self._cancels:
            self._cancels -= 1
            task.uncancel()
        fixed = self._fixed
        return self._ruled(fixed) if isinstance(fixed, TimedOut) else fixed

    def _ruled(self, outcome: TimedOut) -> Outcome:
        """Say what a time-out means, about which there may be rules."""
        if self._rules is None:
            return outcome
        return decided(outcome, TimeoutError(outcome.error.message), self._rules, self.context)


def time_limits(record: TaskRecord, handler: Handler, most: float) -> tuple[float, float | None]:
    """
    Return the seconds that a run may take, and after which it is asked to end.

    Args:
        record: Its own word counts before the handler's.
        handler: Of the run.
        most: The limit of the queue, which always holds.
    """
    own, handlers = record.options, handler.options
    limit = handlers.timeout if own is None or own.timeout is None else own.timeout
    soft = handlers.soft_timeout if own is None or own.soft_timeout is None else own.soft_timeout
    return most if limit is None else min(limit, most), soft
