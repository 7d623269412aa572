"""
changing: what is to be different about a task, from words on a command line.
"""

import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec
import typer

from jetq.cli.durations import parse_duration
from jetq.errors import InvalidSettingError
from jetq.model.quantity import seconds, whole
from jetq.wire.unreadable import UNREADABLE

STDIN: Final = "-"
NONE: Final = "none"


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Fields of a task; None for what stays."""

    payload: Annotated[
        str | None, typer.Option("--payload", metavar="JSON|-", help="Another payload; - reads stdin.")
    ] = None
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="TIME", help="Is not started any more after that much time; or none."),
    ] = None
    max_tries: Annotated[
        int | None, typer.Option("--max-tries", metavar="N", help="How often it may run; 0 is unlimited.")
    ] = None

    def arguments(self) -> dict[str, Any]:
        """
        Return the changes as operations take them.

        Raises:
            InvalidSettingError: One cannot be read.
        """
        given: dict[str, Any] = {}
        if self.payload is not None:
            given["payload"] = _json(sys.stdin.read() if self.payload == STDIN else self.payload)
        if self.deadline is not None:
            given["deadline"] = None if self.deadline == NONE else _later(self.deadline)
        if self.max_tries is not None:
            given["max_tries"] = whole("max_tries", self.max_tries, least=0)
        return given


def _later(text: str) -> timedelta:
    return timedelta(seconds=seconds("--deadline", parse_duration("--deadline", text)))


def _json(text: str) -> bytes:
    try:
        data = text.encode()
        msgspec.json.decode(data)
    except UNREADABLE as error:
        wanted = f"""JSON, quoted for the shell, as '{{"n": 1}}', or - for stdin ({error})"""
        raise InvalidSettingError("--payload", text[:80], wanted) from error
    return data.strip()
