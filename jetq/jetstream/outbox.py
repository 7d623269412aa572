"""
outbox: what goes to the server, in order, written once a turn of the loop.

One write for all messages of a turn costs a fraction of one write a message. But who waits for an answer to a single
message waits for the rest of the turn too, and for the begin of the next one; so as long as turns have few messages,
each is written at once.

Nothing outlives a link: what a lost link had not taken is dropped with it.
"""

import asyncio
from typing import Final

from jetq.jetstream.link import Link

_LIMIT: Final = 64 * 1024 * 1024
"""Bytes that may wait for a server that does not take them; beyond that messages are dropped."""

_FEW: Final = 3
"""Messages of a turn that are written one by one, if the last turn had no more."""


class Outbox:
    """
    The way out. Without a link it drops what is put in.

    Attributes:
        link: Where it leads now.
    """

    def __init__(self) -> None:
        self.link: Link | None = None
        self._waiting: list[bytes] = []
        self._count = 0
        self._at_once = _FEW
        self._clogged = False
        self._loop = asyncio.get_running_loop()

    def lead_to(self, link: Link | None) -> None:
        """Change the link, and drop what waits for the last one."""
        self._waiting.clear()
        self._clogged = False
        self.link = link

    def put(self, command: bytes) -> bool:
        """Send bytes of the protocol, at the end of this turn at the latest. False, if they are dropped."""
        link = self.link
        if link is None or (self._clogged and link.buffered > _LIMIT):
            return False
        if not self._count:
            self._loop.call_soon(self.flush)
        self._count += 1
        if self._count <= self._at_once:
            link.write(command)
        else:
            self._waiting.append(command)
        return True

    def flush(self) -> None:
        """Send what waits."""
        link = self.link
        self._at_once = _FEW if self._count <= _FEW else 0
        self._count = 0
        if link is not None:
            if self._waiting:
                link.write(b"".join(self._waiting))
            self._clogged = link.buffered > _LIMIT
        self._waiting.clear()
