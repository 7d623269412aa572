"""
problem: what is wrong with a request, as its answer says it.

The shape and the codes are those of asyncjobs' API: ``{"error": {"code", "message", "details": {"field", "reason"}}}``.
Programs read the code and the reason, which stay the same, and people the message, which is the error's own sentence.
"""

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from jetq.errors import (
    DelayTooLongError,
    DuplicateTaskError,
    EnqueueTimeoutError,
    InvalidNameError,
    InvalidPayloadError,
    InvalidScheduleError,
    InvalidSettingError,
    JetqError,
    MalformedRecordError,
    MalformedScheduleError,
    OperationRefusedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QueueFullError,
    ScheduleChangedError,
    ScheduleExistsError,
    ScheduleOwnedError,
    ServerError,
    TaskNotFoundError,
    UnknownDependencyError,
    UnknownQueueError,
    UnknownScheduleError,
)

_LONGEST: Final = 1000
"""Characters of a message; a sentence may quote what a caller sent."""


class Code(StrEnum):
    """What kind of problem it is."""

    INVALID_ARGUMENT = "invalid_argument"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    DUPLICATE = "duplicate"
    RATE_LIMITED = "rate_limited"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    SIGNATURE_INVALID = "signature_invalid"
    SIGNATURE_REQUIRED = "signature_required"
    DEPENDENCY_FAILED = "dependency_failed"
    UNAUTHORIZED = "unauthorized"
    """jetq's own: no token, or another one."""
    FORBIDDEN = "forbidden"
    """jetq's own: a request that a page of another site made."""
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


STATUS: Final = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.CONFLICT: 409,
    Code.DUPLICATE: 409,
    Code.RATE_LIMITED: 429,
    Code.PAYLOAD_TOO_LARGE: 413,
    Code.SIGNATURE_INVALID: 400,
    Code.SIGNATURE_REQUIRED: 400,
    Code.DEPENDENCY_FAILED: 409,
    Code.UNAUTHORIZED: 401,
    Code.FORBIDDEN: 403,
    Code.UNAVAILABLE: 503,
    Code.INTERNAL: 500,
}
"""The status that belongs to each code."""


class Details(Struct, frozen=True, omit_defaults=True):
    """
    What programs may look at.

    Attributes:
        field: Of the body or the query, that is wrong.
        reason: What is wrong, in a word that stays the same.
    """

    field: str = ""
    reason: str = ""


class Said(Struct, frozen=True, omit_defaults=True):
    """
    The inner part of an error.

    Attributes:
        code: What kind of problem it is.
        message: A sentence for people.
        details: What programs may look at.
    """

    code: Code
    message: str
    details: Details | None = None


class Error(Struct, frozen=True):
    """
    What an answer that says no holds.

    Attributes:
        error: What is wrong.
    """

    error: Said


class Problem(Struct, frozen=True, kw_only=True):
    """
    What is wrong with a request.

    Attributes:
        code: What kind of problem it is.
        message: A sentence.
        reason: What is wrong, in a word that stays the same.
        field: Of the body or the query, that is wrong.
        status: Of the answer; 0 is the one that belongs to the code.
    """

    code: Code
    message: str
    reason: str = ""
    field: str = ""
    status: int = 0

    @property
    def http_status(self) -> int:
        """The status of the answer."""
        return self.status or STATUS[self.code]

    def body(self) -> Error:
        """Return what the answer holds."""
        details = Details(self.field, self.reason) if self.field or self.reason else None
        message = self.message if len(self.message) <= _LONGEST else f"{self.message[: _LONGEST - 3]}..."
        return Error(Said(self.code, message, details))


class ProblemError(Exception):
    """Ends the work on a request; whoever sent it gets the problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


def invalid(field: str, reason: str, message: str) -> ProblemError:
    """Return the error that says that a field is wrong."""
    return ProblemError(Problem(code=Code.INVALID_ARGUMENT, field=field, reason=reason, message=message))


_FIXED: Final[tuple[tuple[type[JetqError], Code, str, str], ...]] = (
    (UnknownScheduleError, Code.NOT_FOUND, "schedule_not_found", ""),
    (ScheduleExistsError, Code.DUPLICATE, "schedule_already_exists", ""),
    (ScheduleOwnedError, Code.CONFLICT, "schedule_owned", ""),
    (ScheduleChangedError, Code.CONFLICT, "schedule_changed", ""),
    (MalformedScheduleError, Code.CONFLICT, "schedule_malformed", ""),
    (InvalidScheduleError, Code.INVALID_ARGUMENT, "schedule_invalid", "schedule"),
    (UnknownQueueError, Code.NOT_FOUND, "queue_not_found", "queue"),
    (TaskNotFoundError, Code.NOT_FOUND, "task_not_found", ""),
    (MalformedRecordError, Code.CONFLICT, "record_malformed", ""),
    (DuplicateTaskError, Code.DUPLICATE, "duplicate_item", ""),
    (UnknownDependencyError, Code.DEPENDENCY_FAILED, "task_not_found", "dependencies"),
    (InvalidPayloadError, Code.INVALID_ARGUMENT, "payload_invalid", "payload"),
    (PayloadTooLargeError, Code.PAYLOAD_TOO_LARGE, "payload_too_large", "payload"),
    (DelayTooLongError, Code.INVALID_ARGUMENT, "delay_too_long", "run_at"),
    (QueueFullError, Code.RATE_LIMITED, "queue_full", "queue"),
    (EnqueueTimeoutError, Code.UNAVAILABLE, "enqueue_timeout", ""),
    (PermissionDeniedError, Code.INTERNAL, "permission_denied", ""),
    (ServerError, Code.UNAVAILABLE, "storage_not_ready", ""),
)
"""Errors whose class says all, the more special ones first."""
_NAMED: Final = {"schedule": "name", "queue": "queue", "task type": "type", "task id": "id"}
"""In which field the names of each kind stand."""


def problem_of(error: JetqError, **fields: str) -> Problem:
    """
    Return what an error means to whoever sent the request.

    Args:
        error: What was raised while it was worked on.
        **fields: How this request calls what the error names, where that is not the same.
    """
    match error:
        case InvalidNameError():
            kind = error.kind.replace(" ", "_")
            found: tuple[Code, str, str] = (Code.INVALID_ARGUMENT, f"{kind}_invalid", _NAMED.get(error.kind, kind))
        case InvalidSettingError():
            found = Code.INVALID_ARGUMENT, "value_invalid", error.setting.rpartition(".")[2]
        case OperationRefusedError():
            reason = "task_already_active" if error.state == "active" else "task_refused"
            found = Code.CONFLICT, reason, ""
        case _:
            fixed = (row[1:] for row in _FIXED if isinstance(error, row[0]))
            found = next(fixed, (Code.INTERNAL, "", ""))
    code, reason, field = found
    return Problem(code=code, message=str(error), reason=reason, field=fields.get(field, field))


def shown(problem: Problem) -> dict[str, Any]:
    """Return what a log says of a problem."""
    return {"code": problem.code, "reason": problem.reason, "field": problem.field, "error": problem.message}
