"""
framing: messages, cut out of what a server sends.

nats-py reads a stream and matches what it read against one regular expression after the other, in a coroutine that
awaits another one for each message; between the system and a callback lie a buffer, a future and a turn of the loop.
Messages are nearly all that comes, and their frames say how long they are. So they are cut out here as the system
hands the bytes over, and go to their callback at once. Whatever else comes (``INFO``, ``PING``, ``-ERR``, ...) goes on
to nats-py, line by line, and so does a frame that makes no sense, which nats-py refuses as it refuses others.
"""

import asyncio
from collections.abc import Callable
from typing import Final

OnMessage = Callable[[int, bytes, bytes, bytes, bytes | None], None]
"""Takes a message: the subscription's number, subject, reply, payload, headers. It must not raise."""

_END: Final = b"\r\n"


class FrameReader(asyncio.StreamReader):
    """
    What nats-py reads from, with the messages taken out.

    Args:
        limit: As of its base.
        on_message: Takes them.

    Attributes:
        on_message: None drops them: nobody wants to hear any more.
    """

    def __init__(self, limit: int, on_message: OnMessage) -> None:
        super().__init__(limit=limit)
        self.on_message: OnMessage | None = on_message
        self._parts: list[bytes] = []
        self._held = 0
        self._needed = 0

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # noqa: C901 - a call a frame is as much again
        """Take what came; a frame that is not whole waits for the rest."""
        if self._parts:
            data = self._joined(data)
        begin, end = 0, len(data)
        while begin < end:
            stop = data.find(_END, begin)
            if stop < 0:
                self._keep(data[begin:], 0)
                return
            body, subject, reply, head = stop + 2, b"", b"", b"0"
            try:
                match data[begin:stop].split():
                    case [b"MSG", subject, sid, size]:
                        pass
                    case [b"MSG", subject, sid, reply, size]:
                        pass
                    case [b"HMSG", subject, sid, head, size]:
                        pass
                    case [b"HMSG", subject, sid, reply, head, size]:
                        pass
                    case _:
                        sid = size = b""  # no numbers, so nats-py reads it
                number, text, after = int(sid), body + int(head), body + int(size) + 2
            except ValueError:
                number = text = after = 0
            if not body <= text <= after - 2:  # sizes below 0 would lead back to this very line, again and again
                super().feed_data(data[begin:body])
                begin = body
                continue
            if after > end:
                self._keep(data[begin:], after - begin)
                return
            if self.on_message is not None:
                headers = data[body:text] if text > body else None
                self.on_message(number, subject, reply, data[text : after - 2], headers)
            begin = after

    def _joined(self, data: bytes) -> bytes:
        """Return what was kept with *data* behind it; nothing while the frame is still not whole."""
        self._parts.append(data)
        self._held += len(data)
        if self._held < self._needed:
            return b""
        joined = b"".join(self._parts)
        self._parts.clear()
        return joined

    def _keep(self, rest: bytes, needed: int) -> None:
        """Wait for what makes a frame whole: *needed* bytes, if that is known."""
        self._parts.append(rest)
        self._held, self._needed = len(rest), needed
