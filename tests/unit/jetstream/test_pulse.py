"""What proves that a JetStream answers."""

from typing import Any

import pytest

from jetq.errors import (
    AnswerLostError,
    JetqError,
    NoLeaderError,
    PermissionDeniedError,
    RequestRefusedError,
    ServerTimeoutError,
)
from jetq.jetstream import pulse


class Server:
    """Raises what it was told to."""

    def __init__(self, error: JetqError | None) -> None:
        self.asked = 0
        self._error = error

    async def api(self, action: str, body: object = None, *, timeout: float | None = None) -> dict[str, Any]:
        assert (action, body, timeout) == ("INFO", None, None)
        self.asked += 1
        if self._error is not None:
            raise self._error
        return {}


@pytest.mark.parametrize(
    "error",
    [
        None,
        RequestRefusedError("INFO", 10039, "not enabled for account"),
        PermissionDeniedError("$JS.API.INFO", "publish"),
        AnswerLostError("INFO"),
    ],
    ids=["an answer", "a refusal", "no permission", "a connection that is lost already"],
)
async def test_a_server_that_says_anything_lives(error: JetqError | None) -> None:
    assert await pulse.answers(Server(error))


@pytest.mark.parametrize(
    "error",
    [ServerTimeoutError("INFO", 5), NoLeaderError("INFO", 5)],
    ids=["silent", "cut off from the others of its cluster"],
)
async def test_a_server_that_is_of_no_use_twice_is_left(error: JetqError) -> None:
    server = Server(error)

    assert not await pulse.answers(server)

    assert server.asked == pulse.TRIES
