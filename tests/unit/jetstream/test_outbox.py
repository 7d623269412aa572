"""What goes out together, and what at once."""

import asyncio
from typing import Any

import pytest

from jetq.jetstream.outbox import Outbox


class Wire:
    """Stands for a link; notes each write."""

    buffered = 0

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Note it."""
        self.writes.append(data)


@pytest.fixture
async def wire() -> Wire:
    """Give a link."""
    return Wire()


@pytest.fixture
async def outbox(wire: Wire) -> Outbox:
    """Give an outbox that leads to it."""
    outbox, link = Outbox(), wire  # what an outbox needs of a link
    outbox.lead_to(_as_link(link))
    return outbox


def _as_link(wire: Wire) -> Any:
    return wire


def put(outbox: Outbox, text: bytes) -> None:
    """Put one-letter commands."""
    for place in range(len(text)):
        assert outbox.put(text[place : place + 1])


async def test_a_single_message_does_not_wait_for_the_end_of_the_turn(outbox: Outbox, wire: Wire) -> None:
    put(outbox, b"a")

    assert wire.writes == [b"a"]


async def test_a_turn_with_many_messages_writes_those_beyond_a_few_together(outbox: Outbox, wire: Wire) -> None:
    put(outbox, b"abcdef")
    assert wire.writes == [b"a", b"b", b"c"]
    await asyncio.sleep(0)

    assert wire.writes == [b"a", b"b", b"c", b"def"]


async def test_after_a_turn_with_many_messages_all_wait_until_turns_have_few_again(outbox: Outbox, wire: Wire) -> None:
    put(outbox, b"abcd")
    await asyncio.sleep(0)
    wire.writes.clear()

    put(outbox, b"ef")
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [b"ef"]
    put(outbox, b"g")
    assert wire.writes == [b"ef", b"g"]


async def test_what_a_lost_link_had_not_taken_is_dropped_with_it(outbox: Outbox, wire: Wire) -> None:
    put(outbox, b"abcd")
    outbox.lead_to(None)

    assert not outbox.put(b"e")
    await asyncio.sleep(0)
    assert wire.writes == [b"a", b"b", b"c"]
