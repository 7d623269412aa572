"""The time of a scheduler goes on evenly, and a machine's clock that is set is not believed unasked."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jetq.beat.clock import SteadyClock
from jetq.errors import ServerTimeoutError

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Machine:
    """A machine's two clocks, and a server."""

    def __init__(self) -> None:
        self.wall, self.skew, self.ticks, self.silent = NOON, timedelta(0), 100.0, False
        self.clock = SimpleNamespace(now=lambda: self.wall - self.skew, skew=self.skew)
        names = SimpleNamespace(elections="E", bucket_stream=lambda bucket: bucket)
        connection = SimpleNamespace(clock=self.clock, api=self.api)
        self.backend = cast("Any", SimpleNamespace(connection=connection, names=names))
        self.steady = SteadyClock(self.backend, lambda: self.ticks)

    async def api(self, action: str) -> dict[str, Any]:
        if self.silent:
            raise ServerTimeoutError(action, 1.0)
        return {"ts": "now"}

    def run(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_it_follows_a_clock_that_is_put_right_by_little(machine: Machine) -> None:
    machine.run(10)
    machine.wall += timedelta(seconds=1.5)

    assert machine.steady.now() == NOON + timedelta(seconds=11.5)
    assert not machine.steady.was_set


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["ahead", "back"])
async def test_it_goes_on_when_a_clock_is_set_until_the_server_was_asked(machine: Machine, step: timedelta) -> None:
    machine.wall += step
    machine.run(5)

    unasked = machine.steady.now(), machine.steady.was_set
    answered = await machine.steady.ask()

    assert unasked == (NOON + timedelta(seconds=5), True)
    assert answered
    assert machine.steady.now() == NOON + step + timedelta(seconds=5)  # the server's is so too
    assert not machine.steady.was_set


async def test_a_server_that_is_silent_changes_nothing(machine: Machine) -> None:
    machine.wall += HOUR
    machine.silent = True

    assert not await machine.steady.ask()
    assert machine.steady.now() == NOON


@pytest.mark.parametrize(
    ("skew", "trusted"),
    [(timedelta(seconds=1.9), True), (-HOUR, False), (HOUR, False)],
    ids=["a little ahead", "behind", "ahead"],
)
def test_a_clock_far_from_the_servers_is_not_trusted(machine: Machine, skew: timedelta, *, trusted: bool) -> None:
    machine.clock.skew = skew

    assert machine.steady.is_trusted == trusted
