"""
handler_process: one process of the pool, as its worker sees it: its start, its calls, its signals, its death.

It is a fresh interpreter, not a fork: this process has threads and an event loop, which a fork would copy in whatever
state they are. (A fork server would start faster, and would hand on to all processes what the application's modules
hold when they are imported: connections, threads, random numbers. multiprocessing and concurrent.futures bring their
own helper processes, semaphores and threads, pickle whatever goes over, and reap without telling how a process died.)

It leads a session and a group of its own. So Ctrl-C does not reach it, and what its handlers started ends with it: who
kills it kills the group. Three things tie it to this process: the socket, whose end it finds when it waits for a call;
a pipe, whose end wakes a thread of its own; and, on Linux, the signal that the kernel sends at that end, which needs
nobody's cooperation.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, Self, cast

from msgspec import Struct

from jetq.errors import JetqError, ProcessDiedError, ProcessStartError, WireError
from jetq.execution.context import Context
from jetq.execution.interrupts import SOFTEN, STOP
from jetq.model.surroundings import ProcessEnd
from jetq.routing.handler import Handler
from jetq.wire.death import Death, death_of
from jetq.wire.process_call import (
    HEADER_SIZE,
    Begin,
    Call,
    Ended,
    Finish,
    FromProcess,
    Prolonged,
    Ready,
    Said,
    ToProcess,
    Unready,
    body_size,
    frame,
    read_from_process,
)

START_TIMEOUT: Final = 60.0
"""Seconds in which a process must have loaded the application."""
_HOUSE: Final = str(Path(__file__).parents[2])
"""Where this installation is."""
_START: Final = "import sys; sys.path.append({!r}); from {} import main; main()"
"""The working directory is not looked at before the application needs it: a file there may have the name of a module
of Python's own."""
_REAP_EVERY: Final = 0.002
"""Seconds; a process is dead by the time that its sockets are closed, or a moment later."""


class Launch(Struct, frozen=True, kw_only=True):
    """
    How a process is started.

    Attributes:
        program: The module whose ``main`` is run.
        begin: What it is told first.
    """

    program: str
    begin: Begin


class CallNotReadError(Exception):
    """A process died before it read the call that it was given: nothing of it has run."""


