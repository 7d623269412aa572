from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetq import App, Context, Misfire, Queue, Tasks
from jetq.app.composition import chain
from jetq.errors import (
    AppLoadError,
    DuplicateScheduleError,
    InvalidNameError,
    InvalidPayloadError,
    InvalidScheduleError,
    InvalidSettingError,
    UnknownZoneError,
)
from jetq.model.record import StoredOptions
from jetq.model.stored_schedule import StoredSchedule

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
app = App("shop", queues=[Queue("EMAIL")])


@app.task("report", queue="EMAIL", max_tries=4, deadline=3600)
def report(ctx: Context, month: str = "may") -> str:
    return f"{ctx.scheduled_for} {month}"


@app.task("mail")
def mail(to: str) -> str:
    return to


@app.task("quick", deadline=5)
def quick() -> None: ...


@app.task("single", unique=True)
def single() -> None: ...


@pytest.fixture(autouse=True)
def fresh() -> None:
    app._declared.clear()


def test_a_schedule_is_stored_with_what_its_handler_says() -> None:
    app.cron("nightly", "0 3 * * *", report.s(), timezone="Europe/Malta")
    assert app.schedules["nightly"].stored(NOW, app="shop") == StoredSchedule(
        name="nightly",
        schedule="CRON_TZ=Europe/Malta 0 3 * * *",
        queue="EMAIL",
        task_type="report",
        payload=b"{}",
        deadline=3600 * 10**9,
        max_tries=4,
        created_at=NOW,
        origin="code:shop",
    )


def test_what_the_declaration_says_wins_over_the_call_and_the_handler() -> None:
    call = report.using(queue="BULK", max_tries=2, deadline=60, timeout=5).s(month="june")
    of_call = app.cron("a", "@hourly", call).stored(NOW)
    assert (of_call.queue, of_call.max_tries, of_call.deadline) == ("BULK", 2, 60 * 10**9)
    assert (of_call.payload, of_call.options) == (b'{"month":"june"}', StoredOptions(timeout=5))
    declared = app.cron("b", "@hourly", call, queue="EMAIL", max_tries=0, deadline=timedelta(minutes=2)).stored(NOW)
    assert (declared.queue, declared.max_tries, declared.deadline) == ("EMAIL", 0, 120 * 10**9)


def test_all_that_can_be_said_is_stored() -> None:
    start, end = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    said = app.cron(
        "a", timedelta(minutes=5), report.s(), misfire="all", max_late=timedelta(hours=2), limit=7, jitter=30,
        enabled=False, start=start, end=end,
    ).stored(NOW)  # fmt: skip
    assert (said.schedule, said.misfire, said.max_late, said.limit) == ("@every 5m", Misfire.ALL, 7200, 7)
    assert (said.jitter, said.enabled, said.start, said.end) == (30, False, start, end)


def test_a_declared_schedule_says_when_it_runs() -> None:
    declared = app.cron("a", "30 2 * * *", report.s(), timezone="Europe/Malta", end=datetime(2026, 11, 27, tzinfo=UTC))
    assert declared.words == "at 02:30 every day, Europe/Malta time"
    found = [moment.isoformat() for moment in declared.occurrences(after=NOW)]
    assert found == ["2026-11-25T02:30:00+01:00", "2026-11-26T02:30:00+01:00"]
    assert len(declared.occurrences(1)) == (datetime.now(UTC) < datetime(2026, 11, 27, tzinfo=UTC))
    assert len(app.cron("b", "@hourly", report.s()).occurrences()) == 5


def test_a_task_of_elsewhere_may_be_scheduled() -> None:
    stored = app.cron("go", "@daily", app.s("go:report", [1], queue="GO")).stored(NOW)
    assert (stored.task_type, stored.payload, stored.queue) == ("go:report", b"[1]", "GO")


def test_each_planned_time_has_a_task_though_the_handler_is_unique() -> None:
    assert app.cron("a", "@daily", single.s()).stored(NOW).task_type == "single"


