"""Whose time counts when clocks differ."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from jetq.jetstream.server_clock import ServerClock

HOUR = timedelta(hours=1)
SOON = timedelta(seconds=0.5)

either_way = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["ahead", "behind"])


def stamp(ahead: timedelta) -> str:
    """The server's time as it spells it, if our clock is *ahead*."""
    return (datetime.now(UTC) - ahead).isoformat().replace("+00:00", "123Z")


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, timedelta(seconds=3)], ids=["ahead", "behind", "three seconds"])
def test_a_wrong_clock_is_corrected_and_told_once(ahead: timedelta) -> None:
    told: list[timedelta] = []
    clock = ServerClock(told.append)

    for _ in range(3):
        clock.observe(stamp(ahead), time.monotonic())

    assert abs(clock.now() - (datetime.now(UTC) - ahead)) < timedelta(seconds=0.5)
    assert len(told) == 1
    assert abs(told[0] - ahead) < timedelta(seconds=0.5)


@pytest.mark.parametrize("ahead", [0.0, 0.9, -0.9])
def test_a_clock_that_is_about_right_is_left_alone(ahead: float) -> None:
    told: list[timedelta] = []
    clock = ServerClock(told.append)

    clock.observe(stamp(timedelta(seconds=ahead)), time.monotonic())

    assert (clock.skew, told) == (timedelta(0), [])


def test_a_difference_that_a_slow_answer_explains_is_none() -> None:
    told: list[timedelta] = []
    clock = ServerClock(told.append)

    clock.observe(stamp(timedelta(seconds=3)), time.monotonic() - 6)

    assert told == []


def test_a_clock_that_was_set_right_is_noticed() -> None:
    told: list[timedelta] = []
    clock = ServerClock(told.append)
    clock.observe(stamp(HOUR), time.monotonic())

    clock.observe(stamp(timedelta(0)), time.monotonic())

    assert told[1:] == [timedelta(0)]
    assert clock.skew == timedelta(0)


@pytest.mark.parametrize("nonsense", [None, 5, "", "soon", "2026-11-24T08:35:25"], ids=repr)
def test_nonsense_is_passed_over(nonsense: object) -> None:
    clock = ServerClock(lambda _skew: None)

    clock.observe(nonsense, time.monotonic())

    assert clock.skew == timedelta(0)


@either_way
def test_a_clock_that_is_set_is_noticed_before_the_next_answer(step: timedelta) -> None:
    clock, right = ServerClock(lambda _ahead: None), datetime.now(UTC)

    with time_machine.travel(right + step, tick=True):
        assert abs(clock.now() - right) < SOON


@either_way
def test_a_clock_that_is_set_to_the_servers_time_is_noticed_before_the_next_answer(step: timedelta) -> None:
    right = datetime.now(UTC)
    with time_machine.travel(right + step, tick=True):
        clock = ServerClock(lambda _ahead: None)
        clock.observe(stamp(step), time.monotonic())

    assert abs(clock.now() - right) < SOON


@either_way
def test_a_clock_that_was_set_is_measured_anew_by_the_next_answer(step: timedelta) -> None:
    told: list[timedelta] = []
    clock, right = ServerClock(told.append), datetime.now(UTC)

    with time_machine.travel(right + step, tick=True):
        clock.observe(stamp(step), time.monotonic())

        assert abs(told[0] - step) < SOON
        assert abs(clock.now() - right) < SOON


@either_way
def test_a_slow_answer_does_not_make_a_step_forgotten(step: timedelta) -> None:
    clock, right = ServerClock(lambda _ahead: None), datetime.now(UTC)

    with time_machine.travel(right + step, tick=True):
        clock.observe(stamp(step + 2 * HOUR), time.monotonic() - 4 * HOUR.total_seconds())

        assert abs(clock.now() - right) < SOON
