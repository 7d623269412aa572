"""What a worker and a remote handler say to each other, and what is made of nonsense."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from jetq.jetstream.message import encode_headers
from jetq.model.outcome import (
    Cancelled,
    Crashed,
    Expired,
    Failed,
    GivenUp,
    Interrupted,
    Invalid,
    Outcome,
    Retried,
    Snoozed,
    Terminated,
    TimedOut,
    Unstorable,
)
from jetq.model.record import ErrorInfo
from jetq.wire.remote import error_reply, outcome_reply, read_deadline, read_error, request_headers, told

ERROR = ErrorInfo("ValueError", "no luck", "Traceback\n  here")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_deadline_is_told_in_whole_seconds_of_utc_and_read_back() -> None:
    zone = timezone(timedelta(hours=2))
    headers = request_headers(datetime(2026, 11, 24, 14, 0, 0, 999_999, tzinfo=zone))
    assert headers["AJ-Handler-Deadline"] == "2026-11-24T12:00:00Z"
    assert read_deadline(headers) == NOON


@pytest.mark.parametrize(
    ("spelled", "read"),
    [
        pytest.param("2026-11-24t12:00:00z", NOON, id="lower-case"),
        pytest.param("2026-11-24T14:00:00+02:00", NOON, id="offset"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_deadline_is_read_as_others_spell_it(spelled: str, read: datetime | None) -> None:
    assert read_deadline({"AJ-Handler-Deadline": spelled}) == read


@pytest.mark.parametrize(
    "spelled", ["soon", "2026-11-24T12:00:00", "\ufffd", "99999-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"]
)
def test_a_deadline_that_is_none_is_refused(spelled: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_deadline({"AJ-Handler-Deadline": spelled})


def test_a_request_need_not_have_a_deadline() -> None:
    assert read_deadline(None) is None
    assert read_deadline({}) is None


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(ERROR, "(twice)"),
        TimedOut(5.0, "a note"),
        Crashed(ERROR),
        GivenUp(ERROR),
        Retried(5.0, "later", "BULK", ERROR),
        Retried(None, "later"),
        Terminated("enough"),
        Snoozed(5.0),
        Snoozed(5.0, ERROR),
        Invalid("no user"),
        Unstorable(ERROR, too_large=True),
    ],
    ids=repr,
)
def test_an_outcome_arrives_as_it_was(outcome: Outcome) -> None:
    headers, body = outcome_reply(outcome, told(outcome))
    assert read_error(headers, body) == outcome


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        pytest.param(Cancelled("ann"), "cancelled by ann", id="cancelled-by"),
        pytest.param(Cancelled(), "cancelled", id="cancelled"),
        pytest.param(Interrupted(), "interrupted", id="interrupted"),
        pytest.param(
            Expired(NOON), "the task's deadline passed before a process for its handler was free", id="expired"
        ),
    ],
)
def test_an_outcome_of_this_side_alone_is_an_error_to_the_other(outcome: Outcome, text: str) -> None:
    headers, body = outcome_reply(outcome, told(outcome))
    assert (headers, body) == ({"AJ-Error": text}, b"")
    assert read_error(headers, body) == text


@pytest.mark.parametrize(
    ("outcome", "read"),
    [
        pytest.param(Retried(-1.0, "later"), Retried(None, "later"), id="negative-delay"),
        pytest.param(Retried(1e12, "later"), Retried(None, "later"), id="delay-of-ages"),
        pytest.param(Retried(1.0, "later", "a b"), Retried(1.0, "later"), id="queue-that-is-none"),
        pytest.param(Snoozed(-1.0), "x", id="negative-snooze"),
        pytest.param(Snoozed(1e12), "x", id="snooze-of-ages"),
    ],
)
def test_an_outcome_is_believed_as_far_as_it_makes_sense(outcome: Outcome, read: Outcome | str) -> None:
    headers, body = outcome_reply(outcome, "x")
    assert read_error(headers, body) == read


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("Succeeded", b'{"result":""}', id="success"),
        pytest.param("Interrupted", b"{}", id="a-kind-of-this-side"),
        pytest.param("Snoozed", b'{"delay":"1"}', id="delay-is-a-string"),
        pytest.param("Snoozed", b'{"delay":1e999}', id="delay-beyond-all"),
        pytest.param("Failed", b"\xff", id="no-text"),
        pytest.param("Failed", b"[" * 100_000, id="endless"),
        pytest.param("", b"", id="empty"),
    ],
)
def test_an_outcome_that_is_none_leaves_the_other_headers(kind: str, body: bytes) -> None:
    assert read_error({"JETQ-Outcome": kind, "AJ-Terminate": "bad", "AJ-Error": "x"}, body) == Terminated("bad")


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        pytest.param(None, None, id="none"),
        pytest.param({"X": "y"}, None, id="others"),
        pytest.param({"aj-error": "x"}, None, id="headers-have-case"),
        pytest.param({"AJ-Error": "x"}, "x", id="error"),
        pytest.param({"AJ-Error": ""}, "the remote handler gave no reason", id="error-without-text"),
        pytest.param(
            {"AJ-Terminate": ""}, Terminated("the remote handler gave no reason"), id="terminate-without-text"
        ),
    ],
)
def test_a_reply_is_a_success_unless_a_header_says_otherwise(
    headers: dict[str, str] | None, read: Outcome | str | None
) -> None:
    assert read_error(headers, b"") == read


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("one\r\nAJ-Terminate: two\tthree", "one AJ-Terminate: two three", id="line-breaks"),
        pytest.param("nul \x00 bell \x07 line \u2028", "nul bell line", id="control-characters"),
        pytest.param("", "no reason was given", id="empty"),
        pytest.param("\ud800", "\\ud800", id="no-text"),
        pytest.param("x" * 2000, "x" * 997 + "...", id="long"),
    ],
)
def test_whatever_is_said_of_an_error_is_one_line_of_a_header(text: str, line: str) -> None:
    headers = error_reply(text)
    assert headers == {"AJ-Error": line}
    assert encode_headers(headers)


def test_what_jetq_says_to_jetq_is_json() -> None:
    _, body = outcome_reply(Failed(ERROR), "x")
    assert json.loads(body)["error"]["message"] == "no luck"
