"""
payload: the mark of a parameter that takes the whole payload.

``def paid(order: Payload[Order])`` makes the payload one ``Order`` in place of an object of arguments. For a type
checker ``Payload[Order]`` is ``Order``.
"""

from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

T = TypeVar("T")


class PayloadMark:
    """The annotation's mark; there is one."""

    def __repr__(self) -> str:
        return "Payload"


PAYLOAD: Final = PayloadMark()

Payload = Annotated[T, PAYLOAD]
"""The whole payload as one value: a pydantic model, dataclass, msgspec Struct, TypedDict, or any JSON type."""


def is_payload(annotation: Any) -> bool:
    """Whether *annotation* is a ``Payload[...]``."""
    return get_origin(annotation) is Annotated and any(mark is PAYLOAD for mark in get_args(annotation)[1:])


def mentions_payload(annotation: Any) -> bool:
    """Whether a ``Payload[...]`` hides somewhere inside of *annotation*."""
    return is_payload(annotation) or any(mentions_payload(inner) for inner in get_args(annotation))


def without_mark(annotation: Any) -> Any:
    """Return what stands between the brackets of a ``Payload[...]``."""
    inner, *marks = get_args(annotation)
    kept = tuple(mark for mark in marks if mark is not PAYLOAD)
    return Annotated[(inner, *kept)] if kept else inner
