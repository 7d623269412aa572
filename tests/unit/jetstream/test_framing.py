"""Messages are cut out of what a server sends, however it is cut up; all else goes on to nats-py."""

import asyncio
from typing import Any

import pytest

from jetq.jetstream.framing import FrameReader, OnMessage

Taken = list[tuple[int, bytes, bytes, bytes, bytes | None]]

MESSAGES = {
    b"MSG a.b 7 2\r\nhi\r\n": (7, b"a.b", b"", b"hi", None),
    b"MSG a.b 7 _R.1 4\r\n\r\n\r\n\r\n": (7, b"a.b", b"_R.1", b"\r\n\r\n", None),
    b"MSG  a\t8  0\r\n\r\n": (8, b"a", b"", b"", None),
    b"HMSG a.b 9 12 14\r\nNATS/1.0\r\n\r\nhi\r\n": (9, b"a.b", b"", b"hi", b"NATS/1.0\r\n\r\n"),
    b"HMSG a.b 9 _R.2 16 16\r\nNATS/1.0 404\r\n\r\n\r\n": (9, b"a.b", b"_R.2", b"", b"NATS/1.0 404\r\n\r\n"),
}
LINES = [b'INFO {"a": "MSG b 1 2"}\r\n', b"PING\r\n", b"+OK\r\n", b"-ERR 'no'\r\n", b"\r\n"]


def taking(taken: Taken) -> OnMessage:
    def take(*message: Any) -> None:
        taken.append(message)

    return take


async def read(*chunks: bytes) -> tuple[Taken, bytes]:
    """Return the messages, and what was left for nats-py."""
    taken: Taken = []
    reader = FrameReader(1024, taking(taken))
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    return taken, await reader.read()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
async def test_messages_are_taken_out_in_order_however_they_are_cut_up(size: int) -> None:
    stream = b"".join(frame + line for frame, line in zip(MESSAGES, LINES, strict=True))

    taken, left = await read(*(stream[start : start + size] for start in range(0, len(stream), size)))

    assert taken == list(MESSAGES.values())
    assert left == b"".join(LINES)


@pytest.mark.parametrize(
    "line",
    [
        b"MSG a 1",
        b"MSG a x 2",
        b"MSG a 1 r x",
        b"MSG a 1 r s 2",
        b"MSG a 1 -1",
        b"MSG a 1 -15",
        b"HMSG a 1 2",
        b"HMSG a 1 x 2",
        b"HMSG a 1 -2 2",
        b"HMSG a 1 20 4",
        b"MSGX a 1 2",
        b"MSG",
    ],
)
async def test_a_frame_that_makes_no_sense_is_left_for_nats_py_to_refuse(line: bytes) -> None:
    assert await read(line + b"\r\nPING\r\n") == ([], line + b"\r\nPING\r\n")


async def test_a_large_message_is_put_together_once() -> None:
    data = bytes(range(256)) * 4096

    taken, left = await read(b"MSG a 1 %d\r\n" % len(data), *(data[at : at + 1000] for at in range(0, len(data), 1000)))
    assert (taken, left) == ([], b"")
    taken, left = await read(b"MSG a 1 %d\r\n" % len(data), data, b"\r\nPING\r\n")

    assert taken == [(1, b"a", b"", data, None)]
    assert left == b"PING\r\n"


async def test_a_reader_that_is_deaf_hands_nothing_over() -> None:
    taken: Taken = []
    reader = FrameReader(1024, taking(taken))
    reader.on_message = None

    reader.feed_data(b"MSG a 1 2\r\nhi\r\nPING\r\n")

    assert taken == []
    assert await asyncio.wait_for(reader.readline(), 1) == b"PING\r\n"
