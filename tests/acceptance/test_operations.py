"""``jetq tasks``: cancel, retry, run-now, change and delete, by ids and by filters."""

import asyncio
import json
import signal
from typing import Any

import pytest

from jetq.app.application import App
from jetq.jetstream.server import EmbeddedServer
from jetq.worker.worker import Worker
from tests.acceptance.conftest import Start
from tests.acceptance.programs import Ended, Folder


def add(shop: Folder, *arguments: str) -> None:
    added = shop.run("tasks", "add", *arguments)
    assert added.status == 0, added.err


def done(shop: Folder, *arguments: str) -> Ended:
    ended = shop.run("tasks", *arguments)
    assert ended.status == 0, ended.err
    return ended


def view(shop: Folder, task_id: str) -> dict[str, Any]:
    viewed: dict[str, Any] = shop.run("tasks", "view", task_id, "--json").json
    return viewed


def states(shop: Folder) -> dict[str, str]:
    listed = shop.run("tasks", "list", "--json").json
    return {task["id"]: task["state"] for task in listed["tasks"]}


async def fill(server: EmbeddedServer, namespace: str) -> None:
    app = App("fill", servers=server.url, namespace=namespace)

    @app.task("fail", max_tries=1)
    async def fail() -> None:
        raise ValueError("no luck")

    @app.task("add")
    async def plus(a: int, b: int) -> int:
        return a + b

    async with app, Worker(app):
        for task_id in ("f1", "f2"):
            await (await fail.using(id=task_id).aenqueue()).await_end(20)
        await (await plus.using(id="good").aenqueue(a=1, b=2)).await_end(20)
        await plus.using(id="later", delay=3600).aenqueue(a=1, b=2)


@pytest.fixture
def mixed(shop: Folder, server: EmbeddedServer, namespace: str) -> Folder:
    """Give two tasks that failed, one that succeeded, one that waits."""
    asyncio.run(fill(server, namespace))
    return shop


def test_ids_are_cancelled_and_what_cannot_be_is_said(mixed: Folder) -> None:
    ended = mixed.run("tasks", "cancel", "later", "good", "nothing")

    assert (ended.status, ended.out) == (1, "cancelled later (scheduled)\n")
    refused, gone = ended.err.splitlines()
    assert refused == "jetq: cancel of task good is refused: the task is complete; it has ended"
    assert gone.startswith("jetq: there is no task nothing;")
    assert view(mixed, "later")["places"] == []


def test_one_id_that_is_refused_is_one_sentence(mixed: Folder) -> None:
    ended = mixed.run("tasks", "run-now", "good", "--json")

    assert (ended.status, ended.out) == (1, "")
    assert (
        ended.err
        == "jetq: run now of task good is refused: the task is complete; it has ended; retry starts it again\n"
    )


def test_failed_tasks_are_retried_by_what_they_failed_of(mixed: Folder) -> None:
    ended = done(mixed, "retry", "--state", "expired", "--error", "NO LUCK", "--yes")

    fields = dict(line.split("\t") for line in ended.out.splitlines())
    assert fields == {"Found": "2 tasks (2 expired)", "Done": "2 (2 started)"}
    assert states(mixed) == {"f1": "retry", "f2": "retry", "good": "complete", "later": "scheduled"}


def test_a_retried_task_has_all_its_tries_again(mixed: Folder) -> None:
    assert done(mixed, "retry", "f1").out == "retried f1 (expired)\n"

    mixed.run("worker", "shop", "--burst", "-Q", "DEFAULT")
    record = view(mixed, "f1")["record"]
    assert (record["tries"], record["runs"], record["state"]) == (1, 2, "expired")


@pytest.mark.parametrize("option", ["--queue", "--to-queue"])
def test_a_retried_task_keeps_its_queue_unless_another_is_named(option: str, mixed: Folder) -> None:
    add(mixed, "add", "--queue", "SLOW")

    done(mixed, "retry", "f1")
    done(mixed, "retry", "f2", option, "SLOW")

    assert [view(mixed, task_id)["queue"] for task_id in ("f1", "f2")] == ["DEFAULT", "SLOW"]


def test_with_filters_the_queue_is_one_of_them(mixed: Folder) -> None:
    add(mixed, "add", "--queue", "SLOW", "--id", "slow")

    done(mixed, "cancel", "--queue", "SLOW", "-y")

    assert states(mixed)["slow"] == "cancelled"
    assert states(mixed)["later"] == "scheduled"


def test_a_retry_may_change_what_is_run(mixed: Folder) -> None:
    done(mixed, "retry", "f1", "--payload", '{"n": 1}', "--deadline", "1h", "--max-tries", "7")

    viewed = view(mixed, "f1")
    assert viewed["payload"] == {"n": 1}
    assert viewed["record"]["max_tries"] == 7
    assert viewed["record"]["deadline"] > viewed["record"]["created"]


def test_a_waiting_task_is_changed(mixed: Folder) -> None:
    changed = done(mixed, "change", "later", "--payload", "[1]", "--max-tries", "0", "--deadline", "2h")
    assert changed.out == "changed later (scheduled)\n"
    viewed = view(mixed, "later")
    assert (viewed["payload"], viewed["record"]["max_tries"], viewed["places"]) == ([1], 0, ["schedule"])


