"""A scheduler beside others: what it takes up, what it makes, and what it leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import time_machine

from jetq.admin.occurrences import OccurrenceMaker
from jetq.admin.schedule_keeper import ScheduleKeeper
from jetq.app.application import App
from jetq.beat.beat import COMPONENT, Beat
from jetq.beat.clock import LeaderClock
from jetq.beat.leader import Leader, Term
from jetq.jetstream import key_watch
from jetq.jetstream.backend import Backend
from jetq.jetstream.election import Election
from jetq.jetstream.schedule_store import SchedulerMark
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event, LeaderElected, LeadershipEnded
from jetq.model.scheduling import (
    ClockDistrusted,
    OccurrenceFailed,
    OccurrenceMade,
    OccurrencesSkipped,
    ScheduleRejected,
    SchedulesDeployed,
)
from jetq.model.stored_schedule import Misfire, ScheduleState, StoredSchedule
from jetq.observe.bus import Bus
from jetq.wire.schedules import new_schedule_document
from tests.integration.watching import eventually

OLD = datetime(2026, 1, 2, tzinfo=UTC)


class Stage:
    """An application, what its schedulers told, and the way to the store."""

    def __init__(self, app: App, backend: Backend) -> None:
        self.app = app
        self.backend = backend
        self.keeper = ScheduleKeeper(backend)
        self.told: list[Event] = []
        app.bus.listen(self.told.append)

    def heard(self, kind: type[Any], schedule: str = "") -> list[Any]:
        found: list[Any] = [event for event in self.told if isinstance(event, kind)]
        return [event for event in found if not schedule or event.schedule == schedule]

    def made(self, schedule: str) -> list[datetime]:
        return [event.planned for event in self.heard(OccurrenceMade, schedule)]

    async def until(self, kind: type[Any], schedule: str = "", count: int = 1) -> list[Any]:
        async def enough() -> bool:
            return len(self.heard(kind, schedule)) >= count

        await eventually(enough)
        return self.heard(kind, schedule)

    def record(self, name: str, spec: str = "@every 1s", **more: Any) -> StoredSchedule:
        fields: dict[str, Any] = {"queue": "DEFAULT", "task_type": "tick", "created_at": OLD} | more
        return StoredSchedule(name=name, schedule=spec, **fields)

    async def add(self, name: str, spec: str = "@every 1s", **more: Any) -> StoredSchedule:
        record = self.record(name, spec, **more)
        await self.keeper.add(record, replace_it=True)
        return record

    async def put(self, name: str, data: bytes) -> None:
        """Write as another program would."""
        await self.backend.schedules.write(name, data, (await self.backend.schedules.read(name)).sequence)

    def now(self) -> datetime:
        return self.backend.connection.clock.now()

    async def led(self, ago: float) -> None:
        """Let it stand that a scheduler led last, from so many seconds ago on."""
        _, sequence = await self.backend.schedules.read_mark()
        await self.backend.schedules.write_mark(SchedulerMark(self.now() - timedelta(seconds=ago)), sequence)

    async def dealt_with(self, name: str, ago: float) -> None:
        """Let it stand that the occurrences of a schedule were made until so many seconds ago."""
        state = ScheduleState(due=(self.now() - timedelta(seconds=ago)).replace(microsecond=0))
        found = await self.backend.schedules.read_state(name)
        publication = self.backend.schedules.state_publication(name, state, found.sequence)
        await self.backend.publisher.publish(publication)


@pytest.fixture
async def stage(server: EmbeddedServer, namespace: str, backend: Backend) -> AsyncIterator[Stage]:
    app = App("test", namespace=namespace)
    app.connect_to(server.address)
    yield Stage(app, backend)
    await app.aclose()


@pytest.fixture
def written_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stored schedules be old: what was due before they were written is not made up for."""
    original = key_watch.WatchedKey

    def old(name: str, data: bytes, sequence: int, written: datetime) -> key_watch.WatchedKey:
        return original(name, data, sequence, written - timedelta(days=1))

    monkeypatch.setattr(key_watch, "WatchedKey", old)


