"""Flows by name: each task waits for what it says, and what cannot be is refused where the block ends."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from jetq.app.application import App
from jetq.app.composition import group
from jetq.app.dependency import Dependency
from jetq.app.flow import Flow
from jetq.errors import (
    FlowCycleError,
    InvalidFlowError,
    InvalidNameError,
    InvalidPayloadError,
    InvalidSettingError,
    JetqError,
    UnknownNodeError,
)
from jetq.execution.context import Context
from jetq.model.dependency import Edge, OnFailure
from jetq.model.flow import MOST_NODES, Link
from tests.unit.app.carrying import carried_out

app = App("shop")


@app.task("note")
def note(label: str, before: Any = "nothing", other: Any = "nothing") -> list[Any]:
    return [label, before, other]


@app.task("give")
def give(value: Any) -> Any:
    return value


@app.task("look")
def look(ctx: Context) -> list[Any]:
    return list(ctx.dependency_results.values())


def result(flow: Flow) -> dict[str, Any]:
    found: dict[str, Any] = carried_out(flow.request(), app.router)
    return found


def parents(flow: Flow) -> dict[str, tuple[Link | Edge, ...]]:
    return {node.name: node.parents for node in flow.request().nodes}


# what goes where


def test_results_go_where_after_says() -> None:
    with Flow("nightly") as flow:
        one, two = flow.add(give.s(1), name="one"), flow.add(give.s(2), name="two")
        flow.add(note.s("a"), name="single", after=one)
        flow.add(note.s("b"), name="list", after=[one])
        flow.add(note.s("c"), name="both", after=[two, one])
        flow.add(note.s("d"), name="named", after={"other": [one, two], "before": two})
        flow.add(note.s("e"), name="waiting", after={None: [one], "other": two})
        flow.add(note.s("f"), name="into", after=one, into="other")
        flow.add(note.si("g"), name="none", after=[one, two])
        flow.add(look.s(), name="look", after=(one, two))
        flow.add(note.s("h"), name="empty", after={"before": []})

    assert result(flow) == {
        "one": 1,
        "two": 2,
        "single": ["a", 1, "nothing"],
        "list": ["b", [1], "nothing"],
        "both": ["c", [2, 1], "nothing"],
        "named": ["d", 2, [1, 2]],
        "waiting": ["e", "nothing", 2],
        "into": ["f", "nothing", 1],
        "none": ["g", "nothing", "nothing"],
        "look": [1, 2],
        "empty": ["h", [], "nothing"],
    }


def test_handles_of_tasks_that_exist_stand_among_nodes() -> None:
    one, two = app.handle("ONE"), app.handle("TWO")
    with Flow("nightly") as flow:
        given = flow.add(give.s(1), name="given", after={None: one})
        flow.add(note.s("a"), name="single", after=one)
        flow.add(note.s("b"), name="both", after=[two, given, one])
        flow.add(note.s("c"), name="named", after={"other": one, "before": [given, two, one]})
        flow.add(note.s("d").using(depends_on=["TWO", "THREE"]), name="more", after=[given, one])
        flow.add(note.s("e").using(depends_on=["TWO"]), name="alone", into="other")
        flow.add(note.s("f").using(depends_on=[two]), name="waiting")
        flow.add(look.s(), name="look", after=[Dependency(one, on_failure="run"), given], on_failure="ignore")
    outside = {"ONE": "eins", "TWO": "zwei", "THREE": "drei"}

    assert carried_out(flow.request(), app.router, outside) == {
        "given": 1,
        "single": ["a", "eins", "nothing"],
        "both": ["b", ["zwei", 1, "eins"], "nothing"],
        "named": ["c", [1, "zwei", "eins"], "eins"],
        "more": ["d", [1, "eins"], "nothing"],
        "alone": ["e", "nothing", ["zwei"]],
        "waiting": ["f", "nothing", "nothing"],
        "look": ["eins", 1],
    }
    assert parents(flow)["both"] == (Edge("TWO"), Link(0), Edge("ONE"))
    assert parents(flow)["more"] == (Link(0), Edge("ONE"), Edge("TWO"), Edge("THREE"))
    assert parents(flow)["look"] == (Edge("ONE", OnFailure.RUN), Link(0, OnFailure.IGNORE))
    assert "both = note.s(label='b') after TWO, given, ONE" in str(flow)


def test_names_may_be_of_tasks_that_come_later() -> None:
    with Flow("nightly") as flow:
        flow.add(note.s("a"), name="last", after=["middle", "first"])
        flow.add(note.s("b"), name="middle", after="first")
        flow.add(give.s(1), name="first")

    assert [node.name for node in flow.request().nodes] == ["first", "middle", "last"]
    assert result(flow)["last"] == ["a", [["b", 1, "nothing"], 1], "nothing"]


def test_a_name_that_is_there_already_gets_a_number() -> None:
    flow = Flow("nightly")

    names = [flow.add(give.s(1), name=name).name for name in (None, None, "give", "give-3", "other", None)]

    assert names == ["give", "give-2", "give-3", "give-3-2", "other", "give-4"]


def test_failures_mean_what_is_said_last_and_nearest() -> None:
    with Flow("nightly") as flow:
        one, two = flow.add(give.s(1), name="one"), flow.add(give.s(2), name="two")
        flow.add(note.s("a"), name="plain", after=one)
        flow.add(note.s("a"), name="run", after=[one, Dependency(two, "ignore")], on_failure="run")
        flow.add(
            note.s("a").using(on_failure="ignore"), name="call", after=["one", Dependency("two", on_failure="fail")]
        )

    assert parents(flow) == {
        "one": (),
        "two": (),
        "plain": (Link(0),),
        "run": (Link(0, OnFailure.RUN), Link(1, OnFailure.IGNORE)),
        "call": (Link(0, OnFailure.IGNORE), Link(1, OnFailure.FAIL)),
    }


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=12))
def test_any_order_of_adding_gives_the_same_values(wanted: list[list[int]]) -> None:
    """Task i waits for tasks before it; the flow is built backwards, and compared with plain evaluation."""
    edges = [[each % number for each in some] if number else [] for number, some in enumerate(wanted)]
    if not edges:
        return
    with Flow("random") as flow:
        for number, some in reversed(list(enumerate(edges))):
            flow.add(note.s(str(number)), name=f"n{number}", after=[f"n{each}" for each in some])

    expected: dict[str, Any] = {}
    for number, some in enumerate(edges):
        expected[f"n{number}"] = [
            str(number),
            [expected[f"n{each}"] for each in some] if some else "nothing",
            "nothing",
        ]
    assert result(flow) == expected


# what is refused


def circle(flow: Flow) -> None:
    flow.add(note.s("x"), name="apart")
    flow.add(note.s("a"), name="a", after="c")
    flow.add(note.s("b"), name="b", after=["a"])
    flow.add(note.s("c"), name="c", after={"before": "b"})


def itself(flow: Flow) -> None:
    flow.add(note.s("a"), name="a", after="a")


def unknown(flow: Flow) -> None:
    flow.add(note.s("a"), name="fetch")
    flow.add(note.s("a"), name="b", after=["fetsh"])


def nearly_itself(flow: Flow) -> None:
    flow.add(note.s("a"), name="fetch-2", after=["fetch"])


def odd(flow: Flow) -> None:
    flow.add(note.s("a"), name="b", after=["zzz"])


def rootless(flow: Flow) -> None:
    flow.add(note.s("a"), into="before")


def full(flow: Flow) -> None:
    one = flow.add(give.s(1))
    flow.add(give.s(2), after=one)


def twofold(flow: Flow) -> None:
    one = flow.add(give.s(1))
    flow.add(note.s("a"), after={"before": one}, into="other")


def wrong(flow: Flow) -> None:
    one = flow.add(give.s(1))
    flow.add(note.s("a"), after={"befor": one})


def immutable(flow: Flow) -> None:
    one = flow.add(give.s(1))
    flow.add(note.si("a"), after={"before": one})


def missing(flow: Flow) -> None:
    flow.add(give.s(1))
    flow.add(note.s(), after={"other": "give"})


def foreign(flow: Flow) -> None:
    flow.add(note.s("a"), after=Flow("other").add(give.s(1)))


def many(flow: Flow) -> None:
    for _ in range(MOST_NODES + 1):
        flow.add(give.s(1))


@pytest.mark.parametrize(
    ("build", "error", "sentence"),
    [
        (circle, FlowCycleError, "^flow 'nightly': a waits for c waits for b waits for a; take one of these out of"),
        (itself, FlowCycleError, "a waits for a;"),
        (unknown, UnknownNodeError, "'b' waits for 'fetsh', and no task of the flow has this name; .* mean 'fetch'"),
        (nearly_itself, UnknownNodeError, "'fetch-2' waits for 'fetch', .*; name one that was added"),
        (odd, UnknownNodeError, "'b' waits for 'zzz', .*; name one that was added"),
        (rootless, InvalidSettingError, "into to be absent for a task that waits for no other"),
        (full, InvalidFlowError, "flow 'nightly': give.s.*has no parameter left"),
        (twofold, InvalidSettingError, "into to be absent where after= says what goes where"),
        (wrong, InvalidSettingError, "into to be a parameter of .*note, got: 'befor'"),
        (immutable, InvalidSettingError, "takes no result"),
        (missing, InvalidPayloadError, "argument 'label' is missing"),
        (foreign, InvalidFlowError, "<Node give> is of another flow"),
        (many, InvalidFlowError, "more than 10,000 tasks"),
        (lambda flow: flow.add(group(give.s(1))), InvalidFlowError, "is no call of a task; add calls one by one"),
        (lambda flow: flow.add(give.s(1), after=5), InvalidSettingError, "after to be tasks of this flow"),
        (lambda flow: flow.add(give.s(1), after={5: "x"}), InvalidSettingError, "after to be the name of a parameter"),
        (lambda flow: flow.add(give.s(1), after={"value": 5}), InvalidSettingError, "after to be tasks of this flow"),
        (lambda flow: flow.add(give.s(1), after=[give.s(2)]), InvalidSettingError, "or handles of tasks that were"),
        (lambda flow: flow.add(give.s(1), name="a b"), InvalidNameError, "not a legal name of a task in a flow"),
        (lambda flow: flow.add(give.s(1), on_failure="rum"), InvalidSettingError, "one of fail, ignore, run"),
        (lambda _: None, InvalidFlowError, "it has no tasks; add at least one"),
    ],
    ids=range(21),
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_the_block_is_left(
    build: Callable[[Flow], object], error: type[JetqError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence), Flow("nightly") as flow:
        build(flow)


def test_a_long_circle_is_shown_in_part() -> None:
    flow = Flow("x")
    for number in range(100):
        flow.add(note.s("a"), name=f"n{number}", after=f"n{(number - 1) % 100}")

    with pytest.raises(FlowCycleError, match=r"n0 waits for n99 .* \.\.\. 100 in all \.\.\. waits for n0;"):
        flow.request()


def test_a_flow_that_was_checked_takes_no_more() -> None:
    with Flow("nightly") as flow:
        flow.add(give.s(1))

    with pytest.raises(InvalidFlowError, match="was checked already"):
        flow.add(give.s(2))


def test_a_flow_is_not_enqueued_before_its_block_ends() -> None:
    with Flow("nightly") as flow:
        flow.add(give.s(1))
        with pytest.raises(InvalidFlowError, match="not complete before the with block ends"):
            flow.request()


def test_what_the_block_raises_is_not_hidden_by_the_check() -> None:
    with pytest.raises(KeyError), Flow("nightly"):
        raise KeyError


def test_a_flow_that_was_refused_can_be_completed() -> None:
    flow = Flow("nightly")
    flow.add(note.s("a"), after="give")
    with pytest.raises(UnknownNodeError):
        flow.request()

    flow.add(give.s(1))

    assert result(flow) == {"give": 1, "note": ["a", 1, "nothing"]}


def test_depends_on_is_no_place_for_a_node() -> None:
    node = Flow("nightly").add(give.s(1))

    for wanted in (node, [node], Dependency(node)):
        with pytest.raises(InvalidSettingError, match=r"a node goes into after= of Flow\.add"):
            give.using(depends_on=wanted)  # type: ignore[arg-type]  # as a user without a type checker


# large ones, and how they look


def test_ten_thousand_tasks_in_a_row_take_no_stack_and_about_a_second() -> None:
    started = time.process_time()
    with Flow("long") as flow:
        last = flow.add(note.s("a"))
        for _ in range(MOST_NODES - 1):
            last = flow.add(note.s("b"), after=last)
    taken = time.process_time() - started

    assert len(flow.request().nodes) == MOST_NODES
    assert taken < 3


def test_a_flow_shows_its_tasks() -> None:
    with Flow("nightly") as flow:
        one = flow.add(give.s(1))
        flow.add(note.s("a"), after=[one])

    assert repr(flow) == "<Flow nightly: 2 tasks>"
    assert str(flow) == "nightly: 2 tasks\n  give = give.s(value=1)\n  note = note.s(label='a') after give"
    assert repr(one) == "<Node give>"


def test_a_large_flow_shows_its_beginning() -> None:
    flow = Flow("nightly")
    for _ in range(60):
        flow.add(give.s(1))

    assert str(flow).endswith("\n  ... and 10 more")
