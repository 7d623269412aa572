"""Tasks that wait for others: released once, failed as said, and never stuck."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace as with_fields

from jetq.app.application import App
from jetq.app.dependency import Dependency
from jetq.client.handle import TaskHandle
from jetq.errors import (
    InvalidNameError,
    InvalidSettingError,
    TaskUnreachableError,
    Terminate,
    UnknownDependencyError,
)
from jetq.execution.context import Context
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import MOST_DEPENDENTS
from jetq.model.events import Event, TaskStateChanged
from jetq.model.record import ABSENT, Result, TaskRecord
from jetq.model.state import State
from jetq.settings import JanitorSettings, Queue
from jetq.wire.codec import new_document
from jetq.wire.dependencies import MOST_INLINE, decode_gifts
from jetq.worker.worker import Worker
from tests.integration.backends import read
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS

QUICK = JanitorSettings(blocked_every=0.1)


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application with parents that succeed or fail, and a child that tells what it got."""
    return tell_tasks(make_app())


def tell_tasks(app: App) -> App:
    app.reconfigure(replace(app.settings, janitor=QUICK))

    @app.task("give")
    async def give(value: Any = None) -> Any:
        return value

    @app.task("fail", max_tries=1)
    async def fail() -> None:
        raise ValueError("broken")

    @app.task("terminate")
    async def terminate() -> None:
        raise Terminate("no more")

    @app.task("child")
    async def child(ctx: Context) -> dict[str, Any]:
        return ctx.dependency_results

    @app.task("count")
    async def count(ctx: Context) -> list[int]:
        return [ctx.attempt, len(ctx.dependency_results)]

    return app


async def write(app: App, record: TaskRecord, expect: int = 0) -> Stored:
    return await (await app.clients.current()).backend.tasks.write(new_document(record), expect)


async def has_marker(app: App, task_id: str) -> bool:
    return await (await app.clients.current()).backend.links.marker(task_id) is not None


async def is_unmarked(app: App, task_id: str) -> bool:
    return not await has_marker(app, task_id)


def states(told: list[Event], task_id: str) -> list[str]:
    changes = [event for event in told if isinstance(event, TaskStateChanged) and event.task_id == task_id]
    return [event.state.value for event in changes if not event.repeated]


async def failure(handle: TaskHandle[Any]) -> TaskUnreachableError:
    with pytest.raises(TaskUnreachableError) as caught:
        await handle.aresult(20)
    return caught.value


# waiting and release


async def test_a_child_waits_for_its_parent_and_gets_its_result(app: App, told: list[Event]) -> None:
    parent = await app.aenqueue("give", {"value": [1, "two"]})
    child = await app.aenqueue("child", depends_on=[parent], load_dependencies=True)

    assert await child.astate() == State.BLOCKED
    assert await has_marker(app, child.id)
    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(20) == {parent.id: [1, "two"]}
        await eventually(lambda: is_unmarked(app, child.id))
    assert states(told, child.id) == ["blocked", "new", "active", "complete"]


async def test_results_are_there_only_if_they_are_wanted(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1})
    child = await app.aenqueue("child", depends_on=parent)

    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(20) == {}
    assert (await read(app, child.id)).record.satisfied is ABSENT


async def test_a_child_of_finished_parents_is_an_ordinary_task(app: App, told: list[Event]) -> None:
    async with Worker(app, settings=SETTINGS):
        parents = [await app.aenqueue("give", {"value": n}) for n in range(2)]
        for parent in parents:
            await parent.aresult(20)
        child = await app.aenqueue("child", depends_on=parents, load_dependencies=True)

        assert await child.aresult(20) == {parents[0].id: 0, parents[1].id: 1}
    assert states(told, child.id) == ["new", "active", "complete"]
    assert not await has_marker(app, child.id)


async def test_a_child_of_a_failed_parent_ends_at_once(app: App) -> None:
    async with Worker(app, settings=SETTINGS):
        parent = await app.aenqueue("terminate")
        await parent.await_end(20)
    child = await app.aenqueue("child", depends_on=[parent])

    assert await child.astate() == State.UNREACHABLE
    assert not await has_marker(app, child.id)


