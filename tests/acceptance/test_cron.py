"""``jetq cron`` and ``jetq beat``, as their users see them."""

import signal

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.programs import Folder
from tests.acceptance.test_health import page, until

pytestmark = pytest.mark.timeout(120)

CRON = """
app.cron("sums", "* * * * * *", add.s(a=1, b=2))
"""


def test_a_schedule_is_kept_on_the_command_line(shop: Folder) -> None:
    added = shop.run("cron", "add", "nightly", "0 3 * * *", "add", '{"a": 1, "b": 2}', "--timezone", "Europe/Malta")
    again = shop.run("cron", "add", "nightly", "hourly", "add")
    listed = shop.run("cron", "list", "--json")
    disabled = shop.run("cron", "disable", "nightly")
    view = shop.run("cron", "view", "nightly", "--json")
    ran = shop.run("cron", "run", "nightly")
    task = shop.run("tasks", "view", ran.out.strip(), "--json")
    deleted = shop.run("cron", "delete", "nightly", "--force")

    assert (added.status, again.status) == (0, 1)
    assert added.out.startswith("stored nightly: at 03:00 every day, Europe/Malta time; due next 2")
    assert "there is a schedule nightly already" in again.err
    (found,) = listed.json["schedules"]
    assert (found["schedule"], found["state"]) == ("CRON_TZ=Europe/Malta 0 3 * * *", "on")
    assert found["next"]
    assert disabled.out == "nightly is disabled\n"
    assert (view.json["state"], view.json["next"]) == ("disabled", None)
    assert (task.json["type"], task.json["record"]["schedule"]) == ("add", "nightly")
    assert deleted.out == "deleted nightly\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(("c", "0 0 30 2 *", "add"), 2, "there is no day 30 in February", id="30 February"),
        pytest.param(("c", "@daily", "add", "--timezone", "Mars/X"), 2, "no time zone 'Mars/X'", id="zone"),
        pytest.param(("c", "@daily", "add", "-q", "NOPE"), 1, "there is no queue NOPE", id="queue"),
        pytest.param(("c@d", "@daily", "add"), 2, "use letters, digits, '_' and '-' only", id="name"),
        pytest.param(("c", "@daily", "a b"), 2, "not a legal task type", id="task type"),
        pytest.param(
            ("c", "@daily", "add", "--deadline", "10s"), 2, "expected --deadline to be a duration", id="deadline"
        ),
        pytest.param(("c", "@daily", "add", "--misfire", "never"), 2, "one of skip, latest, all", id="misfire"),
        pytest.param(("c", "@daily", "add", "{"), 2, "it is not JSON", id="payload"),
        pytest.param(("c", "@daily", "add", "--start", "2026-01-01"), 2, "with its zone", id="start"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence(
    shop: Folder, arguments: tuple[str, ...], status: int, said: str
) -> None:
    ended = shop.run("cron", "add", *arguments)

    assert ended.status == status
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_a_scheduler_makes_what_the_application_declares_and_says_how_it_is(shop: Folder, start: Start) -> None:
    with (shop.path / "shop.py").open("a") as file:
        file.write(CRON)
    scheduler = start(shop, "beat", "shop:app", "--health", "0", "--log-format", "json", "--log-level", "debug")
    scheduler.await_line("occurrence made", count=2)
    ready = until(scheduler, "/readyz", 200)
    _, metrics = page(scheduler, "/metrics")
    listed = shop.run("cron", "list", "--json").json["schedules"]
    scheduler.signal(signal.SIGTERM)
    status = scheduler.await_end()

    assert (ready["leads"], ready["schedules"]) == (True, 1)
    assert "jetq_beat_leader 1.0" in metrics
    assert "jetq_schedules 1.0" in metrics
    made = next(line for line in metrics.splitlines() if line.startswith("jetq_occurrences_made_total "))
    assert float(made.split()[1]) >= 2
    assert (listed[0]["name"], listed[0]["origin"], listed[0]["last_outcome"]) == ("sums", "code:shop", "new")
    assert status == 0
    assert scheduler.events("scheduler stopped")


def test_a_worker_makes_and_runs_what_is_due(shop: Folder, start: Start) -> None:
    with (shop.path / "shop.py").open("a") as file:
        file.write(CRON)
    worker = start(shop, "worker", "shop:app", "--beat", "--log-format", "json", "--log-level", "debug")
    worker.await_line("task succeeded", count=2)
    made = {event["task_id"] for event in worker.events("occurrence made")}
    status = worker.stop()

    succeeded = {event["task_id"] for event in worker.events("task succeeded")}
    assert succeeded & made
    assert status == 0


def test_of_the_children_of_a_supervisor_one_leads(shop: Folder, start: Start) -> None:
    with (shop.path / "shop.py").open("a") as file:
        file.write(CRON)
    running = start(shop, "worker", "shop:app", "-p", "2", "--beat", "--log-format", "json", "--log-level", "debug")
    running.await_line("child ready", count=2)
    running.await_line("occurrence made", count=2)
    unknown = shop.run("cron", "add", "other", "@daily", "nobody:does")
    status = running.stop()

    made = [event["task_id"] for event in running.events("occurrence made")]
    elected = [event for event in running.events("leader elected") if event["component"] == "task_scheduler"]
    assert len(made) == len(set(made))
    assert len(running.events("scheduler started")) == 2
    assert elected
    assert unknown.status == 0
    assert "none of the workers that run has a handler for nobody:does" in unknown.err
    assert status == 0


def test_a_scheduler_without_a_server_says_so(folder: Folder) -> None:
    ended = folder.run("beat", "--servers", "nats://127.0.0.1:1")

    assert ended.status == 3
    assert "no connection to nats://127.0.0.1:1" in ended.err
    assert "Traceback" not in ended.err
