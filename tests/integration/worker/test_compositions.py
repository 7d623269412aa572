"""Compositions run as they say, on a real worker: values, failures, many calls, and what is refused sends nothing."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from jetq.app.application import App
from jetq.app.composition import chain, chord, group
from jetq.app.dependency import Dependency
from jetq.app.flow import Flow
from jetq.errors import FlowCycleError, InvalidFlowError, PayloadTooLargeError, TaskExpiredError, TaskTerminatedError
from jetq.execution.context import Context
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event, TaskStateChanged
from jetq.wire.dependencies import MOST_INLINE
from jetq.wire.ids import new_id
from jetq.worker.worker import Worker
from tests.integration.worker.conftest import SETTINGS
from tests.unit.app import nesting
from tests.unit.app.nesting import SPECS, Spec


class Tasks:
    """Tasks to compose."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.note = app.task("note")(nesting.note)

        @app.task("double")
        def double(number: int, times: int = 2) -> int:
            return number * times

        @app.task("sum")
        async def add(numbers: list[int], start: int = 0) -> int:
            return sum(numbers, start)

        @app.task("fail", max_tries=1)
        async def fail() -> None:
            raise ValueError("broken")

        @app.task("take")
        async def take(found: Any) -> Any:
            return found

        @app.task("look")
        async def look(ctx: Context) -> list[Any]:
            return [*ctx.dependency_results.values()]

        self.double, self.add, self.fail, self.take, self.look = double, add, fail, take, look


@pytest.fixture
def tasks(make_app: Callable[[], App]) -> Tasks:
    """Give an application's tasks."""
    return Tasks(make_app())


async def results_of(server: EmbeddedServer, specs: list[Spec]) -> list[Any]:
    app = App("test", namespace=f"N{new_id()}")
    app.connect_to(server.address)
    note = Tasks(app).note
    async with app, Worker(app, settings=SETTINGS):
        handles = [await chain(spec.step(note)).aenqueue() for spec in specs]
        return [await handle.aresult(20) for handle in handles]


