"""What a supervisor and its child say to each other."""

import pytest

from jetq.errors import WireError
from jetq.wire.in_flight import RunInFlight
from jetq.wire.liveness import (
    HEADER_SIZE,
    Alive,
    Blocked,
    FromChild,
    Inherit,
    Inherited,
    Measure,
    Measured,
    Quiet,
    Started,
    Stop,
    ToChild,
    body_size,
    frame,
    read_from_child,
    read_to_child,
)


@pytest.mark.parametrize(
    "message",
    [
        Started("W"),
        Alive(running=1, done=2, blocked=Blocked(3.0, "T", "a", "stack"), overdue="b"),
        Inherited("W"),
        Measured(b"\x00\xff"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_a_child_says_is_read(message: FromChild) -> None:
    data = frame(message)

    assert body_size(data[:HEADER_SIZE]) == len(data) - HEADER_SIZE
    assert read_from_child(data[HEADER_SIZE:]) == message


@pytest.mark.parametrize(
    "message",
    [Stop(), Stop(now=True), Quiet(), Measure(), Inherit("W", "died", [RunInFlight("T", 1, "n", "Q", 2, "r")])],
    ids=["stop", "now", "quiet", "measure", "inherit"],
)
def test_what_a_supervisor_says_is_read(message: ToChild) -> None:
    assert read_to_child(frame(message)[HEADER_SIZE:]) == message


def test_a_word_of_another_version_is_passed_over() -> None:
    assert read_from_child(b"\x81\xa4type\xa3new") is None
    assert read_to_child(b"nonsense") is None


def test_an_absurd_length_is_refused() -> None:
    with pytest.raises(WireError, match=r"a frame of 4,294,967,295 bytes"):
        body_size(b"\xff" * HEADER_SIZE)
