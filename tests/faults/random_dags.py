"""
random_dags: graphs of tasks drawn at random, and what must be true of them when all have ended.

Each node is a task of `tests.faults.program`; it fails as often as it is told, so how it ends is known before, but for
crashes.
"""

from random import Random

from msgspec import Struct

from jetq.model.dependency import OnFailure
from jetq.model.record import TaskRecord
from jetq.model.state import End, State

MOST_NODES = 50
MOST_CRASHES = 3
_LONGEST = 0.1
_SKEW = 0.1
"""Seconds by which the clocks of two workers may differ, each of which is a traveller in time."""


class Node(Struct, frozen=True, kw_only=True):
    """
    A task.

    Attributes:
        id: Its id.
        parents: What it depends on, by their positions in the graph, and what their failures mean.
        seconds: How long it runs.
        fail: How often it fails.
        max_tries: How often it may.
        late: Its deadline has passed before it can run, or almost.
    """

    id: str
    parents: dict[int, OnFailure]
    seconds: float
    fail: int
    max_tries: int
    late: bool

    @property
    def is_good(self) -> bool:
        """Whether it succeeds if it may run."""
        return self.fail < self.max_tries


class Runs(Struct):
    """What the handlers of one task noted: the processes that began it, and when it began and ended."""

    pids: list[int] = []
    starts: list[float] = []
    ends: list[float] = []


def draw(chance: Random, name: str) -> list[Node]:
    """Draw a graph; each node depends on some of those before it, mostly on near ones, so that it is deep and wide."""
    nodes: list[Node] = []
    for place in range(chance.randint(2, MOST_NODES)):
        reach = chance.choice([3, 10, MOST_NODES])
        near = range(max(0, place - reach), place)
        chosen = chance.sample(near, min(len(near), chance.choice([0, 1, 1, 1, 2, 2, 3, 6])))
        policies = [OnFailure.FAIL] * 3 + [OnFailure.IGNORE, OnFailure.RUN]
        nodes.append(
            Node(
                id=f"{name}-{place}",
                parents={parent: chance.choice(policies) for parent in chosen},
                seconds=chance.uniform(0, _LONGEST),
                fail=chance.choice([0] * 12 + [1, 2, 99]),
                max_tries=chance.choice([2, 10]),
                late=chance.random() < 1 / MOST_NODES,
            )
        )
    return nodes


def check(graph: list[Node], records: dict[str, TaskRecord], runs: dict[str, Runs], killed: set[int]) -> None:
    """Make sure that each node ended as its parents' ends and its own nature say, and ran no more often than needed."""
    for node in graph:
        record, ran = records[node.id], runs.get(node.id, Runs())
        assert record.is_final, record
        assert record.pending == () or record.state is State.UNREACHABLE, record
        parents = {graph[place].id: policy for place, policy in node.parents.items()}
        failed = {parent for parent in parents if records[parent].state is not State.COMPLETE}
        if any(parents[parent] is OnFailure.FAIL for parent in failed):
            assert record.state is State.UNREACHABLE, record
            assert any(parent in record.last_err for parent in failed), record
            assert (record.runs, ran.starts) == (0, []), record
            continue
        _check_end(node, record)
        _check_runs(node, record, ran, killed)
        began = min(ran.starts, default=float("inf")) + _SKEW
        assert all(min(runs[parent].ends) < began for parent in parents if parent not in failed), (node, ran)


def _check_end(node: Node, record: TaskRecord) -> None:
    if record.end == End.CRASH:
        assert record.crashes >= MOST_CRASHES, record
    elif record.end == End.DEADLINE:
        assert node.late, record
    elif node.is_good and not (record.end == End.MAX_TRIES and record.crashes):
        assert record.state is State.COMPLETE, record
        assert record.result is not None
        assert int(bytes(record.result.payload)) == record.runs, record
    else:
        assert (record.state, record.end) == (State.EXPIRED, End.MAX_TRIES), record


def _check_runs(node: Node, record: TaskRecord, ran: Runs, killed: set[int]) -> None:
    """A crash uses a try, so it may stand for one in which the task would have failed."""
    wanted = min(node.fail + 1, node.max_tries)
    least = 0 if record.end == End.DEADLINE else wanted - record.crashes
    assert least <= record.runs <= wanted + record.crashes, (node, record)
    assert record.runs <= node.max_tries, (node, record)
    assert len(ran.starts) <= record.runs, (record, ran)
    if record.crashes:  # one that was claimed by a worker which died before it began noted nothing
        assert killed & set(ran.pids) or len(ran.starts) < record.runs, (record, ran)
