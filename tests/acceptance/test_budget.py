"""What a task costs in calls stays within what is recorded; seconds stand in no test, since machines differ."""

import pytest

from bench import budget
from bench.budget import Budget, Cost, Report


@pytest.mark.nightly
@pytest.mark.timeout(180)
def test_a_task_costs_no_more_calls_than_is_recorded():
    recorded = budget.recorded()
    if recorded is None:
        pytest.skip("nothing is recorded for this Python")
    report = Report(budget.count(2_000), recorded, 2_000)
    assert report.counted.paths.keys() == recorded.paths.keys() == {"enqueue_many", "enqueue", "work"}
    said = budget.over(report)
    assert not said, "\n".join([*said, "if that is wanted: python -m bench budget --record, and say why"])


def test_a_path_over_its_budget_is_told_with_what_differs():
    recorded = Budget("3.11", {"work": Cost(100.0, {"a.py:f": 99.0, "b.py:g": 1.0, "c.py:h": 0.0})})
    counted = Budget("3.11", {"work": Cost(104.0, {"a.py:f": 99.05, "c.py:h > len": 5.0})})
    assert budget.over(Report(counted, recorded, 1)) == [
        "work: 104.0 calls a task are more than 3% above the recorded 100.0; what differs most:",
        "     +5.00  (0.00 -> 5.00)  c.py:h > len",
        "     -1.00  (1.00 -> 0.00)  b.py:g",
    ]


def test_a_path_within_its_budget_is_not_told():
    recorded = Budget("3.11", {"work": Cost(100.0, {})})
    assert budget.over(Report(Budget("3.11", {"work": Cost(102.9, {})}), recorded, 1)) == []
    assert budget.over(Report(Budget("3.11", {"work": Cost(200.0, {})}), None, 1)) == []
