"""
liveness: what a supervisor and its child process say to each other over their pipe, as frames of bytes.

A frame is four bytes of length and a message in msgpack, so that a page of metrics needs no escaping. Both ends come
from one installation, unless that was upgraded in between; a message that one does not know it passes over.
"""

from typing import Final

import msgspec
from msgspec import Struct

from jetq.errors import WireError
from jetq.wire.in_flight import RunInFlight

HEADER_SIZE: Final = 4
_MOST: Final = 64 * 1024 * 1024


class Started(Struct, frozen=True, tag="started"):
    """Child: it takes tasks now, as *worker*."""

    worker: str


class Blocked(Struct, frozen=True):
    """
    What blocks an event loop.

    Attributes:
        seconds: For how long, by now.
        task_id, task_type: Of the handler, where it is known.
        stack: Where its thread is.
    """

    seconds: float
    task_id: str = ""
    task_type: str = ""
    stack: str = ""


class Alive(Struct, frozen=True, omit_defaults=True, tag="alive"):
    """
    Child: a sign of life of its lease thread.

    Attributes:
        running: Tasks under way.
        done: Tasks that came to their end here so far.
        blocked: What blocks its event loop, if anything does.
        overdue: A handler that has outrun its limit and grace, in words.
        reasons: Why it takes no tasks, in sentences; nothing if it does.
    """

    running: int = 0
    done: int = 0
    blocked: Blocked | None = None
    overdue: str = ""
    reasons: list[str] = []


class Inherited(Struct, frozen=True, tag="inherited"):
    """Child: the runs of a dead worker are taken care of."""

    worker: str


class Leaving(Struct, frozen=True, tag="leaving"):
    """Child: somebody told it to stop, and it does."""


class Measured(Struct, frozen=True, tag="measured"):
    """Child: its metrics, as `observe.summing` reads them."""

    page: bytes


class Stop(Struct, frozen=True, omit_defaults=True, tag="stop"):
    """Supervisor: take no more tasks and end; *now* waits for none."""

    now: bool = False


class Quiet(Struct, frozen=True, tag="quiet"):
    """Supervisor: take no more tasks, and stay."""


class Measure(Struct, frozen=True, tag="measure"):
    """Supervisor: say your metrics."""


class Inherit(Struct, frozen=True, tag="inherit"):
    """
    Supervisor: let the tasks of a dead child run elsewhere.

    Attributes:
        worker: The dead one's id.
        death: How it died, in words.
        runs: What it had in flight.
    """

    worker: str
    death: str
    runs: list[RunInFlight]


FromChild = Started | Alive | Inherited | Leaving | Measured
ToChild = Stop | Quiet | Measure | Inherit

_encoder: Final = msgspec.msgpack.Encoder()
_from_child: Final[msgspec.msgpack.Decoder[FromChild]] = msgspec.msgpack.Decoder(FromChild)
_to_child: Final[msgspec.msgpack.Decoder[ToChild]] = msgspec.msgpack.Decoder(ToChild)


def frame(message: FromChild | ToChild) -> bytes:
    """Spell a message with its length before it."""
    data = _encoder.encode(message)
    return len(data).to_bytes(HEADER_SIZE, "big") + data


def body_size(header: bytes) -> int:
    """
    Return the bytes that follow a header.

    Raises:
        WireError: It is none.
    """
    size = int.from_bytes(header, "big")
    if size > _MOST:
        raise WireError(f"a frame of {size:,} bytes on a pipe between a supervisor and its child")
    return size


def read_from_child(data: bytes) -> FromChild | None:
    """Read a child's message; None if this version does not know it."""
    try:
        return _from_child.decode(data)
    except msgspec.MsgspecError:
        return None


def read_to_child(data: bytes) -> ToChild | None:
    """Read a supervisor's message; None if this version does not know it."""
    try:
        return _to_child.decode(data)
    except msgspec.MsgspecError:
        return None
