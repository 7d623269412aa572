"""
process_child: the inside of a process for handlers: takes calls, runs them in its main thread, says what happened.

One call at a time. The payload is bound, the function called and its result written as JSON here, and it is here that
the rules about exceptions decide, since their classes are here. So no object of the application ever travels: a result
that is no JSON, and an exception of whatever kind, read the same as from a handler on the loop or in a thread.

The context works as elsewhere. Progress and extensions are messages to the worker; ``ctx.enqueue`` uses a connection of
this process's own, made when it is first needed.
"""

import contextlib
import resource
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jetq.errors import InvalidPayloadError, SoftTimeout, WireError
from jetq.execution.composed import arguments_of
from jetq.execution.context import Context, Enqueuer, current_context
from jetq.execution.deciding import outcome_of
from jetq.execution.ending import after_return
from jetq.execution.failure import MAX_MESSAGE, shorten
from jetq.execution.interrupts import Interrupts
from jetq.execution.pools import HandlerStopped, each_call, plain_call
from jetq.execution.soft_limit import SoftLimit
from jetq.model.outcome import Failed, Interrupted, Invalid, Outcome, TimedOut
from jetq.model.progress import Progress
from jetq.model.record import ErrorInfo, TaskRecord
from jetq.observe.scope import TaskScope, current_scope
from jetq.routing.error_rules import ErrorRules
from jetq.routing.handler import Handler
from jetq.wire.codec import decode_record
from jetq.wire.process_call import (
    HEADER_SIZE,
    Call,
    FromProcess,
    Prolonged,
    Said,
    ToProcess,
    body_size,
    ended,
    frame,
    read_to_process,
)

_TELL_EVERY: Final = 0.02
"""Seconds between two words about progress; the worker's loop must have time for others."""
_PAGE: Final = resource.getpagesize()
_KIBIBYTE: Final = 1024
_CHUNK: Final = 256 * 1024


class Line:
    """
    The process's end of the socket.

    Args:
        end: Blocking.
        interrupts: Must not tear a message apart.
    """

    def __init__(self, end: socket.socket, interrupts: Interrupts) -> None:
        self._end = end
        self._interrupts = interrupts
        self._lock = threading.Lock()
        self._read = bytearray()

    def hear(self) -> ToProcess | None:
        """
        Wait for the next message; None if there is nobody any more.

        Raises:
            WireError: It cannot be read.
        """
        if not self._fill(HEADER_SIZE) or not self._fill(size := HEADER_SIZE + body_size(self._read)):
            return None
        body = bytes(self._read[HEADER_SIZE:size])
        del self._read[:size]
        return read_to_process(body)

    def _fill(self, size: int) -> bool:
        while len(self._read) < size:
            try:
                data = self._end.recv(_CHUNK)
            except OSError:
                return False
            if not data:
                return False
            self._read += data
        return True

    def say(self, message: FromProcess) -> None:
        """Send a message, from any thread; if nobody is there any more, this process is about to end."""
        data = frame(message)
        with self._interrupts.shielded(), self._lock:
            try:
                self._end.sendall(data)
            except OSError:
                return


class Reports:
    """
    What a handler says while it runs, on its way to the worker.

    Args:
        line: To the worker.
        interrupts: Must not tear apart what is said.
    """

    def __init__(self, line: Line, interrupts: Interrupts) -> None:
        self._line = line
        self._interrupts = interrupts
        self._number = 0
        self._task: TaskRecord | None = None
        self._said_at = 0.0
        self._lock = threading.Lock()
        self._latest: deque[Said] = deque(maxlen=1)
        self._awake = threading.Event()
        self._teller: threading.Thread | None = None

    def begin(self, number: int, task: TaskRecord) -> None:
        """Speak for another call from now on; threads that an earlier one left behind are not heard."""
        self._number, self._task = number, task

    def finish(self) -> None:
        """Say what was not said yet."""
        if self._latest or self._teller is not None:
            self._tell()

    def report(self, task: TaskRecord, progress: Progress) -> None:
        """Say how far the run is; what comes in quick succession is said by and by, the last of it for certain."""
        if task is not self._task:
            return
        self._latest.append(Said(self._number, progress.current, progress.total, progress.text))
        if time.monotonic() - self._said_at >= _TELL_EVERY:
            self._tell()
            return
        if self._teller is None:
            self._teller = threading.Thread(target=self._tell_later, name="jetq-progress", daemon=True)
            self._teller.start()
        self._awake.set()

    def extended(self, task: TaskRecord, ends: float) -> None:
        """Say that the run takes longer."""
        if task is self._task:
            self._line.say(Prolonged(self._number, max(0.001, ends - time.monotonic())))

    def _tell(self) -> None:
        with self._interrupts.shielded(), self._lock:
            self._said_at = time.monotonic()
            with contextlib.suppress(IndexError):
                self._line.say(self._latest.popleft())

    def _tell_later(self) -> None:
        while True:
            self._awake.wait()
            self._awake.clear()
            time.sleep(_TELL_EVERY)
            self._tell()


class _Run:
    """The run of the moment, as its context sees it."""

    def __init__(self, interrupts: Interrupts, limit: float) -> None:
        self._interrupts = interrupts
        self.limit = limit

    @property
    def is_over(self) -> bool:
        """Whether it was told to end, or has."""
        return self._interrupts.is_over

    @property
    def timed_out(self) -> bool:
        """Whether its limit is over; then this process is."""
        return False

    def extended(self) -> None:
        """Nothing: the worker's clock counts."""

    def began(self, limit: float) -> None:
        """Nothing: it began when it came here."""