async def test_a_schedule_counts_as_soon_as_it_is_stored_and_no_longer_than_it_is(stage: Stage) -> None:
    async with Beat(stage.app):
        await stage.until(LeaderElected)
        await stage.add("a")
        made = await stage.until(OccurrenceMade, "a", 2)
        await stage.keeper.pause("a", paused=True)
        await stage.add("b")
        await stage.until(OccurrenceMade, "b")
        count = len(stage.made("a"))
        await stage.until(OccurrenceMade, "b", 3)

    assert made[1].planned - made[0].planned == timedelta(seconds=1)
    assert made[0].task_id == f"a:{made[0].planned:%Y%m%dT%H%M%SZ}"
    assert len(stage.made("a")) <= count + 1
    assert len(set(stage.made("b"))) == len(stage.made("b"))


async def test_a_changed_schedule_takes_the_place_of_the_old_one(stage: Stage) -> None:
    async with Beat(stage.app):
        await stage.add("a")
        await stage.until(OccurrenceMade, "a")
        await stage.add("a", "@every 1h")
        await stage.add("b")
        await stage.until(OccurrenceMade, "b", 2)
        count = len(stage.made("a"))
        await stage.until(OccurrenceMade, "b", 4)

    assert len(stage.made("a")) == count


async def test_a_deleted_schedule_makes_no_more(stage: Stage) -> None:
    async with Beat(stage.app) as beat:
        await stage.add("a")
        await stage.until(OccurrenceMade, "a")
        await stage.keeper.remove("a")

        async def forgotten() -> bool:
            return beat.schedules == 0

        await eventually(forgotten)
        assert beat.leads


BROKEN: dict[str, bytes | str] = {
    "not-a-schedule": b'{"name":1}',
    "not-json": b"no json",
    "no-such-zone": "CRON_TZ=Mars/X @daily",
    "no-such-minute": "61 * * * *",
    "no-bytes": b"",  # removed
    "never": "0 0 31 2 *",  # Go takes what is never due
}
"""What other programs may write, by the names of the schedules."""


async def test_those_that_another_program_broke_are_left_out_and_the_others_go_on(stage: Stage) -> None:
    await stage.add("good")
    for name in BROKEN:
        await stage.add(name)
    async with Beat(stage.app) as beat:
        for name, broken in BROKEN.items():
            await stage.until(OccurrenceMade, name)
            data = broken if isinstance(broken, bytes) else new_schedule_document(stage.record(name, broken)).encode()
            await stage.put(name, data)
        seen = len(stage.made("good"))
        await stage.until(OccurrenceMade, "good", seen + 2)
        counts = {name: len(stage.made(name)) for name in BROKEN}
        await stage.until(OccurrenceMade, "good", seen + 4)

        rejected = set(BROKEN) - {"no-bytes", "never"}
        assert set(beat.health().rejected) == rejected
        assert all(stage.heard(ScheduleRejected, name) for name in rejected)
        assert {name: len(stage.made(name)) for name in BROKEN} == counts


async def test_a_queue_that_is_gone_does_not_hold_up_the_others(stage: Stage) -> None:
    async with Beat(stage.app):
        await stage.add("good")
        await stage.add("lost", queue="SMALL")
        await stage.until(OccurrenceMade, "lost")
        await stage.backend.connection.api(f"STREAM.DELETE.{stage.backend.names.queue('SMALL')}")
        seen = len(stage.made("good"))
        failed = await stage.until(OccurrenceFailed, "lost")

        assert failed[0].kind == "UnknownQueueError"
        assert len(stage.made("good")) - seen >= 3


def occurrences(since: float, policy: Misfire, **more: Any) -> Callable[[Stage], Any]:
    async def missed(stage: Stage) -> list[datetime]:
        await stage.led(ago=3600)
        record = await stage.add("a", "@every 2s", misfire=policy, **more)
        await stage.dealt_with("a", ago=since)
        began = stage.now()
        async with Beat(stage.app):
            await stage.add("b")
            await stage.until(OccurrenceMade, "b", 2)
        assert record.misfire == policy
        return [planned for planned in stage.made("a") if planned <= began]

    return missed


