"""Credit never exceeds the free slots, and does not lie idle where it is needed elsewhere."""

import asyncio
import random
from typing import cast

import pytest

from jetq.jetstream.puller import Delivery, Puller
from jetq.model.sharing import Fair
from jetq.worker.asking import SeveralQueues

SLOTS = 8


class Queue:
    """A queue and its puller in one: answers when it is told to."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.credit = 0
        self.pending = 0
        self.is_ready = True
        self.at_once = False
        self.withdrawn = 0

    def ask(self, count: int, *, at_once: bool = False) -> None:
        assert not self.credit
        self.credit, self.at_once = count, at_once

    def withdraw(self) -> None:
        self.credit = 0
        self.withdrawn += 1

    def answer(self) -> int:
        """Give what was asked for and is there."""
        given = min(self.items, self.credit)
        self.items -= given
        self.credit -= given
        if self.at_once:
            self.credit = 0
        if given:
            self.pending = self.items
        elif self.at_once:
            self.pending = 0
        return given


class Given(Delivery):
    """An item that was delivered for the first time."""

    @property
    def delivered(self) -> int:
        return 1


def over(queues: dict[str, Queue], weights: list[int]) -> SeveralQueues:
    pullers = cast("dict[str, Puller]", queues)
    return SeveralQueues(pullers, Fair(weights, SLOTS), on_time=lambda: None)


def take(asking: SeveralQueues, queue: str) -> None:
    asking.arrived(Given(queue, cast("object", None), 0.0, []))  # type: ignore[arg-type]  # nobody reads the message


async def test_an_idle_queue_has_one_request_that_waits() -> None:
    queues = {"A": Queue(0), "B": Queue(0)}
    asking = over(queues, [1, 1])

    asking.ask(SLOTS)

    assert [(queue.credit, queue.at_once) for queue in queues.values()] == [(1, False), (1, False)]
    asking.stop()


async def test_the_requests_that_wait_give_way_to_a_backlog() -> None:
    queues = {"A": Queue(100), "B": Queue(0)}
    asking = over(queues, [1, 1])
    asking.ask(SLOTS)
    assert queues["A"].answer() == 1
    take(asking, "A")

    asking.ask(SLOTS - 1)

    assert queues["B"].withdrawn == 1
    assert (queues["A"].credit, queues["A"].at_once) == (SLOTS - 1, True)
    asking.stop()


async def test_with_fewer_slots_than_queues_each_is_asked_in_turn() -> None:
    queues = {name: Queue(0) for name in "ABC"}
    asking = over(queues, [1, 1, 1])
    asked: list[str] = []
    for _ in range(3):
        asking.ask(1)
        asked += [name for name, queue in queues.items() if queue.credit]
        assert sum(queue.credit for queue in queues.values()) == 1
        for queue in queues.values():
            queue.answer()

    assert sorted(asked) == ["A", "B", "C"]
    asking.stop()


async def test_a_queue_that_keeps_silent_loses_its_credit() -> None:
    queues = {"A": Queue(5), "B": Queue(0)}
    asking = over(queues, [1, 1])
    asking.ask(SLOTS)
    queues["A"].answer()
    take(asking, "A")
    asking.ask(SLOTS - 1)
    assert queues["A"].credit == 4

    async with asyncio.timeout(5):
        while not queues["A"].withdrawn:
            asking.ask(SLOTS - 1)
            await asyncio.sleep(0.01)
    asking.stop()


@pytest.mark.parametrize("seed", range(20))
async def test_credit_never_exceeds_the_free_slots(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    queues = {name: Queue(chance.choice((0, 1, 50))) for name in "ABCDE"[: chance.randint(2, 5)]}
    asking = over(queues, [chance.randint(1, 6) for _ in queues])
    running = 0
    for _ in range(300):
        if running < SLOTS:
            asking.ask(SLOTS - running)
        assert sum(queue.credit for queue in queues.values()) <= SLOTS - running
        name = chance.choice(list(queues))
        for _ in range(queues[name].answer()):
            take(asking, name)
            running += 1
        running -= min(running, chance.randint(0, 3))
        queues[chance.choice(list(queues))].items += chance.choice((0, 0, 7))
    asking.stop()
