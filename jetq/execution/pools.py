"""
pools: where handlers run. The only place that calls them.

Async handlers run on the loop, in the asyncio task of their run. Sync ones run in threads of our own, with a copy of
the context variables.

A thread cannot be killed. When its run is cancelled (time limit, shutdown, cancel) an exception is raised in it, which
takes effect at the next Python instruction, so not within a blocking call; if the handler has not ended after a grace,
the thread is given up: it ends whenever its handler does, what that returns is dropped, and another thread takes its
place. Threads are daemons: one that hangs does not keep the process.

At a soft time limit SoftTimeout is raised in the same way, which a handler may catch.

The exceptions must not hit anything but the handler. A job is interrupted at most once by each of the two. Interrupter
and thread share a ticket, a lock of one job: the interrupter holds it while it raises an exception, and only if it gets
it without waiting; the thread takes it when the handler has ended, never gives it back, and then takes back what is
pending. So nothing is raised in a thread after :meth:`_Thread._close`. Between the handler's end and there the two may
still come, and each is caught around all that was before; the ticket is reentrant, since one may come right after it
was taken.
"""

import asyncio
import ctypes
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from jetq.errors import Signal, SoftTimeout
from jetq.execution.composed import calls_of, place
from jetq.execution.context import Context
from jetq.execution.middleware import CallNext
from jetq.execution.soft_limit import SoftLimit
from jetq.routing.handler import Handler

GRACE: Final = 5.0
"""Seconds that a handler may take to end after it was told to."""


class HandlerStopped(BaseException):
    """Raised in the thread of a sync handler that must end; ``except Exception`` lets it by."""


_INTERRUPTIONS: Final = (HandlerStopped, SoftTimeout)


def on_loop(handler: Handler) -> CallNext:
    """Return what calls an async handler with the arguments of its context."""
    function = handler.function
    if not inspect.iscoroutinefunction(function):
        return _maybe_awaited(handler)
    if handler.takes_context:

        def with_context(ctx: Context) -> Any:
            args, kwargs = ctx.arguments
            return function(ctx, *args, **kwargs)

        return with_context

    def call(ctx: Context) -> Any:
        args, kwargs = ctx.arguments
        return function(*args, **kwargs)

    return call


def _maybe_awaited(handler: Handler) -> CallNext:
    """Return what calls a plain wrapper of an async function: it may hand on the coroutine, or not."""

    async def call(ctx: Context) -> Any:
        value = plain_call(handler, ctx)()
        return await value if inspect.isawaitable(value) else value

    return call


def each_on_loop(handler: Handler) -> CallNext:
    """Return what calls an async handler once for each of the calls in its context (`execution.composed`)."""
    one = on_loop(handler)

    async def call(ctx: Context) -> Any:
        results: list[Any] = []
        for number, arguments in enumerate(calls_of(ctx)):
            ctx.arguments = arguments
            with place(number):
                value = await one(ctx)
            if isinstance(value, Signal):
                return value
            results.append(value)
            await asyncio.sleep(0)  # a handler that never waits must not hold the loop, nor outrun its time limit
        return results

    return call


def each_call(handler: Handler, ctx: Context) -> Callable[[], Any]:
    """Return what calls a sync handler once for each of the calls in its context."""
    calls = calls_of(ctx)

    def call() -> Any:
        results: list[Any] = []
        for number, arguments in enumerate(calls):
            ctx.arguments = arguments
            with place(number):
                value = plain_call(handler, ctx)()
            if isinstance(value, Signal):
                return value
            results.append(value)
        return results

    return call


def plain_call(handler: Handler, ctx: Context) -> Callable[[], Any]:
    """Return the call of a handler with the arguments of its context."""
    args, kwargs = ctx.arguments
    return (
        partial(handler.function, ctx, *args, **kwargs)
        if handler.takes_context
        else partial(handler.function, *args, **kwargs)
    )


class _Job:
    """One call in a thread."""

    __slots__ = (
        "call",
        "claim",
        "done",
        "error",
        "finished",
        "gone",
        "loop",
        "returned",
        "softened",
        "thread",
        "ticket",
        "unwanted",
        "value",
    )

    def __init__(self, call: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.call = call
        self.loop = loop
        self.done: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] | None = None
        self.finished = False
        self.claim = threading.Lock()
        """Whoever gets it first decides: a thread runs the job, or the waiter takes it back."""
        self.ticket = threading.RLock()
        self.thread: _Thread | None = None
        self.unwanted = False
        self.softened = False
        self.returned = False
        self.value: Any = None
        self.error: BaseException | None = None

    def outcome(self) -> Any:
        """Return what the call returned, or raise what it raised."""
        error, self.error = self.error, None
        if error is None:
            return self.value
        try:
            raise error
        finally:
            del error

    def interrupt(self) -> None:
        """Raise HandlerStopped in the job's thread, unless its call has ended."""
        if self.unwanted:
            return
        self.unwanted = True
        self._raise(HandlerStopped)

    def soften(self) -> None:
        """Raise SoftTimeout in the job's thread, unless its call has ended or is told to end anyway."""
        if not self.unwanted and not self.softened:
            self.softened = True
            self._raise(SoftTimeout)

    def _raise(self, error: type[BaseException]) -> None:
        if self.thread is not None and self.ticket.acquire(blocking=False):
            try:
                _raise_in(self.thread.ident, error)
            finally:
                self.ticket.release()

    def interrupted(self, error: BaseException) -> None:
        """Take note of an exception that came after the call had ended; what was returned in time counts."""
        if self.error is None and not (self.returned and isinstance(error, SoftTimeout)):
            self.error = error