async def test_two_parents_that_end_at_the_same_moment_are_counted_once_each(make_app: Callable[[], App]) -> None:
    app, gates = make_app(), asyncio.Barrier(2)

    @app.task("meet")
    async def meet() -> str:
        await gates.wait()
        return "met"

    @app.task("count")
    async def count(ctx: Context) -> list[int]:
        return [ctx.attempt, len(ctx.dependency_results)]

    one_slot = replace(SETTINGS, concurrency=1, janitor=False)
    async with Worker(app, settings=one_slot), Worker(app, settings=one_slot):
        for _ in range(20):
            parents = [await app.aenqueue("meet") for _ in range(2)]
            child = await app.aenqueue("count", depends_on=parents, load_dependencies=True)
            assert await child.aresult(20) == [1, 2]


async def test_a_diamond_runs_from_top_to_bottom(app: App) -> None:
    top = await app.aenqueue("give", {"value": "top"})
    sides = [await app.aenqueue("child", depends_on=[top], load_dependencies=True) for _ in range(2)]
    bottom = await app.aenqueue("child", depends_on=sides, load_dependencies=True)

    async with Worker(app, settings=SETTINGS):
        assert await bottom.aresult(20) == {side.id: {top.id: "top"} for side in sides}


async def test_a_chain_runs_in_order(app: App, told: list[Event]) -> None:
    links = [await app.aenqueue("give", {"value": 0})]
    for number in range(1, 20):
        links.append(await app.aenqueue("give", {"value": number}, depends_on=links[-1]))

    async with Worker(app, settings=SETTINGS):
        assert await links[-1].aresult(20) == 19
    complete = [e for e in told if isinstance(e, TaskStateChanged) and e.state is State.COMPLETE]
    assert [event.task_id for event in complete if not event.repeated] == [link.id for link in links]


async def test_a_thousand_parents_release_one_child_once(app: App) -> None:
    parents = await app.aenqueue_many([("give", {"value": n}) for n in range(1000)])
    child = await app.aenqueue("count", depends_on=parents, load_dependencies=True)

    async with Worker(app, settings=replace(SETTINGS, concurrency=50)):
        assert await child.aresult(25) == [1, 1000]
        await eventually(lambda: is_unmarked(app, child.id))


async def test_a_thousand_children_and_more_hear_of_one_parent(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1}, delay=60)
    children = await asyncio.gather(*(app.aenqueue("count", depends_on=[parent]) for _ in range(MOST_DEPENDENTS + 20)))
    backend = (await app.clients.current()).backend
    assert len((await read(app, parent.id)).record.dependents) == MOST_DEPENDENTS
    assert len(await backend.links.children(parent.id)) == 20

    await parent.arun_now()
    async with Worker(app, settings=replace(SETTINGS, concurrency=50)):
        ended = await asyncio.gather(*(child.aresult(25) for child in children))
    assert ended == [[1, 0]] * len(children)
    assert await backend.links.children(parent.id) == []
    assert await backend.links.marked() == []


async def test_a_released_child_waits_for_its_own_time(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1})
    late = await app.aenqueue("count", depends_on=[parent], delay=600)
    soon = await app.aenqueue("count", depends_on=[parent], delay=0.001)

    async with Worker(app, settings=SETTINGS):
        assert await soon.aresult(20) == [1, 0]
        await eventually(lambda: is_unmarked(app, late.id))
        assert (await read(app, late.id)).record.display_state == "scheduled"
        await late.arun_now()
        assert await late.aresult(20) == [1, 0]


