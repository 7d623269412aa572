"""
process_pool: processes for handlers with ``pool="process"``: they can be killed, and die alone.

A process runs one call at a time, and is kept for the next. One is started with the worker, so that what is wrong with
the application is seen then; the others when there is more to run than processes are free. Who finds none free waits
for one, in order of arrival, and the time limit of the run counts from when it gets one. A task whose deadline passes
meanwhile ends as expired, without having started.

A run ends early in three ways. At its soft limit the handler gets `SoftTimeout`. At its time limit its process is
killed at once. When it is cancelled, has lost its lease, or its worker stops, `HandlerStopped` is raised in it, so that
it can clean up, and its process is killed a second later if it has not. In any case the slot is free then, a new
process is started in place of one that was killed, and no other task is concerned.

A process that dies by itself (out of memory, a crash in C, ``os._exit``) costs its task a try and counts as a crash
(`model.verdict`): what kills three processes is not run a fourth time. One that dies before it has read its call costs
nothing: the next process gets the call.

Middleware runs in the worker. With it, what a handler returns is seen as plain JSON values, and what it raises as
`HandlerFailedError`; the rules about exceptions were applied in the process by then.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from jetq.errors import OutsideTaskError, ProcessStartError, SoftTimeout
from jetq.execution.as_here import as_here
from jetq.execution.context import Context
from jetq.execution.deciding import RanElsewhere
from jetq.execution.handler_process import CallNotReadError, HandlerProcess, Launch
from jetq.execution.middleware import CallNext
from jetq.execution.pools import HandlerStopped
from jetq.model.outcome import (
    Expired,
    Interrupted,
    Outcome,
    TimedOut,
)
from jetq.model.surroundings import CallsWaiting, PoolEvent, ProcessEnd, ProcessEnded, ProcessNotStarted, ProcessReady
from jetq.routing.handler import Handler
from jetq.wire.codec import new_document
from jetq.wire.process_call import Ended, outcome_of

GRACE: Final = 1.0
"""Seconds that a handler may take to end after it was told to, before its process is killed."""
_ATTEMPTS: Final = 3
"""Starts in a row that fail until those who wait are told."""
_BETWEEN: Final = 0.1
"""Seconds after the first failed start; doubled by each further one."""
_MOST_BETWEEN: Final = 5.0
"""Seconds."""
_FAR: Final = 10 * 365 * 24 * 3600.0
"""Seconds: the time limit of a run that waits for a process."""


def _utc() -> datetime:
    return datetime.now(UTC)


def _ignore(_event: PoolEvent) -> None:
    """Tell nobody."""


class ProcessPool:
    """
    The processes of one worker. All methods are called in its loop.

    Args:
        launch: How one is started.
        size: How many may run at one time.
        max_tasks: Calls after which one is replaced; None is unlimited.
        max_memory: Bytes of memory beyond which one is replaced after its call; None is unlimited.
        patience: Seconds that the stop hooks of one may take.
        grace: Seconds that a handler may take to end after it was told to.
        tell: Told what happens to the processes.
        now: Tells the time by the server's clock, which deadlines count by.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        size: int,
        max_tasks: int | None = None,
        max_memory: int | None = None,
        patience: float = 5.0,
        grace: float = GRACE,
        tell: Callable[[PoolEvent], None] = _ignore,
        now: Callable[[], datetime] = _utc,
    ) -> None:
        self._launch = launch
        self._size = size
        self._max_tasks = max_tasks
        self._max_memory = max_memory
        self._patience = patience
        self._grace = grace
        self._free: list[HandlerProcess] = []
        self._unborn: set[HandlerProcess] = set()
        self._members: set[HandlerProcess] = set()
        self._waiting: deque[asyncio.Future[HandlerProcess | datetime]] = deque()
        self._tell = tell
        self._now = now
        self._worker = launch.begin.worker
        self._starting = 0
        self._failures = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="jetq-start")
        self._quiet = False
        self._closing = asyncio.Event()

    @property
    def pids(self) -> list[int]:
        """The processes that take calls."""
        return [process.pid for process in self._members]

    async def start(self) -> None:
        """
        Start the first process.

        Raises:
            ProcessStartError: It does not come up.
        """
        await asyncio.shield(self._begin(self._start_one()))

    def caller(self, handler: Handler, *, watched: bool) -> CallNext:
        """
        Return what calls a handler in a process.

        Args:
            handler: It.
            watched: Middleware stands around it; without, the outcome goes its way as it is.
        """

        async def call(ctx: Context) -> Any:
            outcome = await self._run(handler, ctx)
            if isinstance(outcome, Interrupted):
                raise HandlerStopped
            if isinstance(outcome, TimedOut):
                raise SoftTimeout
            if not watched:
                raise RanElsewhere(outcome)
            return as_here(outcome)

        return call

    async def _run(self, handler: Handler, ctx: Context) -> Outcome:
        record = new_document(ctx.task).encode()
        while True:
            process = self._take() or await self._wait(ctx)
            if isinstance(process, datetime):
                return Expired(process)
            with contextlib.suppress(CallNotReadError):
                return outcome_of(await self._run_in(process, handler, ctx, record))

    async def _run_in(self, process: HandlerProcess, handler: Handler, ctx: Context, record: bytes) -> Ended:
        soft, call = ctx.soft_limit, process.call(handler, ctx, record)
        if soft is not None:
            soft.interrupt = process.soften
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            runner = ctx.runner
            at_once = runner is not None and runner.timed_out
            with contextlib.suppress(asyncio.CancelledError):
                await process.stop(0.0 if at_once else self._grace)
            raise
        finally:
            if soft is not None:
                soft.interrupt = None
            if call.cancel():
                process.kill(ProcessEnd.CANCEL)
            else:
                call.exception()  # whoever was cancelled does not look at it
            self._give_back(process)

    # who is free

    def _take(self) -> HandlerProcess | None:
        while self._free:
            process = self._free.pop()
            if process.is_free:
                return process
        return None

    async def _wait(self, ctx: Context) -> HandlerProcess | datetime:
        """Wait for a free process, while the clock of the run stands still; return the deadline if it passes first."""
        if self._quiet:
            raise HandlerStopped
        waiter: asyncio.Future[HandlerProcess | datetime] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._tell_waiting()
        self._start_more()
        alarm = self._set_alarm(waiter, ctx.deadline)
        runner, soft = ctx.runner, ctx.soft_limit
        limit, asked = (_FAR if runner is None else runner.limit), (None if soft is None else soft.seconds)
        try:
            with contextlib.suppress(OutsideTaskError):
                ctx.extend(_FAR)
            process = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                process = waiter.result()
                if isinstance(process, HandlerProcess):
                    self._give_back(process)
            waiter.cancel()
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
            self._tell_waiting()
        if runner is not None and isinstance(process, HandlerProcess):
            with contextlib.suppress(OutsideTaskError):
                ctx.extend(limit)
            runner.began(limit)
            if soft is not None and asked is not None:
                soft.seconds = asked
        return process

    def _set_alarm(
        self, waiter: asyncio.Future[HandlerProcess | datetime], deadline: datetime | None
    ) -> asyncio.TimerHandle | None:
        """Let one wait no longer than until a deadline."""
        if deadline is None:
            return None

        def ring() -> None:
            if not waiter.done():
                waiter.set_result(deadline)

        left = (deadline - self._now()).total_seconds()
        return asyncio.get_running_loop().call_later(max(0.0, left), ring)

    def _give_back(self, process: HandlerProcess) -> None:
        """Let the next one have a process, or end it if it has done enough."""
        if not process.is_free or process not in self._members:
            return
        if (worn := self._worn(process)) is not None:
            self._members.discard(process)
            self._begin(process.finish(self._patience, worn))
            self._replace()
        elif (waiter := self._next_waiter()) is not None:
            waiter.set_result(process)
        else:
            self._free.append(process)

    def _worn(self, process: HandlerProcess) -> ProcessEnd | None:
        """Say why a process has done enough, if it has."""
        if self._max_tasks is not None and process.calls >= self._max_tasks:
            return ProcessEnd.MAX_TASKS
        if self._max_memory is not None and process.memory > self._max_memory:
            return ProcessEnd.MAX_MEMORY
        return None

    def _tell_waiting(self) -> None:
        waiting = sum(not waiter.done() for waiter in self._waiting)
        self._tell(CallsWaiting(worker=self._worker, waiting=waiting))

    def _next_waiter(self) -> asyncio.Future[HandlerProcess | datetime] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    # how many there are

    def _start_more(self) -> None:
        """Start as many processes as are waited for, within the size."""
        waiting = sum(not waiter.done() for waiter in self._waiting)
        while (
            self._starting < waiting and len(self._members) + self._starting < self._size and not self._closing.is_set()
        ):
            self._starting += 1
            self._begin(self._start_for_waiters())

    def _replace(self) -> None:
        """Start a process in place of one that ended, before anybody asks for it."""
        if not self._closing.is_set() and not self._quiet and len(self._members) + self._starting < self._size:
            self._starting += 1
            self._begin(self._start_for_waiters())

    async def _start_for_waiters(self) -> None:
        """
        Start a process for whoever waits longest.

        One that does not come up is tried again a little later. Those who wait learn why only if that happens again and
        again, and no other process is there to wait for.
        """
        try:
            await self._start_one()
        except ProcessStartError as error:
            self._failed_to_start(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_MOST_BETWEEN, _BETWEEN * 2**self._failures)):
                    await self._closing.wait()
        else:
            self._failures = 0
        finally:
            self._starting -= 1
        self._start_more()

    def _failed_to_start(self, error: ProcessStartError) -> None:
        if self._closing.is_set():
            return
        self._failures += 1
        self._tell(ProcessNotStarted(worker=self._worker, error=error.reason))
        if self._failures >= _ATTEMPTS and not self._members:
            while (waiter := self._next_waiter()) is not None:
                waiter.set_exception(error)

    async def _start_one(self) -> None:
        process = await HandlerProcess.start(self._launch, self._on_gone, self._starter)
        self._unborn.add(process)
        try:
            if self._closing.is_set():
                process.kill()
            await process.ready()
        finally:
            self._unborn.discard(process)
        self._members.add(process)
        self._tell(ProcessReady(worker=self._worker, pid=process.pid, after=process.age or 0.0))
        self._give_back(process)

    def _on_gone(self, process: HandlerProcess) -> None:
        """Tell of the end of a process that took calls, and replace one that was killed or died, if it worked."""
        if process.age is not None:
            self._tell(_ended(process, self._worker))
        if process not in self._members:
            return
        self._members.discard(process)
        with contextlib.suppress(ValueError):
            self._free.remove(process)
        if process.calls:
            self._replace()
        self._start_more()

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # end

    def quiet(self) -> None:
        """Let nothing more begin: who waits for a process has not begun, and is given back."""
        self._quiet = True
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(HandlerStopped())

    async def close(self) -> None:
        """Let all processes run their stop hooks and end; what still runs there is killed."""
        self.quiet()
        self._closing.set()
        for process in self._members | self._unborn:
            if process in self._unborn or not process.is_free:
                process.kill(ProcessEnd.STOP)
        if self._tasks:
            await asyncio.wait(self._tasks)
        members, self._members = self._members, set()
        self._free.clear()
        await asyncio.gather(*(process.finish(self._patience, ProcessEnd.STOP) for process in members))
        self._starter.shutdown(wait=False)


def _ended(process: HandlerProcess, worker: str) -> ProcessEnded:
    death = process.death
    return ProcessEnded(
        worker=worker,
        pid=process.pid,
        reason=process.end,
        how="" if death is None else death.text,
        calls=process.calls,
        peak_memory=0 if death is None else death.peak_memory,
    )
