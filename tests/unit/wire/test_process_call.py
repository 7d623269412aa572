"""What a worker and a process for its handlers say to each other."""

from datetime import UTC, datetime

import pytest

from jetq.errors import WireError
from jetq.model.outcome import (
    Expired,
    Failed,
    GivenUp,
    Interrupted,
    Invalid,
    Outcome,
    Retried,
    Snoozed,
    Succeeded,
    Terminated,
    TimedOut,
    Unstorable,
)
from jetq.model.record import ErrorInfo
from jetq.wire.process_call import (
    HEADER_SIZE,
    Begin,
    Call,
    Ended,
    Finish,
    FromProcess,
    Prolonged,
    Ready,
    Said,
    ToProcess,
    Unready,
    body_size,
    ended,
    frame,
    outcome_of,
    read_from_process,
    read_to_process,
)

BOOM = ErrorInfo("ValueError", "boom", "Traceback ...")
BEGIN = Begin(application="shop:app", path=["/srv"], namespace="JETQ", address=b"\x80", worker="W")


@pytest.mark.parametrize("message", [BEGIN, Call(1, "a:*", "shop:f", b"{}", 30.0), Finish()], ids=repr)
def test_what_a_worker_says_arrives_as_it_was(message: ToProcess) -> None:
    data = frame(message)

    assert body_size(data) == len(data) - HEADER_SIZE
    assert read_to_process(data[HEADER_SIZE:]) == message


@pytest.mark.parametrize(
    "message",
    [Ready(), Unready("no", "Traceback"), Said(1, 2, None, "é"), Prolonged(1, 5.0), ended(1, Succeeded(b"1"), 7)],
    ids=lambda message: type(message).__name__,
)
def test_what_a_process_says_arrives_as_it_was(message: FromProcess) -> None:
    assert read_from_process(frame(message)[HEADER_SIZE:]) == message


@pytest.mark.parametrize(
    "outcome",
    [
        Succeeded(b'{"a":null}'),
        Failed(BOOM, "note"),
        TimedOut(0.0, soft=True),
        GivenUp(BOOM),
        Retried(None, "again"),
        Retried(5.0, "", "BULK", BOOM, "note"),
        Terminated("enough"),
        Snoozed(5.0, BOOM),
        Interrupted(),
        Invalid("to: missing"),
        Unstorable(BOOM),
    ],
    ids=repr,
)
def test_an_outcome_arrives_as_it_was(outcome: Outcome) -> None:
    message = read_from_process(frame(ended(3, outcome, 0))[HEADER_SIZE:])

    assert isinstance(message, Ended)
    assert outcome_of(message) == outcome


def test_an_outcome_that_no_call_has_is_refused() -> None:
    with pytest.raises(WireError, match="'Expired'"):
        outcome_of(ended(1, Expired(datetime(2026, 1, 1, tzinfo=UTC)), 0))


@pytest.mark.parametrize("data", [b"", b"x", b"\x81\xa4type\xa5other"], ids=repr)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        read_from_process(data)
    with pytest.raises(WireError):
        read_to_process(data)


def test_a_size_beyond_reason_is_refused() -> None:
    with pytest.raises(WireError, match="a frame of"):
        body_size(b"\xff\xff\xff\xff")