@pytest.mark.usefixtures("written_long_ago")
@pytest.mark.parametrize(
    ("missed", "least", "most"),
    [
        pytest.param(occurrences(60, Misfire.SKIP), 0, 0, id="skip"),
        pytest.param(occurrences(60, Misfire.LATEST), 1, 1, id="latest"),
        pytest.param(occurrences(60, Misfire.ALL), 29, 31, id="all"),
        pytest.param(occurrences(60, Misfire.ALL, limit=5), 5, 5, id="all up to a limit"),
        pytest.param(occurrences(60, Misfire.ALL, max_late=10.0), 4, 6, id="all that is not too late"),
        pytest.param(occurrences(86_000, Misfire.ALL), 99, 100, id="a suspended laptop makes no flood"),
        pytest.param(occurrences(6, Misfire.SKIP), 3, 4, id="a change of the leader misses nothing"),
    ],
)
async def test_what_was_missed_is_made_up_for_as_the_schedule_wants(
    stage: Stage, missed: Callable[[Stage], Any], least: int, most: int
) -> None:
    made = await missed(stage)

    assert least <= len(made) <= most
    assert len(set(made)) == len(made)


@pytest.mark.usefixtures("written_long_ago")
async def test_what_is_skipped_is_told(stage: Stage) -> None:
    await stage.led(ago=3600)
    await stage.add("a", "@every 2s", misfire=Misfire.SKIP)
    await stage.dealt_with("a", ago=60)
    async with Beat(stage.app):
        skipped = await stage.until(OccurrencesSkipped, "a")

    assert 29 <= skipped[0].count <= 31


async def test_how_far_a_schedule_is_stands_in_its_state(stage: Stage) -> None:
    async with Beat(stage.app):
        await stage.add("a")
        await stage.until(OccurrenceMade, "a", 2)
        await stage.keeper.pause("a", paused=True)
        await stage.until(OccurrenceMade, "a", 2)
        view = await stage.keeper.view("a")

    last = stage.heard(OccurrenceMade, "a")[-1]
    state = (await stage.backend.schedules.read_state("a")).state
    assert state.due == last.planned
    assert state.task == last.task_id
    assert state.epoch > 0
    assert view.record is not None


async def test_who_led_last_and_since_when_is_written_when_it_has_caught_up(stage: Stage) -> None:
    before = stage.now()
    async with Beat(stage.app) as beat:

        async def written() -> bool:
            return (await stage.backend.schedules.read_mark())[0] is not None

        await eventually(written)
        mark, _ = await stage.backend.schedules.read_mark()

    assert mark is not None
    assert (mark.by, mark.since >= before) == (beat.name, True)


@pytest.mark.usefixtures("written_long_ago")
async def test_nothing_is_caught_up_behind_a_leader_that_leaves_no_states(stage: Stage) -> None:
    backend = stage.backend
    await stage.led(ago=3600)
    await stage.add("a", "@every 2s", misfire=Misfire.ALL)
    await stage.dealt_with("a", ago=60)
    async with Election(backend.connection, backend.names, COMPONENT, "go-scheduler", bus=Bus()) as foreign:
        await foreign.elected()
        beat = await Beat(stage.app).__aenter__()
        await asyncio.sleep(0.3)
        assert not beat.leads
        began = stage.now()
    await stage.until(OccurrenceMade, "a")
    await beat.__aexit__()

    assert min(stage.made("a")) >= began - timedelta(seconds=2)


