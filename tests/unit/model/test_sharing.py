"""Slots are shared out by weight, and no queue starves."""

import random
from collections import deque

from hypothesis import given, strategies as st

from jetq.model.sharing import Fair, Sharing, Strict

weights = st.lists(st.integers(1, 9), min_size=1, max_size=5)
capacities = st.integers(1, 20)


def run(sharing: Sharing, capacity: int, queues: int, starts: int, *, pick: random.Random | None = None) -> list[int]:
    """Let all queues have work without end, and return the queues of all starts; tasks end in order, or at random."""
    held, running, order = [0] * queues, deque[int](), list[int]()
    while len(order) < starts:
        given_out = sharing.share_out(capacity - sum(held), held, [capacity] * queues)
        for queue, count in enumerate(given_out):
            for _ in range(count):
                sharing.started(queue)
                held[queue] += 1
                running.append(queue)
                order.append(queue)
        if pick is not None:
            running.rotate(pick.randrange(capacity))
        held[running.popleft()] -= 1
    return order


@given(weights, capacities, st.data())
def test_all_room_is_given_out_that_somebody_wants(weights: list[int], capacity: int, data: st.DataObject) -> None:
    held = data.draw(st.lists(st.integers(0, 5), min_size=len(weights), max_size=len(weights)))
    wanted = data.draw(st.lists(st.integers(0, 9), min_size=len(weights), max_size=len(weights)))
    room = data.draw(st.integers(0, capacity))

    for sharing in (Fair(weights, capacity), Strict()):
        given_out = sharing.share_out(room, held, wanted)

        assert sum(given_out) == min(room, sum(wanted))
        assert all(0 <= count <= wish for count, wish in zip(given_out, wanted, strict=True))


@given(weights, capacities)
def test_an_empty_worker_is_filled_by_weight(weights: list[int], capacity: int) -> None:
    given_out = Fair(weights, capacity).share_out(capacity, [0] * len(weights), [capacity] * len(weights))

    total = sum(weights)
    for count, weight in zip(given_out, weights, strict=True):
        assert capacity * weight // total <= count <= -(-capacity * weight // total)


@given(weights, capacities, st.randoms(use_true_random=False))
def test_shares_stay_within_a_slot_of_their_weight_whatever_ends_first(
    weights: list[int], capacity: int, pick: random.Random
) -> None:
    sharing, total = Fair(weights, capacity), sum(weights)
    held, running = [0] * len(weights), list[int]()
    for _ in range(100):
        for queue, count in enumerate(sharing.share_out(capacity - sum(held), held, [capacity] * len(weights))):
            for _ in range(count):
                sharing.started(queue)
                running.append(queue)
            held[queue] += count
        for has, weight in zip(held, weights, strict=True):
            assert capacity * weight // total <= has <= -(-capacity * weight // total)
        held[running.pop(pick.randrange(capacity))] -= 1


@given(weights, capacities)
def test_starts_follow_the_weights_over_time(weights: list[int], capacity: int) -> None:
    starts, total = 20 * sum(weights), sum(weights)

    order = run(Fair(weights, capacity), capacity, len(weights), starts)

    for queue, weight in enumerate(weights):
        assert abs(order.count(queue) - starts * weight / total) <= capacity + 2 * len(weights)


@given(weights, capacities, st.randoms(use_true_random=False))
def test_no_queue_starves(weights: list[int], capacity: int, pick: random.Random) -> None:
    order = run(Fair(weights, capacity), capacity, len(weights), 25 * sum(weights), pick=pick)

    assert set(order) == set(range(len(weights)))


def test_one_slot_goes_in_turns_by_weight() -> None:
    order = run(Fair([6, 3, 1], 1), 1, 3, 1000)

    assert [order.count(queue) for queue in range(3)] == [600, 300, 100]


def test_what_a_queue_does_not_want_the_others_get() -> None:
    assert Fair([6, 3, 1], 12).share_out(12, [0, 0, 0], [0, 100, 100]) == [0, 9, 3]
    assert Fair([6, 3, 1], 10).share_out(10, [0, 0, 0], [0, 0, 100]) == [0, 0, 10]
    assert Fair([6, 3, 1], 10).share_out(10, [0, 0, 0], [1, 1, 1]) == [1, 1, 1]


def test_long_tasks_of_a_light_queue_leave_the_others_their_slots() -> None:
    sharing = Fair([6, 3, 1], 10)
    held = [0, 0, 1]  # of weight 1, for ever
    for _ in range(50):
        given_out = sharing.share_out(9, held, [20, 20, 20])
        assert given_out == [6, 3, 0]
        sharing.started(0)


def test_a_queue_that_was_idle_for_long_has_no_precedence_for_long() -> None:
    sharing = Fair([1, 1], 1)
    for _ in range(1000):
        sharing.started(0)

    order: list[int] = []
    for _ in range(10):
        chosen = sharing.share_out(1, [0, 0], [1, 1]).index(1)
        sharing.started(chosen)
        order.append(chosen)

    assert 4 <= order.count(0) <= 6


def test_strict_serves_the_first_queue_that_wants() -> None:
    assert Strict().share_out(10, [0, 0, 0], [20, 5, 5]) == [10, 0, 0]
    assert Strict().share_out(10, [0, 0, 0], [3, 0, 50]) == [3, 0, 7]
