"""
pulse: proof that a JetStream answers, at first and ever after.

A connection may look alive and be dead: a frozen server, a stuck reader, a broken network. Only an answer proves it.
The question is ``$JS.API.INFO``, which every account with JetStream may ask; where it may not, the refusal is an
answer too.
"""

from typing import Any, Final, Protocol

from jetq.errors import (
    AnswerLostError,
    JetStreamDisabledError,
    NoResponderError,
    PermissionDeniedError,
    RequestRefusedError,
    ServerError,
    ServerTimeoutError,
)
from jetq.jetstream.faults import DISABLED

TRIES: Final = 2
"""Questions without an answer that prove the opposite."""
_ASK_AGAIN: Final = 0.5
_QUESTION: Final = "INFO"


class JetStream(Protocol):
    """Who can be asked."""

    async def api(self, action: str, body: object = None, *, timeout: float | None = None) -> dict[str, Any]:
        """Ask."""
        ...


async def first_answer(jetstream: JetStream, servers: str) -> int:
    """
    Wait until there is a JetStream that answers, and return its API level; 0 if we may not ask.

    It asks again and again: a cluster without a leader leaves such a request alone.

    Args:
        jetstream: Whom to ask.
        servers: As the error names them.

    Raises:
        JetStreamDisabledError: The server, or our account, has none.
        PermissionDeniedError: We may not read answers.
    """
    while True:
        try:
            answer = await jetstream.api(_QUESTION, timeout=_ASK_AGAIN)
        except ServerTimeoutError:
            continue
        except NoResponderError:
            raise JetStreamDisabledError(servers) from None
        except PermissionDeniedError as denied:
            if denied.subject.endswith(_QUESTION):
                return 0
            raise
        except RequestRefusedError as refused:
            if refused.code in DISABLED:
                raise JetStreamDisabledError(servers) from None
            return 0
        return int(answer.get("api", {}).get("level", 0))


async def answers(jetstream: JetStream) -> bool:
    """Tell whether the server answers, be it with a refusal."""
    for _ in range(TRIES):
        try:
            await jetstream.api(_QUESTION)
        except AnswerLostError:
            return True  # the connection knows already
        except ServerTimeoutError:
            continue
        except ServerError:
            return True
        else:
            return True
    return False