async def test_a_full_queue_takes_a_released_child_when_there_is_room(make_app: Callable[[], App]) -> None:
    app = tell_tasks(make_app())
    small = Queue("SMALL", lease=1.0, max_entries=1)
    await (await app.clients.current()).backend.queue(small)
    parent = await app.aenqueue("give", {"value": 1})
    child = await app.aenqueue("count", depends_on=[parent], queue="SMALL")
    other = await app.aenqueue("count", queue="SMALL")

    async with Worker(app, queues=["DEFAULT"], settings=SETTINGS):
        await parent.aresult(20)
        await eventually(lambda: is_unmarked(app, child.id))
    async with Worker(app, queues=["SMALL"], settings=SETTINGS):
        assert await other.aresult(20) == [1, 0]
        assert await child.aresult(20) == [1, 0]


@pytest.mark.timeout(60)
async def test_a_child_whose_queue_is_gone_holds_up_nobody(app: App) -> None:
    backend = (await app.clients.current()).backend
    parent = await app.aenqueue("give", {"value": 1})
    lost = await app.aenqueue("count", depends_on=[parent], queue="GONE")
    child = await app.aenqueue("count", depends_on=[parent])
    await backend.connection.api(f"STREAM.DELETE.{backend.names.queue('GONE')}")

    async with Worker(app, queues=["DEFAULT"], settings=replace(SETTINGS, janitor=False)):
        assert await child.aresult(20) == [1, 0]
        await eventually(lambda: is_empty(app, "DEFAULT"))
        assert await has_marker(app, lost.id)
    async with Worker(app, queues=["DEFAULT", "GONE"], settings=SETTINGS):
        assert await lost.aresult(20) == [1, 0]


async def is_empty(app: App, queue: str) -> bool:
    backend = (await app.clients.current()).backend
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue(queue)}")
    return not info["state"]["messages"]


# results


async def test_a_large_result_is_read_when_the_child_runs(app: App) -> None:
    large = "x" * MOST_INLINE
    parents = [await app.aenqueue("give", {"value": value}) for value in (large, "small")]
    child = await app.aenqueue("child", depends_on=parents, load_dependencies=True)

    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(20) == {parents[0].id: large, parents[1].id: "small"}
    record = (await read(app, child.id)).record
    assert decode_gifts(record.satisfied)[parents[0].id].ref
    assert list(decode_gifts(record.dependency_results)) == [parents[1].id]


async def test_many_results_do_not_outgrow_a_record(app: App) -> None:
    value = "y" * (MOST_INLINE - 10)
    parents = await app.aenqueue_many([("give", {"value": value})] * 200)
    child = await app.aenqueue("child", depends_on=parents, load_dependencies=True)

    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(25) == {parent.id: value for parent in parents}
    assert len((await read(app, child.id)).record.dependency_results) <= 256 * 1024


async def test_a_child_whose_large_result_is_gone_ends_and_says_so(app: App) -> None:
    parent = await app.aenqueue("give", {"value": "x" * MOST_INLINE})
    child = await app.aenqueue("child", depends_on=[parent], load_dependencies=True, queue="LATER")

    async with Worker(app, queues=["DEFAULT"], settings=SETTINGS):
        await parent.aresult(20)
        await eventually(lambda: is_unmarked(app, child.id))
    await parent.adelete()
    async with Worker(app, queues=["LATER"], settings=SETTINGS):
        record = await child.await_end(20)
    assert (record.state, record.last_err) == (
        State.TERMINATED,
        f"the result of task {parent.id}, which it depends on, is gone",
    )


async def test_a_parent_that_is_not_to_be_kept_is_kept_for_its_children(app: App) -> None:
    parent = await app.aenqueue("give", {"value": "x" * MOST_INLINE}, retention=0)
    child = await app.aenqueue("child", depends_on=[parent], load_dependencies=True, delay=0.5)

    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(20) == {parent.id: "x" * MOST_INLINE}
    assert (await read(app, parent.id)).record.state is State.COMPLETE


# failure


