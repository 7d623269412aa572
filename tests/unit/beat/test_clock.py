"""A scheduler goes by the server's clock, and does not lead where it is not sure of that."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
import time_machine

from jetq.beat.clock import LeaderClock
from jetq.errors import ServerTimeoutError
from jetq.jetstream.server_clock import ServerClock

HOUR = timedelta(hours=1)
SOON = timedelta(seconds=5)


class Server:
    """One that tells its time, and the connection to it."""

    def __init__(self) -> None:
        self.clock = ServerClock(lambda _ahead: None)
        self.is_silent, self.behind = False, timedelta(0)
        names = SimpleNamespace(elections="E", bucket_stream=lambda bucket: bucket)
        self.leading = LeaderClock(cast("Any", SimpleNamespace(connection=self, names=names)))

    async def api(self, action: str) -> dict[str, Any]:
        if self.is_silent:
            raise ServerTimeoutError(action, 1.0)
        stamp = (datetime.now(UTC) - self.behind).isoformat()
        self.clock.observe(stamp, time.monotonic())
        return {"ts": stamp}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["ahead", "back"])
async def test_a_clock_that_is_set_changes_no_time_and_ends_the_trust(server: Server, step: timedelta) -> None:
    right = datetime.now(UTC)

    with time_machine.travel(right + step, tick=True):
        before = server.leading.now()
        server.behind = step
        assert await server.leading.ask()

        assert abs(before - right) < SOON
        assert abs(server.leading.now() - right) < SOON
        assert not server.leading.is_trusted


async def test_a_server_that_is_silent_changes_nothing(server: Server) -> None:
    server.is_silent = True

    assert not await server.leading.ask()
    assert server.leading.is_trusted


@pytest.mark.parametrize(
    ("behind", "trusted"),
    [(timedelta(seconds=1.5), True), (-HOUR, False), (HOUR, False)],
    ids=["a little ahead", "behind", "ahead"],
)
async def test_a_clock_far_from_the_servers_is_not_trusted(server: Server, behind: timedelta, *, trusted: bool) -> None:
    server.behind = behind

    assert await server.leading.ask()

    assert server.leading.is_trusted == trusted