async def test_one_of_two_leads_and_the_other_one_takes_over_at_once(stage: Stage) -> None:
    await stage.add("a")
    async with Beat(stage.app) as second, Beat(stage.app) as first:
        await stage.until(OccurrenceMade, "a", 1)
        assert [second.leads, first.leads] == [True, False]
    async with Beat(stage.app) as first, Beat(stage.app) as second:
        await stage.until(OccurrenceMade, "a", 3)
        await first.__aexit__()
        await stage.until(LeaderElected, count=3)
        await stage.until(OccurrenceMade, "a", 5)
        assert second.leads

    made = sorted(stage.made("a"))
    assert {later - earlier for earlier, later in pairwise(made)} == {timedelta(seconds=1)}


async def test_a_leader_whose_clock_is_set_wrong_steps_down(stage: Stage) -> None:
    async with Beat(stage.app) as beat:
        await stage.add("a")
        await stage.until(OccurrenceMade, "a")
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=1), tick=True):
            told = await stage.until(ClockDistrusted)
        latest = max(stage.made("a"))

        assert told[0].ahead == pytest.approx(3600, abs=5)
        assert not beat.leads
        assert not beat.health().ready
        assert latest <= stage.now()  # nothing of the hour was made in advance


async def test_what_the_application_declares_is_stored_and_made(server: EmbeddedServer, namespace: str) -> None:
    told: list[Event] = []
    app = App("shop", namespace=namespace)
    app.connect_to(server.address)
    app.bus.listen(told.append)

    @app.task("report")
    async def report(n: int) -> None: ...

    app.cron("secondly", "* * * * * *", report.s(n=1))
    async with app, Beat(app):

        async def made() -> bool:
            return any(isinstance(event, OccurrenceMade) for event in told)

        await eventually(made)
    async with app, Beat(app):
        pass

    deployed = [event for event in told if isinstance(event, SchedulesDeployed)]
    assert [(event.origin, event.written) for event in deployed] == [("code:shop", ("secondly",))]
    assert any(isinstance(event, LeadershipEnded) for event in told)


async def test_a_schedule_of_go_runs_as_it_is(stage: Stage) -> None:
    go = (
        b'{"name":"go","schedule":"@every 1s","queue":"DEFAULT","task_type":"email:new","payload":"eyJ0byI6ImEifQ==",'
        b'"deadline":3600000000000,"max_tries":7,"created_at":"2026-01-02T03:04:05.123456789Z"}'
    )
    async with Beat(stage.app, deploys=False):
        await stage.put("go", go)
        made = await stage.until(OccurrenceMade, "go")

    found = await stage.backend.tasks.read(made[0].task_id)
    assert found is not None
    record = found.record
    assert (record.type, record.payload, record.max_tries) == ("email:new", b'{"to":"a"}', 7)
    assert record.deadline == record.created + timedelta(hours=1)
    assert (await stage.backend.schedules.read("go")).data == go  # and nothing is written back


async def test_two_that_lead_at_one_time_make_everything_once(stage: Stage) -> None:
    backend = stage.backend
    for number in range(20):
        await stage.add(f"a-{number}", misfire=Misfire.ALL)
    leaders = [
        Leader(backend, OccurrenceMaker(backend), LeaderClock(backend), Term(f"jetq-{number}", number, lambda: True))
        for number in range(2)
    ]
    made: list[OccurrenceMade] = []
    backend.bus.listen_to(OccurrenceMade, made.append)
    leading = [asyncio.create_task(leader.lead()) for leader in leaders]

    async def enough() -> bool:
        return len({event.task_id for event in made}) >= 60 and len(made) >= 100

    await eventually(enough)
    for task in leading:
        task.cancel()
    await asyncio.gather(*leading, return_exceptions=True)

    ids = {event.task_id for event in made}
    found = await backend.tasks.read_many(sorted(ids))
    items = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
    stored = await backend.connection.api(f"STREAM.INFO.{backend.names.tasks}")
    assert len(made) > len(ids)  # both did the work
    assert all(stored is not None and stored.record.state == "new" for stored in found)
    assert items["state"]["messages"] == stored["state"]["messages"] >= len(ids)
    assert stored["state"]["last_seq"] == stored["state"]["messages"]  # and no record was written twice