@pytest.mark.parametrize("kind", ["fail", "terminate", "cancelled", "deleted", "unreachable"])
async def test_a_parent_that_fails_takes_its_child_along(app: App, kind: str) -> None:
    parent = await failing(app, kind)
    child = await app.aenqueue("child", depends_on=[parent])
    grandchild = await app.aenqueue("child", depends_on=[child])

    async with Worker(app, settings=SETTINGS):
        await let_fail(parent, kind)
        error, after = await failure(child), await failure(grandchild)
        await eventually(lambda: is_unmarked(app, grandchild.id))
    assert parent.id in error.error_message or parent.id in str(error)
    assert error.reason == ("gone" if kind == "deleted" else "dependency")
    assert child.id in str(after)
    assert await is_unmarked(app, child.id)


@pytest.mark.parametrize("kind", ["fail", "terminate", "cancelled", "deleted", "unreachable"])
async def test_a_failure_that_is_ignored_is_no_result(app: App, kind: str) -> None:
    good, parent = await app.aenqueue("give", {"value": 1}), await failing(app, kind)
    child = await app.aenqueue(
        "child", depends_on=[good, Dependency(parent, on_failure="ignore")], load_dependencies=True
    )

    async with Worker(app, settings=SETTINGS):
        await let_fail(parent, kind)
        assert await child.aresult(20) == {good.id: 1}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("fail", {"type": "ValueError", "message": "broken", "state": "expired", "end": "max_tries"}),
        ("terminate", {"message": "no more", "state": "terminated", "end": "terminated"}),
        ("cancelled", {"message": "cancelled", "state": "cancelled", "end": "cancelled"}),
        ("deleted", {"state": "gone", "end": "gone"}),
        ("unreachable", {"state": "unreachable", "end": "dependency"}),
    ],
)
async def test_a_child_may_run_with_the_error(app: App, kind: str, error: dict[str, str]) -> None:
    parent = await failing(app, kind)
    child = await app.aenqueue("child", depends_on=[Dependency(parent, on_failure="run")], load_dependencies=True)

    async with Worker(app, settings=SETTINGS):
        await let_fail(parent, kind)
        found = (await child.aresult(20))[parent.id]
    assert found["error"].items() >= error.items()


async def failing(app: App, kind: str) -> TaskHandle[Any]:
    """Return a task that has not failed yet."""
    if kind in {"fail", "terminate"}:
        return await app.aenqueue(kind)
    if kind == "unreachable":
        return await app.aenqueue("give", depends_on=[await app.aenqueue("terminate")])
    return await app.aenqueue("give", delay=600)


async def let_fail(parent: TaskHandle[Any], kind: str) -> None:
    if kind == "cancelled":
        await parent.acancel()
    elif kind == "deleted":
        await parent.adelete()


async def test_a_failure_that_spreads_wide_and_deep_leaves_nobody_behind(app: App) -> None:
    root = await app.aenqueue("terminate", delay=600)
    below = [await app.aenqueue("child", depends_on=[root]) for _ in range(120)]
    deeper = [await app.aenqueue("child", depends_on=[each]) for each in below[:60]]
    last = await app.aenqueue("child", depends_on=deeper)

    await root.acancel()

    for each in (*below, *deeper, last):
        assert (await read(app, each.id)).record.state is State.UNREACHABLE
    assert await (await app.clients.current()).backend.links.marked() == []


# refusals


async def test_a_parent_that_does_not_exist_is_an_error_and_leaves_nothing(app: App) -> None:
    with pytest.raises(UnknownDependencyError, match="cannot depend on nobody"):
        await app.aenqueue("child", depends_on=["nobody"], id="mine")

    backend = (await app.clients.current()).backend
    assert await backend.tasks.read("mine") is None
    assert await backend.links.marked() == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"depends_on": ["mine"], "id": "mine"}, InvalidSettingError),
        ({"depends_on": ["no good"]}, InvalidNameError),
        ({"depends_on": [7]}, InvalidSettingError),
        ({"depends_on": 7}, InvalidSettingError),
        ({"depends_on": ["a"], "unique": True}, InvalidSettingError),
    ],
    ids=["itself", "no id", "a number among them", "a number", "unique"],
)
async def test_what_cannot_be_meant_is_refused(app: App, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await app.aenqueue("child", **options)


def test_a_failure_means_one_of_three_things() -> None:
    with pytest.raises(InvalidSettingError, match="fail, ignore, run"):
        Dependency("a", on_failure="retry")


async def test_the_same_enqueue_again_finds_its_blocked_task(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1}, delay=600)
    for _ in range(2):
        await app.aenqueue("child", depends_on=[parent], id="mine")

    assert (await read(app, parent.id)).record.dependents == ("mine",)


