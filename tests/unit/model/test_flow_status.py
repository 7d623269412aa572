"""Where a flow stands, by where its tasks stand."""

import pytest

from jetq.model.flow import FlowState
from jetq.model.flow_status import NodeState, status_of
from jetq.model.state import State

DONE, RUNS, BLOCKED = NodeState(State.COMPLETE), NodeState(State.ACTIVE), NodeState(State.BLOCKED)
FAILED, STUCK = NodeState(State.EXPIRED, end="max_tries"), NodeState(State.UNREACHABLE, end="dependency")
CANCELLED, WAITS = NodeState(State.EXPIRED, end="cancelled"), NodeState(State.NEW, due=True)


@pytest.mark.parametrize(
    ("nodes", "leaves", "said"),
    [
        ([DONE, RUNS], [1], "running (1 active, 1 complete)"),
        ([DONE, WAITS], [1], "running (1 complete, 1 scheduled)"),
        ([FAILED, BLOCKED], [1], "running (1 blocked, 1 expired)"),
        ([DONE, DONE], [1], "complete (2 complete)"),
        ([FAILED, DONE], [1], "complete (1 complete, 1 expired)"),
        ([FAILED, STUCK], [1], "failed (1 expired, 1 unreachable)"),
        ([CANCELLED, STUCK], [1], "cancelled (1 cancelled, 1 unreachable)"),
        ([CANCELLED, FAILED], [0, 1], "failed (1 cancelled, 1 expired)"),
        ([None, DONE], [1], "complete (1 complete, 1 gone)"),
        ([None, None], [1], "complete (2 gone)"),
        ([FAILED, None], [1], "complete (1 expired, 1 gone)"),
        ([None, STUCK], [1], "failed (1 gone, 1 unreachable)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_flow_stands_where_its_tasks_stand(nodes: list[NodeState | None], leaves: list[int], said: str) -> None:
    status = status_of(FlowState.COMMITTED, nodes, leaves)
    assert str(status) == said
    assert status.tasks == len(nodes)
    assert status.has_ended is not said.startswith("running")


def test_a_flow_that_is_not_committed_does_not_run() -> None:
    assert str(status_of(FlowState.BUILDING, [BLOCKED, None], [1])) == "building (1 blocked, 1 gone)"
    assert str(status_of(FlowState.ABORTED, [], [])) == "abandoned"
    assert not status_of(FlowState.BUILDING, [], []).has_ended
