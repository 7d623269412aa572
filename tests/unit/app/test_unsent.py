"""Calls in depends_on: a task and all that it depends on are one flow, each call once, the task last."""

from collections.abc import Callable
from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.call import TaskCall
from jetq.app.composition import chain, group
from jetq.app.dependency import Dependency, DependencyLike
from jetq.client.flow_request import FlowRequest
from jetq.client.request import EnqueueRequest
from jetq.errors import InvalidFlowError, InvalidPayloadError, InvalidSettingError, JetqError
from jetq.execution.context import Context
from jetq.model.dependency import Edge, OnFailure
from jetq.model.flow import MOST_NODES, Link
from tests.unit.app.carrying import carried_out

app = App("shop")


@app.task("give")
def give(value: Any) -> Any:
    return value


@app.task("note")
def note(label: str, before: Any = "nothing") -> list[Any]:
    return [label, before]


@app.task("look")
def look(ctx: Context) -> list[Any]:
    return list(ctx.dependency_results.values())


@app.task("once", unique=True)
def once() -> None: ...


def wish(call: TaskCall[Any]) -> FlowRequest:
    found = call.wish()
    assert isinstance(found, FlowRequest)
    return found


def test_a_task_without_calls_in_its_dependencies_is_no_flow() -> None:
    for depends_on in (None, [], "A", [app.handle("A"), Dependency("B")]):
        assert isinstance(note.s("a").using(depends_on=depends_on).wish(), EnqueueRequest)


def test_calls_come_before_the_task_and_others_beside_them_in_the_order_of_their_names() -> None:
    call = note.s("a").using(depends_on=["A", give.s(1), app.handle("B"), Dependency(give.s(2), on_failure="run")])

    *calls, last = wish(call).nodes

    assert [node.name for node in calls] == ["give", "give-2"]
    assert last.parents == (Edge("A"), Link(0), Edge("B"), Link(1, OnFailure.RUN))
    assert wish(call).result == 2


def test_results_are_taken_as_of_tasks_that_were_enqueued() -> None:
    deps: list[DependencyLike] = [give.s(1), "A", give.s(2)]
    results = {
        "into": note.s("a").using(depends_on=deps, into="before"),
        "one": note.s("a").using(depends_on=give.s(1), into="before"),
        "none": note.s("a").using(depends_on=deps),
        "load": look.s().using(depends_on=deps, load_dependencies=True),
        "nothing": look.s().using(depends_on=deps),
        "any": app.s("note", {"label": "x"}, depends_on=deps, into="before"),
    }

    assert {name: carried_out(wish(call), app.router, {"A": "a"}) for name, call in results.items()} == {
        "into": ["a", [1, "a", 2]],
        "one": ["a", 1],
        "none": ["a", "nothing"],
        "load": [1, "a", 2],
        "nothing": [],
        "any": ["x", [1, "a", 2]],
    }


def test_a_call_that_several_name_is_one_task_and_the_calls_of_calls_are_there() -> None:
    first = give.s(1)
    left, right = (note.s(name).using(depends_on=first, into="before") for name in "lr")
    flow = wish(note.s("end").using(depends_on=[left, right, first, left], into="before", on_failure="ignore"))

    assert [node.name for node in flow.nodes] == ["give", "note", "note-2", "note-3"]
    assert flow.nodes[3].parents == (Link(1, OnFailure.IGNORE), Link(2, OnFailure.IGNORE), Link(0, OnFailure.IGNORE))
    assert carried_out(flow, app.router) == ["end", [["l", 1], ["r", 1], 1, ["l", 1]]]


def test_a_long_line_of_calls_takes_no_stack() -> None:
    call = note.s("a")
    for _ in range(MOST_NODES - 1):
        call = note.s("b").using(depends_on=[call])

    assert len(wish(call).nodes) == MOST_NODES
    with pytest.raises(InvalidFlowError, match="more than 10,000 tasks"):
        note.s("b").using(depends_on=[call]).wish()


def circle() -> None:
    depends_on: list[DependencyLike] = []
    inner = note.s("a").using(depends_on=depends_on)
    depends_on.append(note.s("b").using(depends_on=[inner]))
    inner.wish()


@pytest.mark.parametrize(
    ("made", "error", "sentence"),
    [
        (circle, InvalidSettingError, "a task cannot depend on itself"),
        (lambda: give.s(1).using(id="A", depends_on=note.s("a")).wish(), InvalidSettingError, "id to be absent in"),
        (lambda: give.s(1).using(depends_on=note.s("a").using(id="A")).wish(), InvalidSettingError, "id to be absent"),
        (lambda: give.s(1).using(depends_on=once.s()).wish(), InvalidSettingError, "unique=False says so"),
        (lambda: give.s(1).using(depends_on=note.s()).wish(), InvalidPayloadError, "argument 'label' is missing"),
        (lambda: give.s().using(depends_on=note.s("a")).wish(), InvalidPayloadError, "argument 'value' is missing"),
        (lambda: give.s(1).using(depends_on=App("y").s("b")).wish(), InvalidFlowError, "others are of <App y>"),
        (lambda: give.s(1).using(depends_on=[group(note.s("a"))]), InvalidSettingError, "a group by |"),  # type: ignore[list-item]
        (lambda: give.s(1).using(depends_on=chain(note.s("a"))), InvalidSettingError, "after a chain or a group by |"),  # type: ignore[arg-type]
        (lambda: give.s(1).using(depends_on=note.s("a")).request(), InvalidSettingError, "a task that was enqueued"),
        (lambda: note.s("x").using(depends_on=give.s(1), into="labe").wish(), InvalidSettingError, "a parameter of"),
    ],
    ids=range(11),
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    made: Callable[[], object], error: type[JetqError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        made()
