"""The waits of a place whose children crash."""

from jetq.supervisor.backoff import Backoff


def test_the_first_crash_costs_nothing_and_each_further_one_twice_as_much_up_to_a_limit() -> None:
    backoff = Backoff(1.0, 30.0, 60.0)

    assert [backoff.wait_after(0.0) for _ in range(8)] == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_healthy_minute_clears_the_account() -> None:
    backoff = Backoff(1.0, 30.0, 60.0)
    waits = [backoff.wait_after(healthy) for healthy in (0.0, 59.0, 60.0, 0.0)]

    assert waits == [0.0, 1.0, 0.0, 1.0]