@settings(
    max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(specs=st.lists(SPECS, min_size=12, max_size=12))
def test_random_nestings_come_to_what_they_say(server: EmbeddedServer, specs: list[Spec]) -> None:
    wholes = [Spec("chain", (Spec("call", label="first"), spec)) for spec in specs]

    assert asyncio.run(results_of(server, wholes)) == [whole.value() for whole in wholes]


async def test_chains_groups_and_chords_give_their_results(tasks: Tasks) -> None:
    double, add = tasks.double, tasks.add
    made = {
        "one of each": (chain(double.s(1)), 2),
        "group of one": (group(double.s(1)), [2]),
        "chord of one": (chord([double.s(1)], add.s()), 2),
        "fan": (double.s(1) | group(double.s(times=n) for n in range(5)) | add.s(start=100), 120),
        "barrier": (group(double.s(1), double.s(2)) | group(add.s(), add.s(start=1)) | add.s(), 13),
        "chunks": (double.chunks([(n,) for n in range(5)], 2), [[0, 2], [4, 6], [8]]),
        "starmap before": (double.starmap([(n,) for n in range(5)]) | add.s(), 20),
        "from elsewhere": (double.s(4) | tasks.app.s("double", {"times": 10}, into="number"), 80),
        "context": (group(double.s(1), double.s(2)) | tasks.look.s(), [2, 4]),
    }
    async with Worker(tasks.app, settings=SETTINGS):
        handles = {name: (await step.aenqueue(), value) for name, (step, value) in made.items()}

        found = {name: (await handle.aresult(10), value) for name, (handle, value) in handles.items()}

    assert {name: got for name, (got, _) in found.items()} == {name: wanted for name, (_, wanted) in found.items()}


async def test_a_flow_is_enqueued_as_often_as_one_likes(tasks: Tasks) -> None:
    with Flow("nightly") as flow:
        nodes = [flow.add(tasks.double.s(number)) for number in range(3)]
        flow.add(tasks.add.s(), name="all", after=nodes)
        flow.add(tasks.take.s(), name="some", after={"found": ["double", "double-3"], None: "double-2"})

    async with Worker(tasks.app, settings=SETTINGS):
        handles = [await flow.aenqueue() for _ in range(2)]

        assert [await handle.aresult(10) for handle in handles] == [{"all": 6, "some": [0, 4]}] * 2
        assert await handles[0]["double-3"].aresult(10) == 4
    assert handles[0].id != handles[1].id


def test_flows_are_enqueued_without_an_event_loop_too(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(server.address)
    tasks = Tasks(app)
    with Flow("nightly") as flow:
        flow.add(tasks.double.s(1))

    handles = [(tasks.double.s(1) | tasks.double.s()).enqueue(name="two"), flow.enqueue()]

    async def work() -> None:
        async with Worker(app, settings=SETTINGS):
            for handle in handles:
                await handle.await_end(10)

    asyncio.run(work())
    assert [handle.result(5) for handle in handles] == [4, {"double": 2}]
    assert tasks.double.s(1).enqueue().state() == "new"
    app.close()


async def test_failures_mean_what_a_call_says_in_a_flow(tasks: Tasks) -> None:
    error = {"error": {"type": "ValueError", "message": "broken", "state": "expired", "end": "max_tries"}}
    parents = group(tasks.fail.s(), tasks.double.s(1))
    with Flow("careful") as flow:
        bad, good = flow.add(tasks.fail.s()), flow.add(tasks.double.s(1))
        flow.add(tasks.take.s(), after=[bad, Dependency(good, "ignore")], on_failure="run")

    async with Worker(tasks.app, settings=SETTINGS):
        run = await (parents | tasks.take.s().using(on_failure="run")).aenqueue()
        ignore = await (parents | tasks.take.s().using(on_failure="ignore")).aenqueue()
        strict = await (parents | tasks.take.s() | tasks.take.s()).aenqueue()
        named = await flow.aenqueue()

        assert await run.aresult(10) == [error, 2]
        assert await ignore.aresult(10) == [None, 2]
        assert await named.aresult(10) == {"take": [error, 2]}
        with pytest.raises(TaskExpiredError, match="broken"):
            await strict.aresult(10)


async def test_a_result_of_the_wrong_type_ends_the_child_and_names_the_parameter(tasks: Tasks) -> None:
    made = group(tasks.double.s(1), tasks.take.s("text")) | tasks.add.s()

    async with Worker(tasks.app, settings=SETTINGS):
        handle = await made.aenqueue()

        with pytest.raises(TaskTerminatedError, match=r"argument 'numbers': input should be a valid int.*\(at \[1\]\)"):
            await handle.aresult(10)


async def test_results_of_any_size_are_handed_on(tasks: Tasks) -> None:
    texts = ["x" * MOST_INLINE, "y" * (10 * MOST_INLINE), "z"]
    made = group(tasks.take.s(text) for text in texts) | tasks.take.s() | tasks.take.s()

    async with Worker(tasks.app, settings=SETTINGS):
        assert await (await made.aenqueue()).aresult(10) == texts


async def test_what_is_refused_has_sent_nothing(tasks: Tasks, told: list[Event]) -> None:
    circle = Flow("circle")
    circle.add(tasks.take.s(), name="a", after="b")
    circle.add(tasks.take.s(), name="b", after="a")
    full = tasks.double.s(1) | tasks.double.s(2, 3)
    large = group(tasks.double.s(1), tasks.take.s("x" * 2_000_000))

    for flow, error in ((circle, FlowCycleError), (full, InvalidFlowError), (large, PayloadTooLargeError)):
        with pytest.raises(error):
            await flow.aenqueue()

    links = (await tasks.app.clients.current()).backend.links
    assert not [event for event in told if isinstance(event, TaskStateChanged)]
    assert await links.marked() == []
