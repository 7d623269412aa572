"""
amendment: what an operator changes in a task, checked, and applied to its record.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from jetq.errors import InvalidSettingError, OperationRefusedError, PayloadTooLargeError
from jetq.jetstream.backend import Backend
from jetq.model.name import check_name
from jetq.model.operation import Changes, Operation, Unchanged
from jetq.model.quantity import whole
from jetq.model.record import TaskRecord
from jetq.settings import RECORD_MARGIN
from jetq.wire.codec import Document
from jetq.wire.signature import Signer

Check = Callable[[TaskRecord], None]
"""Raises InvalidPayloadError if the handler of a task would not take its payload."""

_UNSIGNABLE = "it is signed, and to change its queue, payload, deadline or tries takes the signing key"


class Amendment:
    """
    Changes for a task.

    Args:
        operation: Who makes them.
        changes: What is to change.
        backend: Tells the time and the limit of sizes.
        signer: Signs anew; None cannot.
        check: Checks a payload that is given; None knows no handlers.

    Raises:
        InvalidSettingError: A change cannot be meant.
        InvalidNameError: No queue can have this name.
    """

    def __init__(
        self, operation: Operation, changes: Changes, *, backend: Backend, signer: Signer | None, check: Check | None
    ) -> None:
        self._operation = operation
        self._check = check
        self._backend = backend
        self._signer = signer
        self._given = changes.given()
        if "queue" in self._given:
            check_name("queue", changes.queue)
        if "max_tries" in self._given:
            whole("max_tries", changes.max_tries, least=0)
        if not isinstance(changes.deadline, Unchanged) and changes.deadline is not None:
            self._given["deadline"] = self._future(changes.deadline)

    def _future(self, deadline: datetime | timedelta) -> datetime:
        if isinstance(deadline, timedelta):
            deadline = self._now() + deadline
        if deadline.tzinfo is None:
            raise InvalidSettingError(
                "deadline", deadline, "an aware datetime (give it a time zone, e.g. datetime.now(UTC))"
            )
        if deadline <= self._now():
            raise InvalidSettingError("deadline", deadline, "a time in the future")
        return deadline.astimezone(UTC)

    def _now(self) -> datetime:
        return self._backend.connection.clock.now()

    def is_in(self, record: TaskRecord) -> bool:
        """Whether a record is already as it is to become."""
        return all(getattr(record, name) == value for name, value in self._given.items())

    def applied(self, document: Document) -> Document:
        """
        Return the document with the changes; the same one if there are none.

        Raises:
            OperationRefusedError: It is signed, and there is no key to sign it anew.
            PayloadTooLargeError: It would be larger than what can be stored with what its runs add.
            InvalidPayloadError: The payload is not what the task's handler takes.
        """
        record = document.record
        if self.is_in(record):
            return document
        changed = document.updated(replace(record, **self._given))
        if "payload" in self._given and self._check is not None:
            self._check(changed.record)
        if record.signature:
            if self._signer is None:
                raise OperationRefusedError(record.id, self._operation, record.display_state, _UNSIGNABLE)
            changed = self._signer.signed(changed)
        size, limit = len(changed.encode()), self._backend.connection.max_payload - RECORD_MARGIN
        if "payload" in self._given and size > limit:
            raise PayloadTooLargeError(record.type, size, limit)
        return changed

    def refuse_late(self, record: TaskRecord) -> None:
        """
        Refuse to start a task that no worker would start.

        Raises:
            OperationRefusedError: Its deadline has passed.
        """
        if record.deadline is not None and record.deadline <= self._now():
            reason = f"its deadline, {record.deadline.isoformat(timespec='seconds')}, has passed: give it a new one"
            raise OperationRefusedError(record.id, self._operation, record.display_state, reason)
