"""
control: requests to workers and their answers, as bytes. See docs/reference/protocol.md.
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from jetq.errors import WireError
from jetq.model.running import RunningTask
from jetq.wire.unreadable import UNREADABLE


class ControlRequest(Struct, frozen=True, omit_defaults=True):
    """
    A question to a worker.

    Attributes:
        op: ``ping`` asks for a sign of life; ``running`` asks whether a run is still going on; ``cancel`` wants it to
            stop; ``lost`` says that another worker has its task, so that nothing it writes counts; ``inspect`` asks for
            the tasks that run; ``quiet`` wants the worker to take no more tasks, ``stop`` to end when those that run
            have ended.
        task: The task's id.
        attempt, nonce: Of the run.
        item: Sequence of the item that the asker was given.
        reply: Where that item is acknowledged; an owner whose item was replaced adopts it.
        queue: Where that item is; an owner that holds one of another queue does not adopt it.
        by: Who wants a run to stop.
    """

    op: Literal["ping", "running", "cancel", "lost", "inspect", "quiet", "stop"]
    task: str = ""
    attempt: int = 0
    nonce: str = ""
    item: int = 0
    reply: str = ""
    queue: str = ""
    by: str = ""


class ControlReply(Struct, frozen=True, omit_defaults=True):
    """
    A worker's answer.

    Attributes:
        worker: Who answers.
        running: For ``running`` and ``cancel``: whether the run is in its table.
        item: Sequence of the item that the owner holds.
        count: For ``ping``, ``inspect``, ``quiet`` and ``stop``: tasks that run.
        state: For these as well: what it does with its queues, one of `model.running.WorkerState`; for ``quiet`` and
            ``stop``, before it hears of that.
        tasks: For ``inspect``: the tasks that run.
    """

    worker: str
    running: bool = False
    item: int = 0
    count: int = 0
    state: str = ""
    tasks: list[RunningTask] = []


_encoder: Final = msgspec.json.Encoder()
_requests: Final = msgspec.json.Decoder(ControlRequest)
_replies: Final = msgspec.json.Decoder(ControlReply)


def encode_control(message: ControlRequest | ControlReply) -> bytes:
    """Spell a request or an answer."""
    return _encoder.encode(message)


def decode_control_request(data: bytes) -> ControlRequest | None:
    """Read a request; None if it is none that this version knows."""
    try:
        return _requests.decode(data)
    except UNREADABLE:
        return None


def decode_control_reply(data: bytes) -> ControlReply:
    """
    Read an answer.

    Raises:
        WireError: It is none.
    """
    try:
        return _replies.decode(data)
    except UNREADABLE as error:
        raise WireError(str(error)) from error