async def test_some_of_many_depend_on_others(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1})

    @app.task("late")
    async def late(ctx: Context) -> dict[str, Any]:
        return ctx.dependency_results

    waiting = late.using(depends_on=[parent], load_dependencies=True)
    unknown = late.using(depends_on=["nobody"])
    found = await app.aenqueue_many([waiting.s(), ("give", {"value": 2}), unknown.s()], errors="return")

    assert isinstance(found[2], UnknownDependencyError)
    async with Worker(app, settings=SETTINGS):
        assert [await handle.aresult(20) for handle in found[:2]] == [{parent.id: 1}, 2]


# operators


async def test_a_cancelled_child_is_not_released(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1})
    child = await app.aenqueue("child", depends_on=[parent])
    await child.acancel()

    assert await is_unmarked(app, child.id)
    async with Worker(app, settings=SETTINGS):
        await parent.aresult(20)
    assert (await read(app, child.id)).record.display_state == "cancelled"


async def test_a_deleted_child_is_forgotten(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1})
    child = await app.aenqueue("child", depends_on=[parent])
    await child.adelete()

    assert await is_unmarked(app, child.id)
    async with Worker(app, settings=SETTINGS):
        assert await parent.aresult(20) == 1


async def test_a_retried_parent_lets_its_dependents_wait_again(make_app: Callable[[], App]) -> None:
    app, broken = tell_tasks(make_app()), [True]

    @app.task("flaky", max_tries=1)
    async def flaky() -> str:
        if broken[0]:
            raise ValueError("not yet")
        return "well"

    parent = await app.aenqueue("flaky")
    other = await app.aenqueue("give", {"value": 1})
    child = await app.aenqueue("child", depends_on=[other, parent], load_dependencies=True)
    grandchild = await app.aenqueue("count", depends_on=[child])
    async with Worker(app, settings=SETTINGS):
        await failure(grandchild)
        broken[0] = False
        done = await parent.aretry(dependents=True)

        assert done.detail.endswith("dependents that wait again: 2")
        assert await child.aresult(20) == {other.id: 1, parent.id: "well"}
        assert await grandchild.aresult(20) == [1, 0]
        await eventually(lambda: is_unmarked(app, grandchild.id))


async def test_a_retried_parent_leaves_its_dependents_unless_asked(app: App) -> None:
    parent = await app.aenqueue("fail")
    child = await app.aenqueue("child", depends_on=[parent])
    async with Worker(app, settings=SETTINGS):
        await failure(child)
        await parent.aretry()
        await parent.await_end(20)
    assert (await read(app, child.id)).record.state is State.UNREACHABLE


async def test_an_unreachable_child_can_be_run_alone(app: App) -> None:
    good, bad = await app.aenqueue("give", {"value": 1}), await app.aenqueue("fail", delay=0.3)
    child = await app.aenqueue("child", depends_on=[good, bad], load_dependencies=True)
    async with Worker(app, settings=SETTINGS):
        await failure(child)
        await child.aretry()
        assert await child.aresult(20) == {good.id: 1}


# what nobody tells


async def test_a_parent_that_another_program_finished_releases_its_child(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1}, delay=600)
    child = await app.aenqueue("child", depends_on=[parent], load_dependencies=True)
    theirs = await read(app, parent.id)
    result = Result(Raw(b"7"), theirs.record.created)
    complete = with_fields(theirs.record, state=State.COMPLETE, due=None, dependents=(), result=result)
    await write(app, complete, theirs.sequence)

    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(20) == {parent.id: 7}