class HandlerProcess(asyncio.Protocol):
    """
    A process for handlers. Made by :meth:`start`, in the worker's loop.

    Args:
        process: It.
        lifeline: This process's end of the pipe; it is kept open.
        on_gone: Told when the process has died.

    Attributes:
        pid: Of the process.
        calls: That it was given.
        memory: Bytes that it held after the last one; 0 if it was not to say.
        age: Seconds from its start until it took calls; None before.
        end: Why it ends, as far as that was our doing.
        death: How it ended; None while it lives.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], lifeline: int, on_gone: Callable[["HandlerProcess"], None]
    ) -> None:
        self.pid = process.pid
        self.calls = 0
        self.memory = 0
        self.age: float | None = None
        self.end = ProcessEnd.CRASH
        self.death: Death | None = None
        self._begun = time.monotonic()
        self._process = process
        self._lifeline = lifeline
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._call: asyncio.Future[Ended] | None = None
        self._context: Context | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._burial: asyncio.Task[None] | None = None

    # start

    @classmethod
    async def start(cls, launch: Launch, on_gone: Callable[["HandlerProcess"], None], starter: Executor) -> Self:
        """
        Start a process; see :meth:`ready`. Not to be cancelled, since a process without its parent would be left.

        Args:
            launch: How.
            on_gone: Told when it has died.
            starter: A thread that may wait until the system has started it.

        Raises:
            ProcessStartError: The system refuses.
        """
        near, far = socket.socketpair()
        watched, lifeline = os.pipe()
        inherited = [descriptor for descriptor in (far.fileno(), watched, launch.begin.log_lock) if descriptor >= 0]
        command = [sys.executable, "-P", "-c", _START.format(_HOUSE, launch.program), str(far.fileno()), str(watched)]
        try:
            process = await asyncio.get_running_loop().run_in_executor(starter, _popen, command, inherited)
        except OSError as error:
            near.close()
            os.close(lifeline)
            raise ProcessStartError(str(error)) from None
        finally:
            far.close()
            os.close(watched)
        made = cls(process, lifeline, on_gone)
        near.setblocking(False)
        await made._loop.create_unix_connection(lambda: made, sock=near)
        made._say(launch.begin)
        return made

    async def ready(self) -> None:
        """
        Wait until it takes calls.

        Raises:
            ProcessStartError: It does not come so far, and is gone.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._ready
        except TimeoutError:
            reason = f"the application was not ready after {START_TIMEOUT:g} s"
            raise ProcessStartError(reason) from None
        except ProcessDiedError as died:
            raise ProcessStartError(died.death) from None
        finally:
            if not self._ready.done() or self._ready.cancelled() or self._ready.exception() is not None:
                self.kill()
                await self.gone()

    # calls

    @property
    def is_free(self) -> bool:
        """Whether it lives and runs nothing."""
        return self._call is None and not self._gone.done() and self._burial is None

    def call(self, handler: Handler, ctx: Context, record: bytes) -> asyncio.Future[Ended]:
        """
        Let it run a handler; the future's exception may be :class:`ProcessDiedError` or :class:`CallNotReadError`.

        Args:
            handler: What runs.
            ctx: For what; told what the handler says meanwhile.
            record: The context's task as JSON.
        """
        self.calls += 1
        self._context = ctx
        self._call = call = self._loop.create_future()
        self._say(Call(self.calls, handler.pattern, handler.name, record, ctx.time_left))
        return call

    def soften(self) -> None:
        """Ask the handler to end."""
        self._signal(SOFTEN)

    async def stop(self, grace: float) -> None:
        """Stop the handler; one that has not ended within *grace* seconds ends with the process; 0 is its limit."""
        call = self._call
        if call is None or call.done():
            return
        if grace > 0:
            self._signal(STOP)
            await asyncio.wait([call], timeout=grace)
        if not call.done():
            self.kill(ProcessEnd.CANCEL if grace > 0 else ProcessEnd.TIME_LIMIT)

    def _ended(self) -> asyncio.Future[Ended] | None:
        call, self._call, self._context = self._call, None, None
        return None if call is None or call.done() else call

    # end

    def kill(self, why: ProcessEnd | None = None) -> None:
        """End it where it stands, and all that it started; the first reason is the one that counts."""
        if self._process.returncode is None:
            if why is not None and self.end is ProcessEnd.CRASH:
                self.end = why
            for kill in (os.killpg, os.kill):  # its group, and itself if it left that
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)

    async def finish(self, patience: float, why: ProcessEnd) -> None:
        """Let it run its stop hooks and end; it is killed when its *patience* in seconds is over."""
        if not self._gone.done():
            self.end = why
        self._say(Finish())
        await asyncio.wait([self._gone], timeout=patience)
        self.kill()
        await self.gone()

    async def gone(self) -> None:
        """Wait until it has died."""
        await asyncio.shield(self._gone)

    def _signal(self, number: int | None) -> None:
        """Send a signal to the process alone; its number is its own until it was waited for."""
        if self._process.returncode is None and number is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Find out how it died.

        Linux fails the connection, instead of ending it, when what was written to it last has not been read.
        """
        self._burial = self._loop.create_task(self._bury(is_read=exc is None))

    async def _bury(self, *, is_read: bool) -> None:
        """
        End what it left behind, and learn how it died.

        Until it was waited for, its number is that of its group, and nobody else's.
        """
        self.kill()
        death = self.death = await self._reaped()
        os.close(self._lifeline)
        error = ProcessDiedError(death.text, death.status, death.peak_memory)
        if not self._ready.done():
            self._ready.set_exception(error)
        call = self._ended()
        if call is not None:
            call.set_exception(error if is_read else CallNotReadError())
        self._gone.set_result(None)
        self._on_gone(self)

    async def _reaped(self) -> Death:
        """Return how it died; who closes its end of the socket is dead a moment later."""
        pid = status = peak = 0
        while not pid:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)  # noqa: ASYNC222 - it returns at once
            except ChildProcessError:  # somebody else has waited for it, as a handler may
                break
            peak = usage.ru_maxrss
            if not pid:
                await asyncio.sleep(_REAP_EVERY)
        death = death_of(status, peak)
        self._process.returncode = death.status
        return death

    # socket

    def _say(self, message: ToProcess) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(message))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what the process says."""
        received = self._received
        received += data
        try:
            while len(received) >= HEADER_SIZE and len(received) >= (size := HEADER_SIZE + body_size(received)):
                message = read_from_process(received[HEADER_SIZE:size])
                del received[:size]
                self._hear(message)
        except WireError:  # a handler wrote to what is not its own
            self.kill()

    def _hear(self, message: FromProcess) -> None:
        match message:
            case Ended():
                if message.number == self.calls and (call := self._ended()) is not None:
                    self.memory = message.memory
                    call.set_result(message)
            case Said() | Prolonged():
                if self._context is not None and message.number == self.calls:
                    _hand_on(message, self._context)
            case Ready():
                if not self._ready.done():
                    self.age = time.monotonic() - self._begun
                    self._ready.set_result(None)
            case Unready():
                if not self._ready.done():
                    self._ready.set_exception(ProcessStartError(message.reason, message.traceback))


def _hand_on(message: Said | Prolonged, ctx: Context) -> None:
    """Say what a handler says; a run that was told to end cannot be extended."""
    with contextlib.suppress(JetqError):
        if isinstance(message, Said):
            ctx.progress(message.current, message.total, message.text)
        else:
            ctx.extend(message.seconds)


def _popen(command: list[str], inherited: list[int]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=subprocess.DEVNULL, pass_fds=inherited, start_new_session=True
    )