def test_a_payload_comes_from_stdin_and_a_deadline_is_taken_away(mixed: Folder) -> None:
    done(mixed, "change", "later", "--deadline", "2h")
    assert "deadline" in view(mixed, "later")["record"]

    changed = mixed.run("tasks", "change", "later", "--payload", "-", "--deadline", "none", stdin='{"a": 5}\n')

    assert changed.status == 0, changed.err
    viewed = view(mixed, "later")
    assert viewed["payload"] == {"a": 5}
    assert "deadline" not in viewed["record"]


def test_a_waiting_task_runs_now(mixed: Folder) -> None:
    assert done(mixed, "run-now", "later").out == "started later (scheduled)\n"

    mixed.run("worker", "shop", "--burst", "-Q", "DEFAULT")
    assert view(mixed, "later")["result"] == 3


def test_all_waiting_ones_run_now_and_the_others_are_told_of(mixed: Folder) -> None:
    ended = mixed.run("tasks", "run-now", "--all", "--yes")

    assert ended.status == 1
    lines = [line.split("\t") for line in ended.out.splitlines()]
    for line in lines:
        line[2:] = [", ".join(sorted(ids.split(", "))) for ids in line[2:]]  # several are operated on at a time
    assert ["Done", "1 (1 started)"] in lines
    assert ["Refused", "3"] in lines
    assert ["2", "expired: it has ended; retry starts it again", "f1, f2"] in lines
    assert ["1", "complete: it has ended; retry starts it again", "good"] in lines


@pytest.mark.parametrize("verb", ["cancel", "retry", "run-now", "delete"])
def test_a_dry_run_counts_and_changes_nothing(verb: str, mixed: Folder) -> None:
    before = states(mixed)

    shown = done(mixed, verb, "--all", "--dry-run")
    counted = done(mixed, verb, "--all", "--dry-run", "--json").json

    assert {line.split("\t")[0] for line in shown.out.splitlines()} == {"f1", "f2", "good", "later"}
    assert "would be tried on 4 tasks (2 expired, 1 complete, 1 scheduled).\nNothing was changed." in shown.err
    assert (counted["matched"], counted["done"], counted["dry_run"]) == (4, 0, True)
    assert states(mixed) == before


def test_a_limit_leaves_the_rest(mixed: Folder) -> None:
    ended = done(mixed, "delete", "--state", "expired", "--limit", "1", "--yes")

    assert "Not tried\twhat is beyond the limit\n" in ended.out
    assert list(states(mixed).values()).count("expired") == 1


def test_a_rate_is_kept(mixed: Folder) -> None:
    report = done(mixed, "retry", "--state", "expired,complete", "--rate", "100", "-y", "--json").json

    assert (report["done"], report["effects"]) == (3, {"started": 3})


def test_who_interrupts_it_is_told_what_was_done(mixed: Folder, start: Start) -> None:
    retry = start(mixed, "tasks", "retry", "--state", "expired,complete", "--rate", "0.01", "-y", "--json")
    listed = ("tasks", "list", "--state", "retry", "--json")
    while not mixed.run(*listed).json["tasks"]:
        assert retry.process.poll() is None, retry.output
    retry.signal(signal.SIGINT)

    assert retry.await_end() == 130
    report = json.loads(retry.output)
    assert (report["done"], report["complete"], report["fault"]) == (1, False, "interrupted")


def test_filters_choose(mixed: Folder) -> None:
    def ids(*filters: str) -> list[str]:
        listed = mixed.run("tasks", "list", "--json", *filters)
        assert listed.status == 0, listed.err
        return sorted(task["id"] for task in listed.json["tasks"])

    assert ids("--end", "max_tries") == ["f1", "f2"]
    assert ids("--end", "max*", "--type", "f*") == ["f1", "f2"]
    assert ids("--error", "valueerror") == ["f1", "f2"]
    assert ids("--error", "no*luck") == ["f1", "f2"]
    assert ids("--error", "bad luck") == []
    assert ids("--older-than", "1h") == []
    assert ids("--older-than", "1ms") == ["f1", "f2", "good", "later"]
    assert ids("--newer-than", "1h") == ids("--since", "1h") == ["f1", "f2", "good", "later"]
    assert ids("--unchanged-for", "1h") == []


def test_what_is_known_of_a_task_stands_in_lists_for_programs(mixed: Folder) -> None:
    done(mixed, "cancel", "later")

    rows = {line.split("\t")[0]: line.split("\t") for line in mixed.run("tasks", "list").out.splitlines()}

    assert rows["f1"][1:5] == ["fail", "DEFAULT", "expired", "1/1"]
    assert rows["f1"][6:] == ["max_tries", "", "", "", "ValueError: no luck"]


