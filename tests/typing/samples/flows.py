"""flows: the type of a composition's result is that of what it ends with."""

from typing import Any, assert_type

from jetq import App, Chain, Context, Dependency, Flow, Group, Node, TaskCall, TaskHandle, chain, chord, group

app = App("shop")


@app.task("page:fetch")
async def fetch(url: str) -> str:
    return url


@app.task("page:size")
def size(page: str, factor: int = 1) -> int:
    return len(page) * factor


@app.task("report")
async def report(ctx: Context, title: str, sizes: list[int]) -> dict[str, int]:
    return dict.fromkeys([title], sum(sizes))


def compose() -> None:
    assert_type(fetch.s(), TaskCall[str])
    assert_type(fetch.si("u"), TaskCall[str])
    assert_type(size.s(factor=2).using(on_failure="ignore", into="page"), TaskCall[int])
    assert_type(app.s("go:it", {"a": 1}, into="a"), TaskCall[Any])
    assert_type(fetch.s("u").enqueue(), TaskHandle[str])

    assert_type(fetch.s("u") | size.s(), Chain[int])
    assert_type(fetch.s("u") | size.s() | report.s("x"), Chain[dict[str, int]])
    assert_type(chain(fetch.s("u")), Chain[str])
    assert_type(chain(fetch.s("u"), size.s()), Chain[int])
    assert_type(chain(fetch.s("u"), size.s(), report.s("x"), fetch.si("v")), Chain[str])
    assert_type(group(fetch.s("u"), fetch.s("v")), Group[str])
    assert_type(group(fetch.s(url) for url in ["u", "v"]), Group[str])
    assert_type(group([size.s("p")]), Group[int])
    assert_type(fetch.s("u") | group(size.s(), size.s(factor=2)), Chain[list[int]])
    assert_type(chord([size.s("p")], report.s("x")), Chain[dict[str, int]])
    assert_type(group(size.s("p")) | report.s("x"), Chain[dict[str, int]])
    assert_type(size.starmap([("p", 2)]), TaskCall[list[int]])
    assert_type(size.chunks([("p", 2)], 10), Group[list[int]])

    chain("fetch", size.s())  # E: arg-type reportArgumentType
    chord([], 5)  # E: arg-type reportArgumentType
    size.s(factor=2).using(on_failure=5)  # E: arg-type reportArgumentType
    size.using(into=3)  # E: arg-type reportArgumentType
    size.chunks([("p", 2)], "10")  # E: arg-type reportArgumentType


async def build() -> None:
    with Flow("nightly") as flow:
        one = flow.add(fetch.s("u"))
        assert_type(one, Node)
        flow.add(size.s(), name="two", after=one, into="page", on_failure="run")
        flow.add(size.s(), after=[one, "two", Dependency(one, on_failure="ignore")])
        flow.add(report.s("x"), after={"sizes": ["two"], None: one})

        flow.add(fetch)  # E: arg-type reportArgumentType
        flow.add(size.s(), after=5)  # E: arg-type reportArgumentType
