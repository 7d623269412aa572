"""
endpoint: one thing that the API does: where it is found, what it takes and gives, and the function that does it.

The routes and the OpenAPI document are both made of these, so the one cannot say what the other does not do.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request

from jetq.web.service import Service

_EMPTY: Final[Mapping[str, str]] = {}


class Answer(Struct, frozen=True):
    """
    What a request gets.

    Attributes:
        body: Whatever is JSON; None for no body; bytes of another *kind*.
        status: Of the answer; 0 is the endpoint's own.
        headers: Beside those that every answer has.
        kind: The media type of a body that is bytes.
    """

    body: Any = None
    status: int = 0
    headers: Mapping[str, str] = _EMPTY
    kind: str = ""


class Parameter(Struct, frozen=True, kw_only=True):
    """A parameter, by its JSON schema, *kind*; *place* is ``query`` or ``header``."""

    name: str
    meaning: str
    kind: Mapping[str, Any]
    place: str = "query"


class Endpoint(Struct, frozen=True, kw_only=True):
    """
    One thing that the API does.

    Attributes:
        method: Of HTTP.
        path: With ``{name}`` for what varies.
        name: Of the operation, for programs that generate clients.
        tag: What it is about.
        summary: What it does, in a sentence.
        run: Does it.
        takes: The struct of its body; None for no body.
        gives: The struct of its answer; None for no body.
        status: Of an answer that says yes.
        refuses: The statuses of those that say no, beside the ones that all may have.
        parameters: Beside those of its path.
        may_lack_body: What it takes has defaults for all, and may be left out.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    run: Callable[[Service, Request], Awaitable[Answer]]
    takes: type[Any] | None = None
    gives: type[Any] | None = None
    status: int = 200
    refuses: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    may_lack_body: bool = False
