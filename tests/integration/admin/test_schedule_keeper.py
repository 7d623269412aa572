"""Stored schedules: what people and applications do with them, beside Go and beside each other."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.admin.schedule_keeper import ScheduleKeeper
from jetq.errors import (
    InvalidNameError,
    InvalidScheduleError,
    MalformedScheduleError,
    ScheduleExistsError,
    ScheduleOwnedError,
    UnknownQueueError,
    UnknownScheduleError,
)
from jetq.jetstream.backend import Backend
from jetq.model.stored_schedule import ScheduleState, StoredSchedule, code_origin

CREATED = datetime(2026, 1, 2, tzinfo=UTC)
SHOP = code_origin("shop")
GO = (
    b'{"name":"nightly","schedule":"@daily","queue":"DEFAULT","task_type":"report","payload":null,'
    b'"deadline":3600000000000,"max_tries":10,"created_at":"2026-01-02T03:04:05.123456789Z","colour":"<red>"}'
)


def schedule(name: str = "nightly", **more: Any) -> StoredSchedule:
    fields: dict[str, Any] = {"schedule": "@daily", "queue": "DEFAULT", "task_type": "report", "created_at": CREATED}
    return StoredSchedule(name=name, **(fields | more))


@pytest.fixture
def keeper(backend: Backend) -> ScheduleKeeper:
    return ScheduleKeeper(backend)


async def sequence(backend: Backend, name: str = "nightly") -> int:
    return (await backend.schedules.read(name)).sequence


async def test_a_schedule_that_was_added_is_shown(keeper: ScheduleKeeper) -> None:
    assert await keeper.add(schedule())

    view = await keeper.view("nightly")
    assert (view.record, view.state, view.problem) == (schedule(), "on", "")
    assert view.next is not None
    assert await keeper.list_all() == [view]


async def test_what_is_stored_is_what_go_writes(keeper: ScheduleKeeper, backend: Backend) -> None:
    await keeper.add(schedule(payload=b"{}", max_tries=10))

    stored = json.loads((await backend.schedules.read("nightly")).data)
    assert stored == {
        "name": "nightly",
        "schedule": "@daily",
        "queue": "DEFAULT",
        "task_type": "report",
        "payload": "e30=",
        "max_tries": 10,
        "created_at": "2026-01-02T00:00:00Z",
    }


async def test_a_name_is_taken_once_unless_it_is_to_be_replaced(keeper: ScheduleKeeper) -> None:
    await keeper.add(schedule())

    with pytest.raises(ScheduleExistsError):
        await keeper.add(schedule(schedule="@hourly"))
    assert await keeper.add(schedule(schedule="@hourly", created_at=datetime(2027, 1, 1, tzinfo=UTC)), replace_it=True)

    record = (await keeper.view("nightly")).record
    assert record == schedule(schedule="@hourly")  # and since when it is counted stays


async def test_an_unchanged_schedule_is_not_written_again(keeper: ScheduleKeeper, backend: Backend) -> None:
    await keeper.add(schedule())
    before = await sequence(backend)

    assert not await keeper.add(schedule(), replace_it=True)
    assert not await keeper.pause("nightly", paused=False)
    assert await sequence(backend) == before


async def test_what_another_program_wrote_keeps_its_bytes(keeper: ScheduleKeeper, backend: Backend) -> None:
    await backend.schedules.write("nightly", GO, 0)

    await keeper.pause("nightly", paused=True)
    paused = (await backend.schedules.read("nightly")).data
    await keeper.pause("nightly", paused=False)

    assert paused == GO[:-1] + b',"paused":true}'
    assert (await backend.schedules.read("nightly")).data == GO


async def test_a_disabled_schedule_is_not_due(keeper: ScheduleKeeper) -> None:
    await keeper.add(schedule())

    assert await keeper.pause("nightly", paused=True)

    view = await keeper.view("nightly")
    assert (view.state, view.next) == ("disabled", None)


@pytest.mark.parametrize("again", [False, True], ids=["once", "a name that was there before"])
async def test_a_deleted_schedule_is_gone_with_its_state(
    keeper: ScheduleKeeper, backend: Backend, *, again: bool
) -> None:
    for _ in range(1 + again):
        await keeper.add(schedule())
        await backend.schedules.advance("nightly", ScheduleState(due=CREATED))
        await keeper.remove("nightly")

    assert await keeper.list_all() == []
    assert (await backend.schedules.read_state("nightly")).sequence == 0
    with pytest.raises(UnknownScheduleError):
        await keeper.view("nightly")


async def test_a_task_of_a_schedule_is_made_at_once(keeper: ScheduleKeeper, backend: Backend) -> None:
    await keeper.add(schedule(payload=b"{}"))

    task_id = await keeper.run("nightly")

    found = await backend.tasks.read(task_id)
    assert found is not None
    assert (found.record.type, found.record.payload, found.record.schedule) == ("report", b"{}", "nightly")
    assert (await keeper.view("nightly")).last is None


@pytest.mark.parametrize(
    ("record", "error"),
    [
        pytest.param(schedule(schedule="0 0 30 2 *"), InvalidScheduleError, id="30 February"),
        pytest.param(schedule(schedule="CRON_TZ=Mars/X @daily"), InvalidScheduleError, id="no such zone"),
        pytest.param(schedule(queue="NOPE"), UnknownQueueError, id="no such queue"),
        pytest.param(schedule("a:b"), InvalidNameError, id="a colon in the name"),
    ],
)
async def test_what_cannot_be_meant_is_not_stored(
    keeper: ScheduleKeeper, record: StoredSchedule, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await keeper.add(record)

    assert await keeper.list_all() == []


async def test_one_that_another_program_broke_is_listed_and_may_be_replaced(
    keeper: ScheduleKeeper, backend: Backend
) -> None:
    await backend.schedules.write("nightly", b'{"name":1}', 0)

    view = (await keeper.list_all())[0]
    with pytest.raises(MalformedScheduleError):
        await keeper.pause("nightly", paused=True)
    await keeper.add(schedule(), replace_it=True)

    assert (view.name, view.state, view.record) == ("nightly", "broken", None)
    assert view.problem
    assert (await keeper.view("nightly")).state == "on"


async def test_a_deployment_stores_changes_and_removes_and_does_so_once(keeper: ScheduleKeeper) -> None:
    first = [schedule("a", origin=SHOP), schedule("b", origin=SHOP)]
    second = [schedule("b", origin=SHOP, schedule="@hourly"), schedule("c", origin=SHOP)]

    done = [await keeper.deploy(SHOP, declared) for declared in (first, first, second, second)]

    told = [(each.written, each.removed, each.refused) for each in done]
    assert told == [(("a", "b"), (), ()), ((), (), ()), (("b", "c"), ("a",), ()), ((), (), ())]
    stored = {view.name: view.record for view in await keeper.list_all()}
    assert stored == {record.name: record for record in second}


async def test_a_deployment_leaves_what_is_not_its_own(keeper: ScheduleKeeper) -> None:
    await keeper.add(schedule("by-hand"))
    await keeper.deploy(code_origin("other"), [schedule("theirs", origin=code_origin("other"))])

    done = await keeper.deploy(SHOP, [schedule("by-hand", origin=SHOP, schedule="@hourly")])

    assert done.refused == ("by-hand",)
    assert [view.record for view in await keeper.list_all()] == [
        schedule("by-hand"),
        schedule("theirs", origin=code_origin("other")),
    ]


async def test_a_deployment_does_not_enable_what_somebody_disabled(keeper: ScheduleKeeper) -> None:
    record = schedule(origin=SHOP)
    await keeper.deploy(SHOP, [record])
    await keeper.pause("nightly", paused=True)

    await keeper.deploy(SHOP, [replace(record, schedule="@hourly")])

    view = await keeper.view("nightly")
    assert view.state == "disabled"
    assert view.record is not None
    assert view.record.schedule == "@hourly"


async def test_what_a_deployment_would_undo_is_refused(keeper: ScheduleKeeper) -> None:
    await keeper.deploy(SHOP, [schedule(origin=SHOP)])

    with pytest.raises(ScheduleOwnedError):
        await keeper.add(schedule(), replace_it=True)
    with pytest.raises(ScheduleOwnedError):
        await keeper.remove("nightly")
    await keeper.remove("nightly", force=True)

    assert await keeper.list_all() == []


async def test_nobody_leads_where_there_is_no_scheduler(keeper: ScheduleKeeper) -> None:
    assert await keeper.leader() == ""


async def test_a_state_is_only_moved_forward(backend: Backend) -> None:
    earlier, later = ScheduleState(due=CREATED, task="a"), ScheduleState(due=CREATED + timedelta(days=1), task="b")
    store = backend.schedules

    written = [(await store.advance("nightly", state)).state for state in (earlier, later, earlier)]

    assert written == [earlier, later, later]
    assert (await store.read_state("nightly")).state == later
