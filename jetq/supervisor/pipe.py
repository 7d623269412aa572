"""
pipe: the supervisor's end of the pipe to a child. It never blocks, whatever the child does.
"""

import contextlib
import socket
from typing import Final

from jetq.errors import WireError
from jetq.wire.liveness import HEADER_SIZE, FromChild, ToChild, body_size, frame, read_from_child

_CHUNK: Final = 256 * 1024
_MOST_UNSENT: Final = 16 * 1024 * 1024
"""Bytes; a child that reads nothing is soon found silent, until then no more is kept for it."""


class Pipe:
    """
    One end of a pair of sockets.

    Args:
        end: The supervisor's.

    Attributes:
        is_open: The child has its end open.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._unsent = bytearray()
        self._unread = bytearray()
        self.is_open = True

    def fileno(self) -> int:
        """Return what becomes readable with a message."""
        return self._end.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits until the child reads."""
        return bool(self._unsent)

    def send(self, message: ToChild) -> None:
        """Send a message, now or when the child reads."""
        if self.is_open and len(self._unsent) < _MOST_UNSENT:
            self._unsent += frame(message)
            self.flush()

    def flush(self) -> None:
        """Send what could not be sent before."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self._unsent:
                del self._unsent[: self._end.send(self._unsent)]

    def receive(self) -> list[FromChild]:
        """Return the messages that have come."""
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while data := self._end.recv(_CHUNK):
                self._unread += data
            self.is_open = False
        return self._messages()

    def _messages(self) -> list[FromChild]:
        found: list[FromChild] = []
        while len(self._unread) >= HEADER_SIZE:
            try:
                size = body_size(bytes(self._unread[:HEADER_SIZE]))
            except WireError:
                self.is_open = False
                break
            if len(self._unread) < HEADER_SIZE + size:
                break
            message = read_from_child(bytes(self._unread[HEADER_SIZE : HEADER_SIZE + size]))
            del self._unread[: HEADER_SIZE + size]
            if message is not None:
                found.append(message)
        return found

    def close(self) -> None:
        """Let the child see that nobody is here any more."""
        self.is_open = False
        self._end.close()
