"""
any_payload: the binding of a handler that does not read the payload: it hands the whole task on to another program.

What that program takes, nobody knows here, so every payload will do. A caller gives arguments by name, as for any other
handler, and sends them as an object; ``app.enqueue(type, payload)`` sends everything else.
"""

from collections.abc import Mapping
from typing import Any, Final

from jetq.errors import InvalidPayloadError
from jetq.routing.binding import Arguments, NamedArguments

_NO_CALL: Final[Arguments] = ((), {})


class AnyPayload(NamedArguments):
    """
    Every payload will do, and is not read.

    Args:
        where: The handler, for errors.
    """

    def __init__(self, where: str) -> None:
        super().__init__((), Any, None, where)

    def collect(self, args: tuple[Any, ...], kwargs: dict[str, Any], task_type: str) -> dict[str, Any]:
        """Return the arguments by name, of which there may be any."""
        if args:
            reason = "its handler is another program, which knows no positions; give every argument by name"
            raise InvalidPayloadError(task_type, reason)
        return kwargs

    def check(self, payload: bytes, given: Mapping[str, Any], task_type: str) -> None:
        """Every payload will do."""

    def bind(self, payload: bytes | None, task_type: str) -> Arguments:  # noqa: ARG002 - every payload will do
        """Return a call without arguments."""
        return _NO_CALL

    def prepare(self) -> None:
        """Nothing is to be compiled."""
