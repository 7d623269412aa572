"""
remote: what a worker and a remote handler say to each other: asyncjobs' request and reply, and what jetq adds.

A request is the task's record with two headers: what it is, and until when an answer is awaited. A reply is a result,
or an error by its header; that is all that other languages need. Between jetq and jetq a reply has one header more,
``JETQ-Outcome``, which names the kind of outcome that its body then is, as JSON: so an error keeps its type and
traceback, and a retry its delay. Who does not know the header does not read that body, since there is an error.

What comes from the network is believed as far as it makes sense: an outcome that cannot be read is left out, and the
other headers count.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from jetq.model import outcome as outcomes
from jetq.model.name import is_name
from jetq.model.outcome import Outcome
from jetq.model.record import ErrorInfo
from jetq.wire.unreadable import UNREADABLE

CONTENT_TYPE: Final = "AJ-Content-Type"
TASK_TYPE: Final = "application/x-asyncjobs-task+json"
DEADLINE: Final = "AJ-Handler-Deadline"
ERROR: Final = "AJ-Error"
TERMINATE: Final = "AJ-Terminate"
OUTCOME: Final = "JETQ-Outcome"

_LONGEST: Final = 1000
"""Characters of an error in a header; all of it is in the body, for jetq."""
_LONGEST_DELAY: Final = 10 * 365 * 24 * 3600.0
"""Seconds that an answer may ask for: ten years, as handlers may."""

_KINDS: Final[dict[str, type[Outcome]]] = {
    kind.__name__: kind
    for kind in (
        outcomes.Failed,
        outcomes.TimedOut,
        outcomes.Crashed,
        outcomes.GivenUp,
        outcomes.Retried,
        outcomes.Terminated,
        outcomes.Snoozed,
        outcomes.Invalid,
        outcomes.Unstorable,
    )
}
_LAST: Final = (outcomes.GivenUp, outcomes.Terminated, outcomes.Invalid, outcomes.Unstorable)
"""After which there is no further try."""


def request_headers(deadline: datetime) -> dict[str, str]:
    """Return the headers of a request, to be answered by *deadline*, of which whole seconds count."""
    return {CONTENT_TYPE: TASK_TYPE, DEADLINE: deadline.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def read_deadline(headers: dict[str, str] | None) -> datetime | None:
    """
    Return until when a request must be answered; None if it does not say.

    Raises:
        ValueError: It says what is no time with a zone.
    """
    spelled = (headers or {}).get(DEADLINE)
    if not spelled:
        return None
    deadline = datetime.fromisoformat(spelled.upper())
    if deadline.tzinfo is None:
        raise ValueError("it has no time zone")
    try:
        return deadline.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is beyond all years") from None


def error_reply(text: str, *, final: bool = False) -> dict[str, str]:
    """Return the headers of a reply that is an error: another try is wanted, unless it is *final*."""
    return {TERMINATE if final else ERROR: _line(text)}


def outcome_reply(outcome: Outcome, text: str) -> tuple[dict[str, str], bytes]:
    """
    Return the headers and the body of a reply that is no success.

    Args:
        outcome: What happened.
        text: What is to be said of it to other languages.
    """
    headers = error_reply(text, final=isinstance(outcome, _LAST))
    kind = type(outcome).__name__
    if kind not in _KINDS:
        return headers, b""
    return headers | {OUTCOME: kind}, msgspec.json.encode(outcome)


def told(outcome: Outcome) -> str:
    """Say in a sentence what went wrong."""
    match outcome:
        case outcomes.Terminated(reason) | outcomes.Invalid(reason):
            return reason
        case outcomes.Retried(_, reason, _, None):
            return reason
        case outcomes.Snoozed(delay, None):
            return f"the handler wants to be called again in {delay:g} s"
        case outcomes.Cancelled(by):
            return f"cancelled by {by}" if by else "cancelled"
        case outcomes.Expired():
            return "the task's deadline passed before a process for its handler was free"
        case _:
            error: ErrorInfo | None = getattr(outcome, "error", None)
            if error is None:
                return type(outcome).__name__.lower()
            return f"{error.type}: {error.message}" if error.type else error.message


def read_error(headers: dict[str, str] | None, data: bytes) -> Outcome | str | None:
    """
    Return what a reply says went wrong.

    Returns:
        An outcome, if it says so precisely; else Terminated, or the text of an error that is worth another try; None if
        nothing went wrong.
    """
    if not headers:
        return None
    if (outcome := _read_outcome(headers.get(OUTCOME, ""), data)) is not None:
        return outcome
    if (text := headers.get(TERMINATE)) is not None:
        return outcomes.Terminated(text or "the remote handler gave no reason")
    if (text := headers.get(ERROR)) is not None:
        return text or "the remote handler gave no reason"
    return None


def _read_outcome(kind: str, data: bytes) -> Outcome | None:
    wanted = _KINDS.get(kind)
    if wanted is None:
        return None
    try:
        outcome = msgspec.json.decode(data, type=wanted)
    except UNREADABLE:
        return None
    match outcome:
        case outcomes.Retried(delay, _, queue):
            if queue and not is_name(queue):
                outcome = replace(outcome, queue="")
            return outcome if delay is None or 0 <= delay <= _LONGEST_DELAY else replace(outcome, delay=None)
        case outcomes.Snoozed(delay):
            return outcome if 0 <= delay <= _LONGEST_DELAY else None
        case _:
            return outcome


def _line(text: str) -> str:
    """Return *text* on one line, as a header holds it."""
    legible = text.encode("utf-8", "backslashreplace").decode()
    line = " ".join("".join(each if each.isprintable() else " " for each in legible).split()) or "no reason was given"
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
