import asyncio

import pytest

from jetq.jetstream.gathering import Gathering


async def test_who_comes_while_others_are_served_is_served_together_with_the_next() -> None:
    served: list[list[int]] = []
    gate = asyncio.Event()

    async def serve(_thing: str, wishes: list[int]) -> int:
        served.append(wishes)
        await gate.wait()
        return sum(wishes)

    gathering = Gathering(serve)
    first = asyncio.create_task(gathering.join("a", 1))
    await asyncio.sleep(0.01)
    later = [asyncio.create_task(gathering.join("a", number)) for number in (2, 3)]
    other = asyncio.create_task(gathering.join("b", 9))
    await asyncio.sleep(0.01)
    gate.set()

    assert await asyncio.gather(first, *later, other) == [1, 5, 5, 9]
    assert served == [[1], [9], [2, 3]]


async def test_all_hear_of_a_failure_and_the_next_begin_anew() -> None:
    async def serve(_thing: str, wishes: list[int]) -> int:
        if 0 in wishes:
            raise ValueError("no zero")
        return len(wishes)

    gathering = Gathering(serve)
    ended = await asyncio.gather(gathering.join("a", 0), gathering.join("a", 1), return_exceptions=True)

    assert [type(each) for each in ended] == [ValueError, ValueError]
    assert await gathering.join("a", 1) == 1


async def test_one_who_leaves_takes_nobody_along() -> None:
    gate = asyncio.Event()

    async def serve(_thing: str, wishes: list[int]) -> int:
        await gate.wait()
        return len(wishes)

    gathering = Gathering(serve)
    leaves, stays = (asyncio.create_task(gathering.join("a", number)) for number in (1, 2))
    await asyncio.sleep(0.01)
    leaves.cancel()
    gate.set()

    assert await stays == 2
    with pytest.raises(asyncio.CancelledError):
        await leaves
