"""Compositions of tasks mean what they look like, and what cannot be meant is refused before anything is sent."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from msgspec import Struct

from jetq.app.application import App
from jetq.app.composition import Chain, Group, Step, chain, chord, group
from jetq.app.dependency import Dependency
from jetq.app.flow import Flow
from jetq.client.flow_request import FlowRequest
from jetq.errors import (
    BlockingCallError,
    InvalidFlowError,
    InvalidNameError,
    InvalidPayloadError,
    InvalidSettingError,
    JetqError,
)
from jetq.execution.context import Context
from jetq.model.dependency import Edge, OnFailure
from jetq.model.flow import MOST_NODES, Link
from jetq.routing.payload import Payload
from tests.unit.app import nesting
from tests.unit.app.carrying import carried_out
from tests.unit.app.nesting import SPECS, Spec

app = App("shop")


note = app.task("note")(nesting.note)


@app.task("fetch")
def fetch(url: str) -> str:
    return f"page {url}"


@app.task("publish")
def publish(title: str, pages: list[str], *, cover: str = "") -> str:
    return f"{title}: {', '.join(pages)} {cover}".strip()


@app.task("look")
def look(ctx: Context) -> list[Any]:
    return list(ctx.dependency_results.values())


@app.task("bare")
def bare() -> str:
    return "bare"


@app.task("each-once", unique=str)
def each_once(value: int) -> int:
    return value


class Order(Struct):
    id: int


@app.task("order")
def order(number: int) -> dict[str, int]:
    return {"id": number}


@app.task("ship")
def ship(ordered: Payload[Order]) -> int:
    return ordered.id


@app.task("extra")
def extra(**others: Any) -> dict[str, Any]:
    return others


@app.task("once", unique=True)
def once(value: Any = None) -> Any:
    return value


def flow(step: Step[Any]) -> FlowRequest:
    return chain(step).request()


def result(step: Step[Any]) -> Any:
    return carried_out(flow(step), app.router)


# what goes where


@given(SPECS)
def test_any_nesting_comes_to_what_it_says(spec: Spec) -> None:
    whole = Spec("chain", (Spec("call", label="first"), spec))

    assert result(whole.step(note)) == whole.value()


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: fetch.s("u"), "page u"),
        (lambda: chain(fetch.s("u")), "page u"),
        (lambda: group(fetch.s("u")), ["page u"]),
        (lambda: group([fetch.s("u"), fetch.s("v")]), ["page u", "page v"]),
        (lambda: group(fetch.s(each) for each in "uv"), ["page u", "page v"]),
        (lambda: group(fetch.s("u")) | publish.s("News"), "News: page u"),
        (lambda: group(fetch.s("u"), fetch.s("v")) | publish.s("News"), "News: page u, page v"),
        (lambda: chord([fetch.s("u"), fetch.s("v")], publish.s("News")), "News: page u, page v"),
        (lambda: chord(group(fetch.s("u")), publish.s("News")), "News: page u"),
        (lambda: publish.s("News", ["a"]) | publish.s(pages=["b"]), "News: a: b"),
        (lambda: fetch.s("u") | publish.s("News", ["a"]), "News: a page u"),
        (lambda: fetch.s("u") | publish.s("News", ["a"]).using(into="cover"), "News: a page u"),
        (
            lambda: group(fetch.s("u"), note.s("a")) | group(note.s("b"), note.s("c")),
            [["b", ["page u", ["a", "nothing"]]], ["c", ["page u", ["a", "nothing"]]]],
        ),
        (lambda: fetch.s("u") | look.s(), ["page u"]),
        (lambda: fetch.s("u") | bare.si(), "bare"),
        (lambda: fetch.s("u") | look.si(), []),
        (lambda: fetch.s("u") | look.s().using(load_dependencies=False), []),
        (lambda: fetch.s("u") | look.si().using(load_dependencies=True), ["page u"]),
        (lambda: order.s(5) | ship.s(), 5),
        (lambda: fetch.s("u") | extra.s(a=1).using(into="b"), {"a": 1, "b": "page u"}),
        (lambda: fetch.s("u") | app.s("note", {"label": "x"}), ["x", "nothing"]),
        (lambda: fetch.s("u") | app.s("look"), ["page u"]),
        (lambda: fetch.s("u") | app.s("note", {"label": "x"}, into="before"), ["x", "page u"]),
        (lambda: fetch.s("u") | app.s("fetch", into="url"), "page page u"),
        (lambda: order.s(5) | app.s("ship", into="ordered"), 5),
        (lambda: fetch.starmap([("u",), ("v",)]), ["page u", "page v"]),
        (lambda: fetch.chunks([(each,) for each in "uvw"], 2), [["page u", "page v"], ["page w"]]),
        (lambda: note.s("a") | fetch.starmap([["u"]]) | publish.s("News"), "News: page u"),
        (lambda: once.using(unique=False).s(1) | note.s("a"), ["a", 1]),
    ],
    ids=range(29),
)
def test_a_result_goes_to_the_first_parameter_that_is_not_given(made: Callable[[], Step[Any]], expected: Any) -> None:
    assert result(made()) == expected


def test_a_task_names_its_parents_in_the_order_of_their_results_each_once() -> None:
    nodes = flow(group(fetch.s("u"), fetch.s("v")) | publish.s("x") | note.s("n")).nodes

    assert [node.name for node in nodes] == ["fetch", "fetch-2", "publish", "note"]
    assert [node.parents for node in nodes] == [(), (), (Link(0), Link(1)), (Link(2),)]


def test_a_call_says_how_it_takes_the_failures_of_what_comes_before_it() -> None:
    nodes = flow(group(fetch.s("u"), fetch.s("v")) | publish.s("x").using(on_failure="run") | note.s("n")).nodes

    assert {link.on_failure for link in nodes[2].parents} == {OnFailure.RUN}
    assert {link.on_failure for link in nodes[3].parents} == {OnFailure.FAIL}


def test_a_call_waits_for_tasks_that_exist_beside_what_comes_before_it() -> None:
    outside = {"A": "a", "B": "b"}
    made = {
        "head": note.s("n").using(depends_on=["A"], into="before") | note.s("m"),
        "waits": note.s("n").using(depends_on="A") | note.s("m"),
        "after": fetch.s("u") | note.s("n").using(depends_on=["B", "A"]),
        "named": group(fetch.s("u")) | publish.s("x").using(depends_on=["A"], into="pages"),
        "all": fetch.s("u") | look.s().using(depends_on=["B", app.handle("A")]),
        "loaded": look.s().using(depends_on=["B", "A"], load_dependencies=True) | note.s("m"),
    }

    assert {name: carried_out(flow(step), app.router, outside) for name, step in made.items()} == {
        "head": ["m", ["n", ["a"]]],
        "waits": ["m", ["n", "nothing"]],
        "after": ["n", "page u"],
        "named": "x: page u",
        "all": ["page u", "b", "a"],
        "loaded": ["m", ["b", "a"]],
    }
    assert flow(made["after"]).nodes[1].parents == (Link(0), Edge("B"), Edge("A"))


def test_what_is_said_of_one_task_that_exists_counts_for_that_one() -> None:
    call = note.s("n").using(depends_on=[Dependency("A"), "B"], on_failure="ignore")

    assert flow(fetch.s("u") | call).nodes[1].parents == (
        Link(0, OnFailure.IGNORE),
        Edge("A", OnFailure.FAIL),
        Edge("B", OnFailure.IGNORE),
    )


def test_options_of_a_call_go_with_its_task() -> None:
    first, second = flow(fetch.using(queue="A", max_tries=3).s("u") | note.s("n").using(delay=5, timeout=7)).nodes

    assert (first.request.queue, first.request.max_tries) == ("A", 3)
    assert second.request.due is not None
    assert second.request.options is not None
    assert second.request.options.timeout == 7


def test_options_of_a_handler_count_for_a_call_by_type_as_well() -> None:
    own = App("own")

    @own.task("slow:*", queue="SLOW", max_tries=3)
    async def slow(before: int) -> None: ...

    first, second = flow(own.s("slow:a") | own.s("slow:b", {"x": 1}, max_tries=4)).nodes

    assert (first.name, first.request.queue, first.request.max_tries) == ("slow:a", "SLOW", 3)
    assert (second.request.queue, second.request.max_tries, second.request.options) == ("SLOW", 4, None)


def test_a_task_is_called_like_its_function_or_like_its_type_where_that_says_more() -> None:
    own = App("own")

    @own.task("mail:*")
    async def mail(before: int = 0) -> None: ...

    @own.task("plain")
    async def überlang(before: int = 0) -> None: ...  # noqa: PLC2401 - as somebody's

    nodes = flow(chain(mail.using(type="mail:new").s(), mail.using(type="mail:old").s(), überlang.s())).nodes

    assert [node.name for node in nodes] == ["mail:new", "mail:old", "plain"]


async def test_enqueueing_does_not_block_an_event_loop() -> None:
    made = Flow("nightly")
    made.add(note.s("a"))

    for step in (note.s("a"), chain(note.s("a")), made):
        with pytest.raises(BlockingCallError, match="await aenqueue"):
            step.enqueue()


def test_chains_are_flat_however_they_are_made() -> None:
    a, b, c, d = (note.s(each) for each in "abcd")

    for made in (chain(a, chain(b, c), d), a | b | c | d, a | (b | (c | d)), chain(a, b) | chain(c, d)):
        assert made.steps == (a, b, c, d)
    assert len(a | group(b, c) | d) == 3


# what is refused


@pytest.mark.parametrize(
    ("made", "error", "sentence"),
    [
        (chain, InvalidFlowError, r"chain\(\): it is empty"),
        (group, InvalidFlowError, r"group\(\): it is empty"),
        (lambda: group([]), InvalidFlowError, r"group\(\): it is empty"),
        (lambda: chord([], publish.s("x")), InvalidFlowError, r"group\(\): it is empty"),
        (lambda: group(fetch), InvalidFlowError, r"<Task fetch .*> is no step; give calls of tasks: task\.s"),
        (lambda: chain("fetch", note.s("a")), InvalidFlowError, "'fetch' is no step"),
        (lambda: group("fetch"), InvalidFlowError, "'fetch' is no step"),
        (
            lambda: flow(fetch.s("u") | fetch.s("v")),
            InvalidFlowError,
            r"fetch\.s\(url='v'\) comes after others, and .*:fetch has no parameter left .*; say fetch\.si",
        ),
        (lambda: flow(fetch.s("u") | bare.s()), InvalidFlowError, r"has no parameter left .* say bare\.si"),
        (lambda: flow(publish.s("x")), InvalidPayloadError, "argument 'pages' is missing"),
        (lambda: flow(fetch.s("u") | publish.s()), InvalidPayloadError, "argument 'pages' is missing"),
        (lambda: flow(ship.s()), InvalidPayloadError, "argument 'ordered' is missing"),
        (lambda: publish.s(titel="x"), InvalidPayloadError, "unknown argument 'titel'"),
        (lambda: publish.s("x", title="y"), InvalidPayloadError, "argument 'title' is given twice"),
        (lambda: publish.s(pages=5), InvalidPayloadError, "argument 'pages': input should be a valid array"),
        (lambda: publish.si("x"), InvalidPayloadError, "argument 'pages' is missing"),
        (lambda: flow(fetch.s("u") | note.s("a").using(into="befor")), InvalidSettingError, "a parameter of .*:note"),
        (lambda: flow(fetch.s("u") | note.s("a").using(into="label")), InvalidSettingError, "not given already"),
        (lambda: flow(fetch.s("u") | note.si("a").using(into="before")), InvalidSettingError, "takes no result"),
        (lambda: flow(fetch.s("u") | look.s().using(into="ctx")), InvalidSettingError, "a parameter of .*:look"),
        (
            lambda: flow(note.s("a").using(into="before")),
            InvalidSettingError,
            "into to be absent for a task that",
        ),
        (lambda: flow(note.s("a").using(on_failure="run")), InvalidSettingError, "on_failure to be absent for a task"),
        (lambda: note.s("a").using(on_failure="rum"), InvalidSettingError, "on_failure to be one of fail, ignore, run"),
        (lambda: note.s("a").using(into=""), InvalidSettingError, "into to be the name of a parameter"),
        (lambda: flow(note.s("a").using(id="A")), InvalidSettingError, "id to be absent in a flow"),
        (lambda: flow(note.s("a").using(unique="k")), InvalidSettingError, "unique to be absent in a flow"),
        (lambda: flow(once.s()), InvalidSettingError, "unique to be absent in a flow"),
        (lambda: flow(note.s("a") | each_once.s()), InvalidSettingError, "unique to be absent in a flow"),
        (lambda: flow(each_once.starmap([(1,)])), InvalidSettingError, "unique to be absent in a flow"),
        (lambda: each_once.starmap([(1,)]).wish(), InvalidSettingError, "a function takes the arguments of one call"),
        (
            lambda: each_once.using(depends_on="A", into="value").s().wish(),
            InvalidSettingError,
            "unique to be absent for a task that depends on others",
        ),
        (
            lambda: flow(note.s("a").using(depends_on=note.s("b"))),
            InvalidSettingError,
            "tasks that were enqueued, in a flow; a",
        ),
        (lambda: flow(note.s("a") | App("y").s("b")), InvalidFlowError, "task of <App y> and others are of <App shop>"),
        (lambda: chain(note.s("a")).request("a b"), InvalidNameError, "not a legal flow name"),
        (lambda: fetch.starmap([]), InvalidPayloadError, "there are no calls"),
        (lambda: fetch.chunks([], 2), InvalidPayloadError, "there are no calls"),
        (lambda: fetch.chunks([("a",)], 0), InvalidSettingError, "size to be a whole number of at least 1"),
        (lambda: fetch.starmap([("a",), (5,)]), InvalidPayloadError, r"call \[1\]: argument 'url': input should be"),
        (lambda: fetch.starmap([("a",), ()]), InvalidPayloadError, r"call \[1\]: argument 'url' is missing"),
        (lambda: fetch.starmap(["a"]), InvalidPayloadError, r"call \[0\]: 'a' is no tuple of arguments"),
        (lambda: fetch.starmap([5]), InvalidPayloadError, r"call \[0\]: 5 is no tuple of arguments"),
    ],
    ids=range(41),
)
def test_what_cannot_be_meant_is_refused_and_said(
    made: Callable[[], object], error: type[JetqError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        made()


def test_only_steps_come_after_a_step() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        note.s("a") | 5  # type: ignore[operator]


def test_a_flow_has_ten_thousand_tasks_at_most() -> None:
    with pytest.raises(InvalidFlowError, match=r"more than 10,000 tasks; .*chunks"):
        group(note.s("a") for _ in range(MOST_NODES + 1)).request()


# large ones


def test_ten_thousand_links_take_no_stack_and_little_time() -> None:
    started = time.process_time()
    made: Step[Any] = note.s("a")
    for _ in range(MOST_NODES - 1):
        made = made | note.s("b")
    nodes = flow(made).nodes
    taken = time.process_time() - started

    assert len(nodes) == MOST_NODES
    assert nodes[-1].parents == (Link(MOST_NODES - 2),)
    assert taken < 3


def test_compositions_stand_in_each_other_as_deep_as_one_likes() -> None:
    made: Step[Any] = note.s("a")
    for _ in range(2000):
        made = group(made, note.s("b")) | note.s("c")

    nodes = flow(made).nodes

    assert len(nodes) == 4001
    assert len(repr(made)) < 500


def test_results_that_stand_too_deep_in_lists_are_refused() -> None:
    made: Step[Any] = note.s("a")
    for _ in range(101):
        made = group(made)

    with pytest.raises(InvalidFlowError, match="more than 100 deep"):
        flow(made | note.s("b"))


# how they look


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: fetch.s("u"), "fetch.s(url='u')"),
        (lambda: publish.s(pages=["a"]), "publish.s(pages=['a'])"),
        (lambda: publish.si("x", ["a"]), "publish.si(title='x', pages=['a'])"),
        (look.s, "look.s()"),
        (lambda: ship.s(Order(1)), 'ship.s(ordered={"id":1})'),
        (ship.s, "ship.s()"),
        (lambda: fetch.starmap([("u",), ("v",)]), 'fetch.starmap([{"url":"u"},{"url":"v"}])'),
        (lambda: app.s("go:it", {"a": 1}), "s('go:it', {\"a\":1})"),
        (lambda: app.s("go:it"), "s('go:it')"),
        (lambda: fetch.s("u" * 99), f"fetch.s(url='{'u' * 72}...)"),
        (lambda: fetch.s("u") | group(note.s("a")) | note.s("b"),
         "chain(fetch.s(url='u'), group(note.s(label='a')), note.s(label='b'))"),
        (lambda: group(look.s() for _ in range(1000)),
         "group(look.s(), look.s(), look.s(), look.s(), look.s(), ... 1,000 in all)"),
        (lambda: group(group(group(group(look.s())))), "group(group(group(group(1 steps))))"),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_step_shows_what_it_is(made: Callable[[], Step[Any]], text: str) -> None:
    assert repr(made()) == text


def test_the_parts_of_a_composition_can_be_had() -> None:
    made = group(note.s("a"), note.s("b"))

    assert isinstance(made, Group)
    assert isinstance(made | note.s("c"), Chain)
    assert [repr(step) for step in made.steps] == ["note.s(label='a')", "note.s(label='b')"]