def test_a_running_task_is_cancelled_and_waited_for(start: Start, shop: Folder) -> None:
    program = start(shop, "worker", "shop", "--log-format", "json")
    program.await_line("worker started")
    add(shop, "wait-for", '{"path": "never"}', "--id", "runs")
    while view(shop, "runs")["state"] != "active":
        pass

    ended = done(shop, "cancel", "runs", "--wait", "--timeout", "20s")

    assert ended.out == "asked to stop runs (active)\n"
    assert ended.err == "runs ended cancelled\n"
    record = view(shop, "runs")["record"]
    assert (record["state"], record["end"]) == ("expired", "cancelled")


def test_a_running_task_is_deleted_by_force_alone(start: Start, shop: Folder) -> None:
    program = start(shop, "worker", "shop", "--log-format", "json")
    program.await_line("worker started")
    add(shop, "wait-for", '{"path": "go"}', "--id", "runs")
    while view(shop, "runs")["state"] != "active":
        pass

    gentle = shop.run("tasks", "delete", "runs", "--yes")
    many = shop.run("tasks", "delete", "--all", "--yes")
    forced = shop.run("tasks", "delete", "runs", "--force")
    (shop.path / "go").touch()

    assert (gentle.status, many.status, forced.status) == (1, 1, 0)
    assert gentle.err.startswith("jetq: delete of task runs is refused: the task is active; only with force")
    assert forced.out == "deleted runs (active)\n"


def test_nothing_that_matches_is_no_failure(mixed: Folder) -> None:
    ended = done(mixed, "cancel", "--queue", "NOWHERE", "-y")

    assert (ended.out, ended.err) == ("", "no tasks match\n")


@pytest.mark.parametrize("verb", ["cancel", "retry", "run-now", "delete"])
def test_many_tasks_need_somebody_to_be_asked(verb: str, mixed: Folder) -> None:
    before = states(mixed)

    ended = mixed.run("tasks", verb, "--state", "expired")

    assert (ended.status, ended.out) == (1, "")
    assert "not done, since nobody can be asked: " in ended.err
    assert "2 tasks (2 expired)?" in ended.err
    assert states(mixed) == before


def test_json_tells_each_task_that_was_named(mixed: Folder) -> None:
    ended = mixed.run("tasks", "retry", "f1", "nothing", "--json")

    assert ended.status == 1
    report = json.loads(ended.out)
    assert (report["operation"], report["matched"], report["done"], report["gone"]) == ("retry", 2, 1, 1)
    assert [(task["task_id"], task["effect"], task["before"]) for task in report["tasks"]] == [
        ("f1", "started", "expired")
    ]
    assert [(error["task_id"], error["error"]) for error in report["errors"]] == [("nothing", "TaskNotFoundError")]


BAD_INPUT = [
    (["cancel"], 2, "expected the tasks to be named: by ids, by options such as --state, or by --all"),
    (["retry", "--yes"], 2, "expected the tasks to be named"),
    (["delete", "-f"], 2, "expected the tasks to be named"),
    (["run-now", "one", "--state", "retry"], 2, "named either by ids or by options, got: 'ids and --state'"),
    (["cancel", "one", "--all"], 2, "got: 'ids and --all'"),
    (["cancel", "--all", "--end", "crash"], 2, "named either by --all or by other options, got: '--end --all'"),
    (["cancel", "a.b"], 2, "'a.b' is not a legal task id"),
    (["retry", "nothing"], 1, "there is no task nothing"),
    (["change", "nothing", "--max-tries", "1"], 1, "there is no task nothing"),
    (["change", "nothing"], 2, "expected the changes to be named, such as --max-tries 5"),
    (["change", "nothing", "--max-tries", "-1"], 2, "expected max_tries to be a whole number of at least 0"),
    (["change", "nothing", "--payload", "{a: 1}"], 2, "expected --payload to be JSON, quoted for the shell"),
    (["change", "nothing", "--deadline", "soon"], 2, "expected --deadline to be a duration"),
    (["change", "nothing", "--deadline", "9999999w"], 2, "expected --deadline to be a duration of a century at most"),
    (["retry", "nothing", "--to-queue", "a b"], 2, "'a b' is not a legal queue"),
    (["retry", "--state", "done"], 2, "expected state to be one of active, blocked"),
    (["retry", "--all", "--rate", "-1"], 2, "expected rate to be a number of tasks a second, above 0, got: -1.0"),
    (["retry", "--all", "--rate", "0"], 2, "expected rate to be"),
    (["retry", "--all", "--rate", "fast"], 2, "Invalid value for '--rate'"),
    (["retry", "--all", "--limit", "0"], 2, "Invalid value for '--limit'"),
    (["retry", "--older-than", "x"], 2, "expected --older-than to be a duration"),
    (["list", "--older-than", "99999999w"], 2, "expected --older-than to be a duration of a century at most"),
    (["list", "--error", ""], 2, "expected error to be some text"),
    (["cancel", "nothing", "--wait", "--timeout", "x"], 2, "expected --timeout to be a duration"),
]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    BAD_INPUT,
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_sentence(arguments: list[str], status: int, sentence: str, shop: Folder) -> None:
    ended = shop.run("tasks", *arguments)

    assert (ended.status, ended.out) == (status, ""), ended.err
    assert sentence in ended.err
    assert "Traceback" not in ended.err