def test_a_groups_schedules_are_those_of_its_application() -> None:
    group, shop = Tasks(), App("shop")

    @group.task("grouped")
    def grouped(to: str) -> str:
        return to

    declared = group.cron("a", "@daily", grouped.s(to="x"))
    with pytest.raises(AppLoadError):
        declared.stored(NOW)
    shop.include(group)
    shop.include(group)
    assert list(shop.schedules.values()) == [declared]
    assert declared.stored(NOW).payload == b'{"to":"x"}'

    other = Tasks()
    other.cron("a", "@hourly", shop.s("x"))
    with pytest.raises(DuplicateScheduleError):
        shop.include(other)


@pytest.mark.parametrize(
    ("error", "words", "spec", "values"),
    [
        (InvalidScheduleError, "there is no day 30 in February", "0 0 30 2 *", {}),
        (UnknownZoneError, "no time zone 'Malta'", "@daily", {"timezone": "Malta"}),
        (InvalidNameError, "not a legal queue", "@daily", {"queue": "a b"}),
        (InvalidSettingError, "deadline to be a duration of at least 30 s", "@daily", {"deadline": 29.9}),
        (InvalidSettingError, "max_tries", "@daily", {"max_tries": -1}),
        (InvalidSettingError, "misfire to be one of skip, latest, all", "@daily", {"misfire": "never"}),
        (InvalidSettingError, "max_late", "@daily", {"max_late": -1}),
        (InvalidSettingError, "limit to be a whole number from 1 to 1000", "@daily", {"limit": 0}),
        (InvalidSettingError, "limit to be a whole number from 1 to 1000", "@daily", {"limit": 1001}),
        (InvalidSettingError, "jitter", "@daily", {"jitter": "1m"}),
        (InvalidSettingError, "enabled to be True or False", "@daily", {"enabled": "no"}),
        (InvalidSettingError, "start to be an aware datetime", "@daily", {"start": datetime(2027, 1, 1)}),  # noqa: DTZ001
        (InvalidSettingError, "end to be later than start", "@daily", {"start": NOW, "end": NOW}),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_is_declared(
    error: type[Exception], words: str, spec: str, values: dict[str, Any]
) -> None:
    with pytest.raises(error, match=words):
        app.cron("a", spec, report.s(), **values)
    assert not app.schedules


@pytest.mark.parametrize("name", ["a:b", "a b", "", "x" * 184, 5])
def test_a_name_that_can_be_no_key_is_refused(name: Any) -> None:
    with pytest.raises(InvalidNameError, match="not a legal schedule"):
        app.cron(name, "@daily", report.s())


def test_two_schedules_of_one_name_are_refused() -> None:
    app.cron("a", "@daily", report.s())
    with pytest.raises(DuplicateScheduleError, match=r"declared already .*@daily"):
        app.cron("a", "@hourly", report.s())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        pytest.param(report, "one task with its arguments", id="a handler"),
        pytest.param("report", "one task with its arguments", id="a name"),
        pytest.param(report.fn, "one task with its arguments", id="a function"),
        pytest.param(chain(mail.s(to="x"), report.s()), "one task with its arguments", id="a flow"),
        pytest.param(mail.using(id="x").s(to="x"), "expected id to be absent in a schedule", id="id"),
        pytest.param(mail.using(delay=5).s(to="x"), "expected delay to be absent in a schedule", id="delay"),
        pytest.param(mail.using(run_at=NOW).s(to="x"), "expected run_at to be absent in a schedule", id="run_at"),
        pytest.param(mail.using(unique=True).s(to="x"), "expected unique to be absent in a schedule", id="unique"),
        pytest.param(mail.using(depends_on="x").s(to="x"), "expected depends_on to be absent", id="depends_on"),
        pytest.param(
            mail.using(deadline=NOW).s(to="x"), "expected deadline to be a duration", id="a deadline's moment"
        ),
        pytest.param(quick.s(), "expected deadline to be a duration of at least 30 s", id="the handler's deadline"),
    ],
)
def test_a_call_that_no_schedule_can_make_is_refused(call: Any, words: str) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        app.cron("a", "@daily", call)
    assert not app.schedules


def test_an_argument_that_is_missing_is_told_where_it_is_declared() -> None:
    with pytest.raises(InvalidPayloadError, match="to"):
        app.cron("a", "@daily", mail.s())
