"""Fault points do what they are armed with, and nothing else."""

from jetq.observe.fault_points import Point, arm, fault_point


def test_a_point_that_is_not_armed_does_nothing() -> None:
    passed: list[str] = []
    disarm = arm(Point.ITEM_STORED, lambda: passed.append("item"))

    fault_point(Point.RECORD_STORED)
    disarm()

    assert passed == []


def test_an_armed_point_acts_each_time_until_it_is_disarmed() -> None:
    passed: list[str] = []
    disarm = arm(Point.RECORD_STORED, lambda: passed.append("record"))

    fault_point(Point.RECORD_STORED)
    fault_point(Point.RECORD_STORED)
    disarm()
    fault_point(Point.RECORD_STORED)

    assert passed == ["record", "record"]
