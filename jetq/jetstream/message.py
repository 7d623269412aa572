"""
message: what comes from the server and goes to it, as bytes of the NATS protocol.

Headers of what comes are read when somebody asks for them: acknowledgements have none, and most items need none.
"""

from collections.abc import Mapping
from typing import Final, Protocol

STATUS: Final = "Status"
"""Key under which the status of a status message (404, 408, 409, 503, ...) is found among the headers."""
DESCRIPTION: Final = "Description"
"""Key of the text beside the status."""

_VERSION: Final = b"NATS/1.0"


class Incoming(Protocol):
    """A message, as callbacks get it."""

    @property
    def subject(self) -> str:
        """Where it was sent."""
        ...

    @property
    def reply(self) -> str:
        """Where an answer is expected; empty if nowhere."""
        ...

    @property
    def data(self) -> bytes:
        """The payload."""
        ...

    @property
    def headers(self) -> dict[str, str] | None:
        """The headers, with ``Status`` and ``Description`` of a status message."""
        ...

    def has_header(self, name: str) -> bool:
        """Whether there is a header of this name, spelled so; much cheaper than reading them all."""
        ...


class Message:
    """A message that came from the server."""

    __slots__ = ("_headers", "_raw_headers", "data", "reply", "subject")

    def __init__(self, subject: str, reply: str, data: bytes, raw_headers: bytes | None) -> None:
        self.subject = subject
        self.reply = reply
        self.data = data
        self._raw_headers = raw_headers
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str] | None:
        """The headers, read on first use."""
        if self._headers is None and self._raw_headers:
            self._headers = decode_headers(self._raw_headers)
        return self._headers

    def has_header(self, name: str) -> bool:
        """Whether there is a header of this name, spelled so; much cheaper than reading them all."""
        return self._raw_headers is not None and f"\n{name}:".encode() in self._raw_headers


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """
    Return headers as they stand on the wire.

    Raises:
        ValueError: A line break in a name or value, or a colon in a name: it would become another header.
    """
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or ":" in "".join(headers):
        raise ValueError(f"no legal headers: {headers!r}")
    return b"NATS/1.0\r\n%b\r\n" % lines.encode()


def decode_headers(raw: bytes) -> dict[str, str]:
    """Read headers, and the status line that a status message begins with."""
    first, _, rest = raw.partition(b"\r\n")
    headers: dict[str, str] = {}
    status = first[len(_VERSION) :].strip().decode("utf-8", "replace")
    if status:
        headers[STATUS], _, description = status.partition(" ")
        if description:
            headers[DESCRIPTION] = description
    for line in rest.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.decode("utf-8", "replace")] = value.strip().decode("utf-8", "replace")
    return headers