@dataclass(frozen=True, kw_only=True)
class Household:
    """
    What the application has for handlers in its processes.

    Attributes:
        handlers: By pattern.
        worker: The worker's id.
        errors: Which exceptions are worth another try, where a handler does not say.
        logger: For ``ctx.logger``.
        enqueuer: For ``ctx.enqueue``.
        state: For ``ctx.state``.
        measures: Whether to say how much memory is held.
    """

    handlers: Mapping[str, Handler]
    worker: str
    errors: ErrorRules
    logger: Any
    enqueuer: Enqueuer
    state: Any = None
    measures: bool = False


class ProcessServer:
    """
    Runs one call after the other.

    Args:
        line: To the worker.
        interrupts: Of this process.
        household: What the application has.
    """

    def __init__(self, line: Line, interrupts: Interrupts, household: Household) -> None:
        self._line = line
        self._interrupts = interrupts
        self._household = household
        self._reports = Reports(line, interrupts)

    def serve(self) -> None:
        """Take calls until the worker says that it is enough, or is gone."""
        while isinstance(call := self._line.hear(), Call):
            outcome = self._outcome(call)
            self._reports.finish()
            self._line.say(ended(call.number, outcome, memory_held() if self._household.measures else 0))

    def _outcome(self, call: Call) -> Outcome:
        home = self._household
        handler = home.handlers.get(call.pattern)
        if handler is None or handler.name != call.name:
            return _unknown(call)
        try:
            record = decode_record(call.record).record
        except WireError as error:
            return Failed(ErrorInfo(type=type(error).__name__, message=str(error)))
        self._reports.begin(call.number, record)
        ctx = Context(
            record,
            worker=home.worker,
            limit=call.limit,
            logger=home.logger,
            enqueuer=home.enqueuer,
            reporter=self._reports,
            soft_limit=SoftLimit(0.0, 0.0),
            state=home.state,
        )
        ctx.runner = _Run(self._interrupts, call.limit)
        scope = current_scope.set(TaskScope(record.id, record.type, record.queue, record.runs, home.worker))
        current = current_context.set(ctx)
        try:
            return self._carried_out(handler, ctx)
        finally:
            current_context.reset(current)
            current_scope.reset(scope)

    def _carried_out(self, handler: Handler, ctx: Context) -> Outcome:
        try:
            ctx.arguments = arguments_of(handler, ctx.task)
        except InvalidPayloadError as error:
            return Invalid(shorten(error.reason, MAX_MESSAGE))
        except Exception as error:  # noqa: BLE001 - a model's validator is the user's code
            return outcome_of(error, self._rules(handler), ctx)
        options = ctx.task.options
        call = (each_call if options is not None and options.each else plain_call)(handler, ctx)
        soft = ctx.soft_limit or SoftLimit(0.0, 0.0)
        attempt = _Attempt(call, self._interrupts, soft)
        attempt.make()
        raised = attempt.error
        if raised is None:
            return after_return(attempt.value)
        if isinstance(raised, HandlerStopped):
            return Interrupted()
        if isinstance(raised, SoftTimeout) and soft.reached:
            return TimedOut(0.0, soft=True)
        return outcome_of(raised, self._rules(handler), ctx)

    def _rules(self, handler: Handler) -> ErrorRules:
        return handler.options.errors.within(self._household.errors)


class _Attempt:
    """
    One call of a handler, and what interrupts it.

    Each of the two interruptions comes once at most, at any place between the opening and the closing of the
    interrupts, so also between the handler's end and there; so each is caught around all that was before.
    """

    def __init__(self, call: Callable[[], Any], interrupts: Interrupts, soft: SoftLimit) -> None:
        self._call = call
        self._interrupts = interrupts
        self._soft = soft
        self._returned = False
        self.value: Any = None
        self.error: BaseException | None = None

    def make(self) -> None:
        """Call, and come back only when nothing can be raised any more."""
        try:
            try:
                self._make()
                self._interrupts.close()
            except (HandlerStopped, SoftTimeout) as error:
                self._interrupted(error)
                self._interrupts.close()
        except (HandlerStopped, SoftTimeout) as error:
            self._interrupted(error)
            self._interrupts.close()

    def _make(self) -> None:
        try:
            self._interrupts.open(self._soft)
            self.value = self._call()
            self._returned = True
        except BaseException as error:  # noqa: BLE001 - whatever the handler raises, the process lives on
            self.error = error

    def _interrupted(self, error: BaseException) -> None:
        """Take note of an exception that came after the handler had ended; what was returned in time counts."""
        if self.error is None and not (self._returned and isinstance(error, SoftTimeout)):
            self.error = error


def _unknown(call: Call) -> Failed:
    """Say that this process does not know a handler that its worker knows; the code has changed in between."""
    text = (
        f"a process that was started for {call.pattern!r} does not find {call.name} there: "
        "the application's code changed after its worker was started; restart the worker"
    )
    return Failed(ErrorInfo(type="ProcessStartError", message=text))


def memory_held() -> int:
    """Return the bytes of memory that this process holds; where the system does not say, the most that it ever held."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read after each call
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * _KIBIBYTE
