"""
process_call: what a worker and a process for its handlers say to each other over their socket, as frames of bytes.

A frame is four bytes of length and a message in msgpack. Both ends are one program: the worker starts the process from
its own installation. Nothing but data travels: a task's record as JSON, outcomes as values, exceptions as text. (The
address of the server, with its secrets, is pickled; it comes from the worker, who chose the process's program as well.)
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from jetq.errors import WireError
from jetq.model import outcome as outcomes
from jetq.model.outcome import Outcome

HEADER_SIZE: Final = 4
_MOST: Final = 2**31


class Begin(Struct, frozen=True, kw_only=True, tag="begin"):
    """
    Worker: load the application and make ready.

    Attributes:
        application: Where it is found, as ``MODULE:ATTRIBUTE``.
        path: Where modules are looked for.
        namespace: Prefix of all streams.
        address: Of the server, pickled.
        worker: The worker's id.
        log_level, log_format, log_colors, log_lock: How the worker's log was configured; no level if it was not.
        measures: Whether to say how much memory is held after each call.
    """

    application: str
    path: list[str]
    namespace: str
    address: bytes
    worker: str
    log_level: str = ""
    log_format: str = ""
    log_colors: bool = False
    log_lock: int = -1
    measures: bool = False


class Call(Struct, frozen=True, tag="call"):
    """
    Worker: run a handler.

    Attributes:
        number: Of the call; what is said about another one is late, and does not count.
        pattern: Which handler.
        name: Of its function.
        record: The task, as JSON.
        limit: Seconds that the run may take.
    """

    number: int
    pattern: str
    name: str
    record: bytes
    limit: float


class Finish(Struct, frozen=True, tag="finish"):
    """Worker: run the stop hooks, and end."""


class Ready(Struct, frozen=True, tag="ready"):
    """Process: it takes calls."""


class Unready(Struct, frozen=True, tag="unready"):
    """Process: the application could not be made ready, and the process ends."""

    reason: str
    traceback: str = ""


class Said(Struct, frozen=True, tag="said"):
    """Process: the handler's word about its progress."""

    number: int
    current: float
    total: float | None
    text: str


class Prolonged(Struct, frozen=True, tag="prolonged"):
    """Process: the run is to take *seconds* from now."""

    number: int
    seconds: float


class Ended(Struct, frozen=True, tag="ended"):
    """
    Process: the call has ended.

    Attributes:
        number: Of the call.
        kind: Of its outcome.
        outcome: The outcome, in msgpack.
        memory: Bytes that the process holds; 0 if nobody wants to know.
    """

    number: int
    kind: str
    outcome: Raw
    memory: int = 0


ToProcess = Begin | Call | Finish
FromProcess = Ready | Unready | Said | Prolonged | Ended

_KINDS: Final[dict[str, type[Outcome]]] = {
    kind.__name__: kind
    for kind in (
        outcomes.Succeeded,
        outcomes.Failed,
        outcomes.TimedOut,
        outcomes.GivenUp,
        outcomes.Retried,
        outcomes.Terminated,
        outcomes.Snoozed,
        outcomes.Interrupted,
        outcomes.Invalid,
        outcomes.Unstorable,
    )
}
_encoder: Final = msgspec.msgpack.Encoder()
_to_process: Final[msgspec.msgpack.Decoder[ToProcess]] = msgspec.msgpack.Decoder(ToProcess)
_from_process: Final[msgspec.msgpack.Decoder[FromProcess]] = msgspec.msgpack.Decoder(FromProcess)


def frame(message: ToProcess | FromProcess) -> bytes:
    """Spell a message with its length before it."""
    data = _encoder.encode(message)
    return len(data).to_bytes(HEADER_SIZE, "big") + data


def body_size(header: bytes | bytearray) -> int:
    """
    Return the bytes that follow a header.

    Raises:
        WireError: It is none.
    """
    size = int.from_bytes(header[:HEADER_SIZE], "big")
    if size > _MOST:
        raise WireError(f"a frame of {size:,} bytes between a worker and a process for its handlers")
    return size


def read_to_process(data: bytes) -> ToProcess:
    """
    Read a worker's message.

    Raises:
        WireError: It is none.
    """
    try:
        return _to_process.decode(data)
    except msgspec.MsgspecError as error:
        raise WireError(f"a worker's message to a process for its handlers cannot be read: {error}") from None


def read_from_process(data: bytes | bytearray) -> FromProcess:
    """
    Read a process's message.

    Raises:
        WireError: It is none.
    """
    try:
        return _from_process.decode(data)
    except msgspec.MsgspecError as error:
        raise WireError(f"a message of a process for handlers cannot be read: {error}") from None


def ended(number: int, outcome: Outcome, memory: int) -> Ended:
    """Return the message that a call ended so."""
    return Ended(number, type(outcome).__name__, Raw(_encoder.encode(outcome)), memory)


def outcome_of(message: Ended) -> Outcome:
    """
    Return how a call ended.

    Raises:
        WireError: It is no outcome of a call.
    """
    try:
        return msgspec.msgpack.decode(message.outcome, type=_KINDS[message.kind])
    except (KeyError, msgspec.MsgspecError) as error:
        raise WireError(f"an outcome of kind {message.kind!r} cannot be read: {error}") from None
