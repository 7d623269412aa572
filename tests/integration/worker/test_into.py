"""Results of other tasks as arguments: checked like all, the same in each run, however large."""

from collections.abc import Callable
from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.dependency import Dependency
from jetq.errors import InvalidPayloadError, InvalidSettingError, Retry, TaskTerminatedError
from jetq.execution.context import Context
from jetq.wire.dependencies import MOST_INLINE
from jetq.worker.worker import Worker
from tests.integration.worker.conftest import SETTINGS


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application with parents that give or fail, and children that take what they gave."""
    app = make_app()

    @app.task("give")
    async def give(value: Any = None) -> Any:
        return value

    @app.task("fail", max_tries=1)
    async def fail() -> None:
        raise ValueError("broken")

    return app


async def test_a_parameter_takes_the_result_of_another_task_and_a_list_those_of_many(app: App) -> None:
    @app.task("sum")
    async def add(title: str, numbers: list[int], more: int = 0) -> list[Any]:
        return [title, numbers, more]

    one, two = await app.aenqueue("give", {"value": 1}), await app.aenqueue("give", {"value": 2})
    many = await add.using(depends_on=[two, one, two], into="numbers").s("x").aenqueue()
    single = await add.s("y", [5]).using(depends_on=one, into="more").aenqueue()
    plain = await app.aenqueue("sum", {"title": "z"}, depends_on=[one], into="numbers")

    async with Worker(app, settings=SETTINGS):
        assert await many.aresult(10) == ["x", [2, 1, 2], 0]
        assert await single.aresult(10) == ["y", [5], 1]
        assert await plain.aresult(10) == ["z", [1], 0]


async def test_what_cannot_be_meant_is_refused_before_anything_is_sent(app: App) -> None:
    @app.task("sum")
    async def add(title: str, numbers: list[int]) -> None: ...

    for call, error, sentence in [
        (add.s("x").using(depends_on="A", into="number"), InvalidSettingError, "a parameter of .*add"),
        (add.s("x", [1]).using(depends_on="A", into="numbers"), InvalidSettingError, "not given already"),
        (add.s().using(depends_on="A", into="numbers"), InvalidPayloadError, "argument 'title' is missing"),
        (add.s("x").using(depends_on="A"), InvalidPayloadError, "argument 'numbers' is missing"),
        (add.s("x").using(into="numbers"), InvalidSettingError, "absent for a task that waits for no other"),
    ]:
        with pytest.raises(error, match=sentence):
            await call.aenqueue()
        with pytest.raises(error, match=sentence):
            await app.aenqueue_many([call])


async def test_failures_are_taken_as_is_said_for_all_or_for_one(app: App) -> None:
    @app.task("take")
    async def take(found: Any) -> Any:
        return found

    bad, good = await app.aenqueue("fail"), await app.aenqueue("give", {"value": 1})
    run = await take.s().using(depends_on=[bad, good], into="found", on_failure="run").aenqueue()
    ignore = await take.s().using(depends_on=[good, bad], into="found", on_failure="ignore").aenqueue()
    one = await take.s().using(depends_on=Dependency(bad, "run"), into="found", on_failure="fail").aenqueue()
    error = {"error": {"type": "ValueError", "message": "broken", "state": "expired", "end": "max_tries"}}

    async with Worker(app, settings=SETTINGS):
        assert await run.aresult(10) == [error, 1]
        assert await ignore.aresult(10) == [1, None]
        assert await one.aresult(10) == error


async def test_a_result_that_does_not_fit_ends_the_task_with_the_parameters_name(app: App) -> None:
    @app.task("sum")
    async def add(numbers: list[int]) -> int:
        return sum(numbers)

    text = await app.aenqueue("give", {"value": "text"})
    child = await add.s().using(depends_on=[text], into="numbers").aenqueue()

    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskTerminatedError, match=r"argument 'numbers': input should be a valid integer.*at \[0\]"):
            await child.aresult(10)


async def test_each_run_of_a_task_gets_the_same_values_also_large_ones(app: App) -> None:
    seen: list[tuple[int, int]] = []

    @app.task("take", retry=0.05)
    async def take(ctx: Context, small: int, large: str) -> str:
        seen.append((small, len(large)))
        if ctx.tries < 3:
            raise Retry(0.05)
        return large[:3]

    large = await app.aenqueue("give", {"value": "x" * (3 * MOST_INLINE)})
    child = await take.s(1).using(depends_on=large, into="large").aenqueue()

    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(10) == "xxx"
    assert seen == [(1, 3 * MOST_INLINE)] * 3


async def test_many_calls_are_one_task(app: App) -> None:
    @app.task("double")
    async def double(number: int) -> set[int]:
        return {number * 2}

    call = double.starmap([(number,) for number in range(5)])
    alone = await call.aenqueue()
    (listed,) = await app.aenqueue_many([call])

    async with Worker(app, settings=SETTINGS):
        assert await alone.aresult(10) == [{0}, {2}, {4}, {6}, {8}]
        assert await listed.aresult(10) == [{0}, {2}, {4}, {6}, {8}]
        assert (await alone.arecord()).tries == 1
