"""
dependencies: what a task keeps of those that it depends on, as JSON in its record; see docs/reference/protocol.md.

``on_failure`` says what the failure of a parent means; ``satisfied`` what each parent gave that is accounted for, to a
task that wants the results of its parents; ``dependency_results`` what its handler gets. What a parent gave stands in
the child itself while it is small, so that the child runs also if the parent is gone by then; beyond that it is a
reference, read when the child runs.

What another program wrote there and nobody can read is as good as absent.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict, replace

from jetq.model.dependency import GONE, Edge, OnFailure, ParentEnd, first_failure
from jetq.model.record import ABSENT, ErrorInfo, Moment, TaskRecord
from jetq.model.state import End
from jetq.model.transition import counted, released, unreachable
from jetq.wire.unreadable import UNREADABLE

MOST_INLINE: Final = 4 * 1024
"""Bytes of a result that stands in the child's record; a larger one is read when the child runs."""
MOST_SATISFIED: Final = 256 * 1024
"""Bytes of what all parents gave, as they stand in the child's record."""
REFERENCE_SIZE: Final = 20
"""Bytes that a parent may add to the record of its child once it ended, where there is no room for its result."""
_KEPT_TEXT: Final = 1000


class ParentError(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    The failure of a parent, as a handler gets it.

    Attributes:
        type: The class of its last error; empty without one.
        message: In words.
        state: How it ended, as people see it, or ``gone``.
        end: Why.
    """

    type: str = ""
    message: str = ""
    state: str = ""
    end: str = ""


class Gift(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    What a parent gave; nothing, if its failure is ignored.

    Attributes:
        payload: Its result.
        completed: When it succeeded.
        error: Its failure, in the place of a result.
        ref: Its result is to be read from its own record.
    """

    payload: Raw = ABSENT
    completed: Moment | None = None
    error: ParentError | None = None
    ref: bool = False

    @property
    def is_result(self) -> bool:
        """Whether there is something for the handler in it."""
        return self.payload is not ABSENT or self.error is not None


_NOTHING: Final = Gift()
_encode: Final = msgspec.json.Encoder().encode
_raws: Final = msgspec.json.Decoder(dict[str, Raw])
_words: Final = msgspec.json.Decoder(dict[str, Any])
_gift: Final = msgspec.json.Decoder(Gift | None)


def encode_policies(edges: Iterable[Edge]) -> Raw:
    """Spell what the failures of parents mean; absent if all of them mean that the child fails."""
    policies = {edge.task_id: edge.on_failure.value for edge in edges if edge.on_failure is not OnFailure.FAIL}
    return Raw(_encode(policies)) if policies else ABSENT


def decode_policies(raw: Raw) -> dict[str, OnFailure]:
    """Read what the failures of parents mean; those that are not named, or in other words, take the child along."""
    data = bytes(raw)
    if not data:
        return {}
    try:
        said = _words.decode(data)
    except UNREADABLE:
        return {}
    known = set(OnFailure)
    return {name: OnFailure(word) for name, word in said.items() if isinstance(word, str) and word in known}


def encode_gifts(gifts: Mapping[str, Gift]) -> Raw:
    """Spell what parents gave; absent if there is nothing."""
    return Raw(_encode(gifts)) if gifts else ABSENT


def decode_gifts(raw: Raw) -> dict[str, Gift]:
    """Read what parents gave, as jetq or asyncjobs spells it."""
    data = bytes(raw)
    if not data:
        return {}
    try:
        found = _raws.decode(data)
    except UNREADABLE:
        return {}
    return {name: _read(value) for name, value in found.items()}


def _read(value: Raw) -> Gift:
    try:
        return _gift.decode(value) or _NOTHING
    except UNREADABLE:
        return _NOTHING


def dependency_values(record: TaskRecord) -> dict[str, Any]:
    """
    Return what a handler gets of its task's parents, by their ids in the order in which they were named.

    A result is a plain JSON value; the failure of a parent is an object with the one key ``error``.
    """
    gifts = decode_gifts(record.satisfied) | decode_gifts(record.dependency_results)
    named = dict.fromkeys(record.dependencies) | gifts
    return {name: _value(gift) for name in named if (gift := gifts.get(name)) is not None and gift.is_result}


def _value(gift: Gift) -> Any:
    if gift.error is not None:
        return {"error": asdict(gift.error)}
    return msgspec.json.decode(gift.payload)


def references(record: TaskRecord) -> list[str]:
    """Return the parents whose results a task wants, and whose records must be read for them."""
    if not record.load_dependencies or record.satisfied is ABSENT:
        return []
    there = decode_gifts(record.dependency_results)
    return [name for name, gift in decode_gifts(record.satisfied).items() if gift.ref and name not in there]


def with_references(record: TaskRecord) -> TaskRecord:
    """Return the record with references in the place of its parents' results, which are read when it runs (again)."""
    gifts = decode_gifts(record.satisfied) | decode_gifts(record.dependency_results)
    left = {name: _reference(gift) for name, gift in gifts.items() if gift.is_result or gift.ref}
    return replace(
        record,
        satisfied=encode_gifts({name: gift for name, gift in left.items() if gift.ref}),
        dependency_results=encode_gifts({name: gift for name, gift in left.items() if not gift.ref}),
    )


def with_results(record: TaskRecord, ends: Iterable[ParentEnd]) -> TaskRecord:
    """Return the record as a handler sees it, with the results of parents whose records were read."""
    gifts = decode_gifts(record.dependency_results) | {end.id: _whole(end) for end in ends}
    return replace(record, dependency_results=encode_gifts(gifts))


def _whole(end: ParentEnd) -> Gift:
    return _NOTHING if end.result is None else Gift(end.result.payload, end.result.completed)


def without_parents(
    child: TaskRecord, ends: Sequence[ParentEnd], now: datetime, *, most: int = MOST_SATISFIED
) -> TaskRecord | None:
    """
    Take parents out of what a blocked task waits for.

    Those that it would fail with stay while it waits for its flow: before that is committed nobody knows whether it is
    a task at all. Who takes out the flow looks at them again.

    Args:
        child: The task.
        ends: What its parents came to; others than those that it waits for make no difference.
        now: The current time.
        most: Bytes that what all parents gave may have in the record; larger results become references.

    Returns:
        The task as it is then: still blocked, or runnable (or waiting for its due time), or unreachable; None if
        nothing changes.
    """
    policies = decode_policies(child.on_failure)
    ended = {end.id: end for end in ends if end.id in child.pending}
    if child.flow in child.pending and child.flow not in ended:
        ended = {name: end for name, end in ended.items() if first_failure({name: end}, policies) is None}
    if not ended and child.pending:
        return None
    failure = first_failure(ended, policies)
    if failure is not None:
        return unreachable(child, End.GONE if failure.state == GONE else End.DEPENDENCY, failure.text)
    gifts, used = decode_gifts(child.satisfied), len(bytes(child.satisfied))
    for end in ended.values() if child.load_dependencies else ():
        if end.id == child.flow:
            continue
        gift = _given(end, policies)
        size = len(_encode(gift))
        if gift.is_result and (used + size > most or len(bytes(gift.payload)) > MOST_INLINE):
            gift, size = _reference(gift), 0
        gifts[end.id], used = gift, used + size
    pending = tuple(name for name in child.pending if name not in ended)
    if pending:
        return counted(child, pending, encode_gifts(gifts))
    named = {name: gifts.get(name, _NOTHING) for name in child.dependencies}
    results = {name: gift for name, gift in named.items() if gift.is_result}
    left = {name: gift for name, gift in gifts.items() if gift.ref}
    return released(
        child,
        now,
        satisfied=encode_gifts(left),
        results=encode_gifts(results) if child.load_dependencies else child.dependency_results,
    )


def _given(end: ParentEnd, policies: Mapping[str, OnFailure]) -> Gift:
    """Return what a parent gives to a child that does not fail with it."""
    if end.result is not None:
        return Gift(end.result.payload, end.result.completed)
    if end.is_complete or policies.get(end.id) is not OnFailure.RUN:
        return _NOTHING
    error = end.error or ErrorInfo(message=end.last_err or end.text)
    return Gift(error=ParentError(error.type[:_KEPT_TEXT], error.message[:_KEPT_TEXT], end.state, end.end))


def _reference(gift: Gift) -> Gift:
    """Return what stands in the place of a gift that is too large; of an error its kind is left."""
    if gift.error is None:
        return Gift(ref=True)
    return Gift(error=ParentError(state=gift.error.state, end=gift.error.end))
