"""
api_call: one question to the JetStream API, and its answer.

In a cluster, who could answer may be electing a leader, or may not see enough of the others. Some of its servers then
say nothing, and some say so, once that has lasted. Neither is a refusal: nothing was done, and it passes. So the
question is asked again until there is another answer, or no time.

Nobody answers for a stream that has just been made, until its servers have elected who does. So who only asks, and does
not want anything changed, asks once more when the answer does not come.
"""

import asyncio
import time
from typing import Any, Final, Protocol

import msgspec

from jetq.errors import AnswerLostError, NoLeaderError, ServerTimeoutError
from jetq.jetstream.faults import CLUSTER_NOT_AVAILABLE, refusal_of
from jetq.jetstream.message import Incoming
from jetq.jetstream.server_clock import ServerClock

_ASK_AGAIN: Final = 0.25
_CHANGES_NOTHING: Final = frozenset({"INFO", "LIST", "NAMES"})
_FIRST_PART: Final = 1 / 3
"""Of the time, after which a question is asked once more; elections take a second or so."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Requester(Protocol):
    """Who can send requests."""

    api_prefix: str
    clock: ServerClock

    async def request(self, subject: str, data: bytes = b"", *, timeout: float | None = None) -> Incoming:
        """Send a request and return its answer."""
        ...


async def call_api(requester: Requester, action: str, body: object, timeout: float) -> dict[str, Any]:
    """
    Call the JetStream API; see `Connection.api`.

    Args:
        requester: Sends the question.
        action: The subject behind the prefix.
        body: Becomes JSON; None is an empty request.
        timeout: Seconds for all of it.
    """
    data = b"" if body is None else _encode(body)
    subject = f"{requester.api_prefix}.{action}"
    until = time.monotonic() + timeout
    left = timeout
    may_repeat = not _CHANGES_NOTHING.isdisjoint(action.split(".", 2)[1:2])
    while True:
        asked = time.monotonic()
        try:
            incoming = await requester.request(subject, data, timeout=left * _FIRST_PART if may_repeat else left)
        except AnswerLostError:
            raise
        except ServerTimeoutError as unanswered:
            left = until - time.monotonic()
            if not may_repeat or left <= 0:
                raise ServerTimeoutError(subject, timeout) from unanswered
            may_repeat = False
            continue
        answer = _decode(incoming.data)
        if (stamp := answer.get("ts")) is not None:
            requester.clock.observe(stamp, asked)
        if (error := answer.get("error")) is None:
            return answer
        refused = refusal_of(action, error)
        left = until - time.monotonic() - _ASK_AGAIN
        if refused.code != CLUSTER_NOT_AVAILABLE:
            raise refused
        if left <= 0:
            raise NoLeaderError(action, timeout) from refused
        await asyncio.sleep(_ASK_AGAIN)