class _Thread(threading.Thread):
    """A thread of the pool."""

    def __init__(self, pool: "ThreadPool", number: int) -> None:
        super().__init__(name=f"jetq-handler-{number}", daemon=True)
        self._pool = pool
        self.given_up = False

    def run(self) -> None:
        """Take jobs until the pool closes or gives this thread up."""
        jobs = self._pool.jobs
        while not self.given_up:
            job = jobs.get()
            if job is None:
                jobs.put(None)
                break
            if job.claim.acquire(blocking=False):
                self._carry_out(job)
                self._pool.tell(job.loop, self._pool.ended, job)
            del job
        self._pool.tell(self._pool.loop, self._pool.left, self)

    def _carry_out(self, job: _Job) -> None:
        """Run a job, and come back only when nothing can be raised in this thread any more."""
        try:
            try:
                self._call(job)
                self._close(job)
            except _INTERRUPTIONS as error:
                job.interrupted(error)
                self._close(job)
        except _INTERRUPTIONS as error:
            job.interrupted(error)
            self._close(job)

    def _call(self, job: _Job) -> None:
        try:
            job.thread = self
            if job.unwanted:
                raise HandlerStopped  # noqa: TRY301 - the interrupter came before the thread had a name
            if job.softened:
                raise SoftTimeout  # noqa: TRY301 - as above
            job.value = job.call()
            job.returned = True
        except BaseException as error:  # noqa: BLE001 - whatever the handler raises, the thread lives on
            job.error = error

    def _close(self, job: _Job) -> None:
        job.ticket.acquire()
        _raise_in(self.ident, None)


def _raise_in(thread: int | None, error: type[BaseException] | None) -> None:
    """Raise an exception in another thread, or take back one that it has not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread or 0), None if error is None else ctypes.py_object(error)
    )


class ThreadPool:
    """
    Threads for sync handlers, started when they are needed. All methods are called in one event loop.

    Args:
        threads: How many calls may run at one time.
        grace: Seconds that a handler may take to end after it was told to.
    """

    def __init__(self, threads: int, *, grace: float = GRACE) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._limit = threads
        self._grace = grace
        self._threads: set[_Thread] = set()
        self._running: set[_Job] = set()
        self._made = 0
        self._closed = False
        self._empty: asyncio.Future[None] | None = None

    @property
    def threads(self) -> int:
        """Threads that may take jobs."""
        return len(self._threads)

    def caller(
        self, handler: Handler, prepared: Callable[[Handler, Context], Callable[[], Any]] = plain_call
    ) -> CallNext:
        """Return what calls a sync handler with the arguments of its context, as *prepared* makes the call of them."""

        async def call(ctx: Context) -> Any:
            return await self.run(prepared(handler, ctx), ctx.soft_limit)

        return call

    async def run(self, call: Callable[[], Any], soft: SoftLimit | None = None) -> Any:
        """Call a function in a thread. Cancelling stops it, or gives its thread up after the grace; *soft* asks it."""
        if self._closed:
            raise RuntimeError("the pool is closed")
        self.loop = loop = asyncio.get_running_loop()
        job = _Job(partial(copy_context().run, call), loop)
        self._running.add(job)
        self.jobs.put(job)
        self._start_threads()
        if soft is not None:
            soft.interrupt = job.soften
        try:
            await job.done
        except asyncio.CancelledError:
            if not job.finished:
                await self._stop(job)
            raise
        finally:
            if soft is not None:
                soft.interrupt = None
        return job.outcome()

    def _start_threads(self) -> None:
        while len(self._threads) < min(self._limit, len(self._running)):
            self._made += 1
            thread = _Thread(self, self._made)
            self._threads.add(thread)
            thread.start()

    def tell(self, loop: asyncio.AbstractEventLoop | None, callback: Callable[[Any], None], argument: Any) -> None:
        """Call back in the loop, from a thread."""
        try:
            if loop is not None:
                loop.call_soon_threadsafe(callback, argument)
        except RuntimeError:
            return  # the loop is closed: nobody waits

    def ended(self, job: _Job) -> None:
        """Hand on that a job's call has ended."""
        job.finished = True
        self._running.discard(job)
        for waiter in (job.done, job.gone):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def left(self, thread: _Thread) -> None:
        """Note that a thread ends."""
        self._threads.discard(thread)
        if not self._threads and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    async def _stop(self, job: _Job) -> None:
        """Take a job back, or stop its handler; return when it has ended or its thread was given up."""
        if job.claim.acquire(blocking=False):
            self._running.discard(job)
            return
        job.gone = asyncio.get_running_loop().create_future()
        job.interrupt()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([job.gone], timeout=self._grace)
        if job.thread is not None and not job.finished:
            job.thread.given_up = True
            self._threads.discard(job.thread)
            self._running.discard(job)
            self._start_threads()

    async def close(self) -> None:
        """Stop what runs, and end the threads; those that do not end within the grace are left behind."""
        self._closed = True
        self.jobs.put(None)
        for job in list(self._running):
            if job.claim.acquire(blocking=False):
                job.error = HandlerStopped()
                self.ended(job)
            else:
                job.interrupt()
        if self._threads:
            waited = list(self._threads)
            self._empty = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._empty], timeout=self._grace)
            for thread in waited:
                if thread not in self._threads:
                    thread.join()
