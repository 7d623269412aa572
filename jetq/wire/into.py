"""
into: which parameters of a task take the results of its parents, the ``into`` of a record's ``options``.

An object by parameter. A number stands for the parent at that place in the record's ``dependencies``, a list for the
list of what is in it. A parent without a result (its failure is ignored) gives ``null``; one that failed and for which
``run`` is said gives an object with the one key ``error``.

What another program wrote there and nobody can read is as good as absent.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw
from msgspec.structs import asdict

from jetq.model.flow import Shape
from jetq.model.record import ABSENT, TaskRecord
from jetq.wire.dependencies import Gift, decode_gifts
from jetq.wire.unreadable import UNREADABLE

_shapes: Final = msgspec.json.Decoder(dict[str, Any])
_NULL: Final = Raw(b"null")


def encode_into(shapes: Mapping[str, Shape]) -> Raw:
    """Spell which parameters take which results; absent if none does."""
    return Raw(msgspec.json.encode(shapes)) if shapes else ABSENT


def parent_values(record: TaskRecord) -> dict[str, Raw]:
    """Return what a task's parents gave, as JSON by the parameter that takes it."""
    options = record.options
    if options is None or options.into is ABSENT:
        return {}
    gifts = decode_gifts(record.satisfied) | decode_gifts(record.dependency_results)
    given = [_value(gifts.get(parent)) for parent in record.dependencies]
    try:
        shapes = _shapes.decode(options.into)
        return {name: Raw(msgspec.json.encode(_put_together(shape, given))) for name, shape in shapes.items()}
    except UNREADABLE:
        return {}


def parents_taken(record: TaskRecord) -> set[str]:
    """Return the parents whose results parameters take."""
    options = record.options
    if options is None or options.into is ABSENT:
        return set()
    try:
        places = _places([*_shapes.decode(options.into).values()])
    except UNREADABLE:
        return set()
    return {parent for place, parent in enumerate(record.dependencies) if place in places}


def _places(shape: int | str | list[Any] | None) -> set[int]:
    if isinstance(shape, list):
        return {place for each in shape for place in _places(each)}
    return {shape} if isinstance(shape, int) else set()


def _put_together(shape: int | str | list[Any] | None, given: list[Raw]) -> Any:
    if isinstance(shape, list):
        return [_put_together(each, given) for each in shape]
    return given[shape] if isinstance(shape, int) and 0 <= shape < len(given) else _NULL


def _value(gift: Gift | None) -> Raw:
    if gift is None or not gift.is_result:
        return _NULL
    if gift.error is not None:
        return Raw(msgspec.json.encode({"error": asdict(gift.error)}))
    return gift.payload
