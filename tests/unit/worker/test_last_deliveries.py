"""When an item was delivered so often that it is exchanged."""

import pytest

from jetq.jetstream.bound_queue import BoundQueue
from jetq.jetstream.message import Message
from jetq.jetstream.puller import Delivery
from jetq.worker.last_deliveries import is_worn


def delivery(count: int) -> Delivery:
    reply = f"$JS.ACK.NS_Q_Q.WORKERS.{count}.7.9.1764000000000000000.0"
    return Delivery("Q", Message("NS.Q.Q.1", reply, b"{}", None), 0.0, reply.split("."))


@pytest.mark.parametrize(("most", "exchanged"), [(0, []), (1, []), (2, [2]), (3, [2, 3]), (100, [99, 100])], ids=str)
def test_an_item_is_exchanged_before_the_server_gives_it_up(most: int, exchanged: list[int]) -> None:
    queue = BoundQueue(name="Q", lease=60.0, max_run_time=60.0, max_tries=most, made_by_go=True)

    assert [count for count in range(1, max(most, 1) + 1) if is_worn(delivery(count), queue)] == exchanged


def test_in_a_queue_of_jetq_none_is() -> None:
    queue = BoundQueue(name="Q", lease=15.0, max_run_time=60.0, max_tries=3)

    assert not is_worn(delivery(1000), queue)
