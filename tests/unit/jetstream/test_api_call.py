"""A cluster without a leader is waited for, and a refusal is not."""

import asyncio
import json
import time

import pytest

from jetq.errors import NoLeaderError, RequestRefusedError, ServerTimeoutError
from jetq.jetstream.api_call import call_api
from jetq.jetstream.faults import CLUSTER_NOT_AVAILABLE, STREAM_NOT_FOUND
from jetq.jetstream.message import Message
from jetq.jetstream.server_clock import ServerClock

LEADERLESS: dict[str, object] = {
    "error": {"code": 503, "err_code": CLUSTER_NOT_AVAILABLE, "description": "temporarily unavailable"}
}
REFUSED: dict[str, object] = {"error": {"code": 404, "err_code": STREAM_NOT_FOUND, "description": "stream not found"}}


class Server:
    """Answers what it was told to, the last for ever, and notes the time-outs."""

    def __init__(self, *answers: dict[str, object]) -> None:
        self.api_prefix = "$JS.API"
        self.clock = ServerClock(lambda _ahead: None)
        self.asked: list[tuple[str, float | None]] = []
        self._answers = list(answers)

    async def request(self, subject: str, data: bytes = b"", *, timeout: float | None = None) -> Message:
        self.asked.append((subject, timeout))
        await asyncio.sleep(0)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return Message(subject, "", json.dumps(answer).encode() or data, None)


async def test_who_has_no_leader_is_asked_again() -> None:
    server = Server(LEADERLESS, LEADERLESS, {"config": {}})

    assert await call_api(server, "STREAM.INFO.X", None, 5.0) == {"config": {}}

    assert [subject for subject, _ in server.asked] == ["$JS.API.STREAM.INFO.X"] * 3
    assert server.asked[-1][1] == pytest.approx(4.5 / 3, abs=0.1)  # the time-out is for all of it


class Mute(Server):
    """Says nothing to the first questions."""

    def __init__(self, silent: int, *answers: dict[str, object]) -> None:
        super().__init__(*answers)
        self.silent = silent

    async def request(self, subject: str, data: bytes = b"", *, timeout: float | None = None) -> Message:
        answer = await super().request(subject, data, timeout=timeout)
        if len(self.asked) <= self.silent:
            assert timeout is not None
            await asyncio.sleep(timeout)
            raise ServerTimeoutError(subject, timeout)
        return answer


async def test_who_does_not_answer_a_question_is_asked_once_more() -> None:
    server = Mute(1, {"config": {}})

    assert await call_api(server, "STREAM.INFO.X", None, 0.3) == {"config": {}}

    assert [timeout for _, timeout in server.asked] == pytest.approx([0.1, 0.2], abs=0.05)


async def test_two_silences_are_a_time_out_that_names_all_of_the_time() -> None:
    server = Mute(2, {"config": {}})

    with pytest.raises(ServerTimeoutError, match=r"no answer to \$JS\.API\.STREAM\.INFO\.X within 0\.3 s"):
        await call_api(server, "STREAM.INFO.X", None, 0.3)


async def test_what_changes_something_is_asked_once() -> None:
    server = Mute(1, {"config": {}})

    with pytest.raises(ServerTimeoutError):
        await call_api(server, "STREAM.UPDATE.X", {}, 0.1)

    assert len(server.asked) == 1


async def test_a_refusal_is_told_at_once() -> None:
    server = Server(LEADERLESS, REFUSED)

    with pytest.raises(RequestRefusedError, match="stream not found"):
        await call_api(server, "STREAM.INFO.X", None, 5.0)


async def test_a_lasting_lack_is_a_time_out_that_says_why() -> None:
    server, began = Server(LEADERLESS), time.monotonic()

    with pytest.raises(NoLeaderError, match=r"nobody could answer STREAM\.INFO\.X for 0\.4 s") as caught:
        await call_api(server, "STREAM.INFO.X", None, 0.4)

    assert isinstance(caught.value, ServerTimeoutError)
    assert time.monotonic() - began < 0.4