async def test_a_parent_that_a_go_worker_runs_is_left_alone(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1}, delay=600)
    theirs = await read(app, parent.id)
    active = await write(app, with_fields(theirs.record, state=State.ACTIVE, due=None), theirs.sequence)
    child = await app.aenqueue("child", depends_on=[parent])

    assert (await read(app, parent.id)).sequence == active.sequence
    await write(app, with_fields(active.record, state=State.TERMINATED), active.sequence)
    async with Worker(app, settings=SETTINGS):
        assert parent.id in str(await failure(child))


async def test_a_parent_that_is_gone_fails_its_child(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 1}, delay=600)
    child = await app.aenqueue("child", depends_on=[parent])
    await (await app.clients.current()).backend.tasks.remove(parent.id)

    async with Worker(app, settings=SETTINGS):
        assert (await failure(child)).reason == "gone"


async def test_a_child_outlives_the_record_of_a_parent_that_it_counted(app: App) -> None:
    first, second = await app.aenqueue("give", {"value": 1}), await app.aenqueue("give", {"value": 2}, delay=600)
    child = await app.aenqueue("child", depends_on=[first, second], load_dependencies=True)
    async with Worker(app, settings=SETTINGS):
        await first.aresult(20)
        await eventually(lambda: counted(app, child.id, second.id))
        await first.adelete()
        await second.arun_now()
        assert await child.aresult(20) == {first.id: 1, second.id: 2}


async def counted(app: App, child: str, left: str) -> bool:
    return (await read(app, child)).record.pending == (left,)


async def test_a_marker_of_nothing_is_removed(app: App) -> None:
    backend = (await app.clients.current()).backend
    plain = await app.aenqueue("give", {"value": 1})
    await backend.links.mark(plain.id)

    async with Worker(app, settings=SETTINGS):
        await plain.aresult(20)
        await eventually(lambda: is_unmarked(app, plain.id))


# Go's blocked tasks


async def go_child(app: App, parents: list[str], **fields: Any) -> TaskHandle[Any]:
    """Leave a blocked task as a Go program does: its record, and its item at once."""
    client = await app.clients.current()
    await client.backend.queue(app.queues["DEFAULT"])
    made = TaskRecord(
        id="go-child",
        type="child",
        queue="DEFAULT",
        max_tries=10,
        state=State.BLOCKED,
        created=client.backend.connection.clock.now(),
        dependencies=parents,
        load_dependencies=True,
        **fields,
    )
    stored = await write(app, made)
    item = b'{"kind":0,"job":"go-child"}'
    publication = client.backend.queues.publication(stored)
    publication.data = item
    await client.backend.publisher.publish(publication)
    return app.handle("go-child", "child", "DEFAULT")


async def test_gos_child_of_complete_parents_is_run_with_its_own_item(app: App, told: list[Event]) -> None:
    async with Worker(app, settings=SETTINGS):
        parent = await app.aenqueue("give", {"value": 5})
        await parent.aresult(20)
        child = await go_child(app, [parent.id])
        assert await child.aresult(20) == {parent.id: 5}
    assert states(told, child.id) == ["new", "active", "complete"]


async def test_gos_child_waits_for_its_parents(app: App) -> None:
    parent = await app.aenqueue("give", {"value": 5}, delay=600)
    child = await go_child(app, [parent.id])
    async with Worker(app, settings=SETTINGS):
        await eventually(lambda: counted(app, child.id, parent.id))
        await eventually(lambda: is_known(app, parent.id, child.id))
        await parent.arun_now()
        assert await child.aresult(20) == {parent.id: 5}


async def is_known(app: App, parent: str, child: str) -> bool:
    return (await read(app, parent)).record.dependents == (child,)


async def test_gos_child_of_a_parent_that_is_gone_ends(app: App) -> None:
    child = await go_child(app, ["nobody"])
    async with Worker(app, settings=SETTINGS):
        assert (await failure(child)).reason == "gone"
