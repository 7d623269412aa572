"""``jetq tasks``: add, view, list, watch and delete, without the application."""

import asyncio
import json
import re

import pytest

from jetq.app.application import App
from jetq.jetstream.publisher import Publication
from jetq.jetstream.server import EmbeddedServer
from tests.acceptance.conftest import Start
from tests.acceptance.programs import Ended, Folder


def add(shop: Folder, *arguments: str) -> str:
    added = shop.run("tasks", "add", *arguments)
    assert added.status == 0, added.err
    return added.out.strip()


def test_adding_prints_the_id_alone(shop: Folder) -> None:
    added = shop.run("tasks", "add", "add", '{"a": 1}')

    assert re.fullmatch(r"[0-9A-Z]{26}\n", added.out)
    assert added.err == ""


def test_the_payload_comes_from_stdin_as_well(shop: Folder) -> None:
    added = shop.run("tasks", "add", "add", "-", "--json", stdin='\n{"a": [1, 2.50, "ä"]}\n')

    assert added.json["payload"] == {"a": [1, 2.5, "ä"]}
    assert (added.json["state"], added.json["type"], added.json["queue"]) == ("new", "add", "DEFAULT")


def test_options_of_a_task_are_stored(shop: Folder) -> None:
    options = ("--queue", "SLOW", "--id", "mine", "--delay", "1h", "--deadline", "2h", "--max-tries", "3")
    add(shop, "add", *options)

    viewed = shop.run("tasks", "view", "mine", "--json").json

    assert (viewed["queue"], viewed["state"], viewed["places"]) == ("SLOW", "scheduled", ["schedule"])
    assert viewed["record"]["max_tries"] == 3
    assert viewed["record"]["due"] < viewed["record"]["deadline"]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("1m", "1m"),
        ("gentle", "gentle"),
        ("30", {"kind": "fixed", "seconds": 30.0, "jitter": 0.0}),
        ('{"kind": "linear", "first": 2}', {"kind": "linear", "first": 2, "step": 1.0, "max": 600.0, "jitter": 0.0}),
    ],
    ids=["asyncjobs", "own", "seconds", "json"],
)
def test_a_task_takes_its_retry_policy_along(shop: Folder, policy: str, kept: object) -> None:
    added = shop.run("tasks", "add", "fail", "--id", "one", "--retry", policy)
    record = shop.run("tasks", "view", "one", "--json").json["record"]

    assert added.status == 0, added.err
    assert record["options"]["retry"] == kept


def test_a_task_is_shown_in_full(shop: Folder) -> None:
    shop.run("tasks", "add", "fail", "--id", "failed", "--max-tries", "1")
    shop.run("worker", "shop", "--burst")

    viewed = shop.run("tasks", "view", "failed")

    fields = dict(line.split("\t", 1) for line in viewed.out.splitlines())
    assert (fields["ID"], fields["State"], fields["Tries"]) == ("failed", "expired (max_tries)", "1 of 1")
    assert fields["Last error"] == "ValueError: no luck"
    assert fields["Traceback"].endswith(r"ValueError: no luck")


def test_waiting_for_a_task_that_fails_is_a_failure(start: Start, shop: Folder) -> None:
    program = start(shop, "worker", "shop", "--log-format", "json")
    program.await_line("worker started")

    waited = shop.run("tasks", "add", "fail", "--max-tries", "1", "--wait")
    shown = shop.run("tasks", "add", "fail", "--max-tries", "1", "--wait", "--json")

    assert (waited.status, waited.out) == (1, "")
    assert "ended expired (max_tries); last error: ValueError: no luck" in waited.err
    assert (shown.status, shown.json["state"], shown.err) == (1, "expired", "")


def test_waiting_may_have_an_end(shop: Folder) -> None:
    waited = shop.run("tasks", "add", "add", "--wait", "--timeout", "100ms")

    assert waited.status == 1
    assert "had not ended after 0.1 s (state: new); it goes on" in waited.err


def test_tasks_are_listed_and_filtered(shop: Folder) -> None:
    add(shop, "email:new", "--id", "one")
    add(shop, "email:old", "--id", "two", "--queue", "SLOW")
    add(shop, "order:paid", "--id", "three", "--delay", "1h")

    def ids(*filters: str) -> list[str]:
        listed: Ended = shop.run("tasks", "ls", *filters)
        assert listed.status == 0, listed.err
        return sorted(line.split("\t")[0] for line in listed.out.splitlines())

    assert ids() == ["one", "three", "two"]
    assert ids("--state", "scheduled") == ["three"]
    assert ids("--state", "new,scheduled") == ["one", "three", "two"]
    assert ids("--queue", "SLOW") == ["two"]
    assert ids("--type", "email:*") == ["one", "two"]
    assert ids("--since", "1h", "--limit", "1") == ["three"]
    listed = shop.run("tasks", "list", "--json", "--type", "order:paid").json
    assert [(task["id"], task["state"]) for task in listed["tasks"]] == [("three", "scheduled")]
    assert listed["complete"] is True


def test_what_happens_is_watched_live(start: Start, shop: Folder) -> None:
    shown = start(shop, "tasks", "watch", "--count", "3")
    streamed = start(shop, "tasks", "watch", "one", "--json", "--count", "3")
    for program in (shown, streamed):
        program.await_line("Watching")

    add(shop, "add", '{"a": 1, "b": 2}', "--id", "one")
    shop.run("worker", "shop", "--burst")

    assert (shown.await_end(), streamed.await_end()) == (0, 0)
    events = [json.loads(line) for line in streamed.lines if line.startswith("{")]
    assert [(event["task_id"], event["state"]) for event in events] == [
        ("one", state) for state in ("new", "active", "complete")
    ]
    assert [line.split()[1:3] for line in shown.lines[1:4]] == [
        [state, "one"] for state in ("new", "active", "complete")
    ]


def test_deleting_asks_and_nobody_answers(shop: Folder) -> None:
    add(shop, "add", "--id", "one")

    refused = shop.run("tasks", "delete", "one")

    assert refused.status == 1
    assert refused.err == "jetq: not done, since nobody can be asked: Delete task one? Use --force to do it unasked.\n"
    assert shop.run("tasks", "view", "one").status == 0


def test_tasks_are_deleted_by_force(shop: Folder) -> None:
    add(shop, "add", "--id", "one")
    add(shop, "add", "--id", "two", "--delay", "1h")

    deleted = shop.run("tasks", "rm", "-f", "one", "two")

    assert (deleted.status, deleted.out) == (0, "deleted one (new)\ndeleted two (scheduled)\n"), deleted.err
    gone = shop.run("tasks", "view", "one")
    assert (gone.status, gone.err) == (
        1,
        "jetq: there is no task one; it never existed, was deleted, or was kept long enough\n",
    )
    assert shop.run("queues", "info", "DEFAULT", "--json").json["items"] == 0


BAD_INPUT = [
    (["add", "a b"], 2, "'a b' is not a legal task type"),
    (["add", "add", "{a: 1}"], 2, "the payload of 'add' is not valid: it is not JSON"),
    (["add", "add", "NaN"], 2, "the payload of 'add' is not valid: it is not JSON"),
    (["add", "add", "--id", "a.b"], 2, "'a.b' is not a legal task id"),
    (["add", "add", "--queue", "a.b"], 2, "'a.b' is not a legal queue"),
    (["add", "add", "--delay", "soon"], 2, "expected --delay to be a duration such as"),
    (["add", "add", "--max-tries", "-1"], 2, "expected max_tries to be a whole number of at least 0"),
    (["add", "add", "--retry", "a.b"], 2, "'a.b' is not a legal retry policy"),
    (["add", "add", "--retry", '{"kind": "odd"}'], 2, 'expected --retry to be a policy such as {"kind": "fixed"'),
    (["add", "add", "--retry", '{"kind": "fixed", "seconds": -1}'], 2, "expected --retry to be a policy such as"),
    (["view", "nothing"], 1, "there is no task nothing"),
    (["view", "a.b"], 2, "'a.b' is not a legal task id"),
    (["list", "--state", "done"], 2, "expected state to be one of active, blocked"),
    (["list", "--since", "x"], 2, "expected --newer-than/--since to be a duration"),
    (["watch", "a.b"], 2, "'a.b' is not a legal task id"),
    (["delete", "-f", "nothing"], 1, "there is no task nothing"),
]


@pytest.mark.parametrize(("arguments", "status", "sentence"), BAD_INPUT)
def test_bad_input_is_one_sentence(arguments: list[str], status: int, sentence: str, shop: Folder) -> None:
    ended = shop.run("tasks", *arguments)

    assert (ended.status, ended.out) == (status, ""), ended.err
    assert sentence in ended.err
    assert "Traceback" not in ended.err


def test_an_id_is_given_once(shop: Folder) -> None:
    add(shop, "add", '{"a": 1}', "--id", "mine")

    again = shop.run("tasks", "add", "add", '{"a": 2}', "--id", "mine")

    assert (again.status, again.err) == (1, "jetq: a task with the id mine exists already (state: new)\n")


def test_a_payload_that_is_too_large_names_both_sizes(shop: Folder) -> None:
    ended = shop.run("tasks", "add", "add", "-", stdin=json.dumps("x" * 2_000_000))

    assert ended.status == 2, ended.err
    assert re.search(r"takes 2,\d\d\d,\d\d\d bytes and the limit is \d\d\d,\d\d\d", ended.err)


def test_a_full_queue_is_one_sentence(shop: Folder) -> None:
    shop.run("queues", "add", "SMALL", "--max-entries", "1")
    add(shop, "add", "--queue", "SMALL")

    full = shop.run("tasks", "add", "add", "--queue", "SMALL")

    assert (full.status, full.err) == (1, "jetq: the queue SMALL is full; try again later, or raise its max_entries\n")


def test_what_is_no_record_is_shown_as_such(shop: Folder, server: EmbeddedServer, namespace: str) -> None:
    async def put(task_id: str, record: bytes) -> None:
        async with App("other", servers=server.url, namespace=namespace) as app:
            backend = (await app.clients.current()).backend
            await backend.publisher.publish(Publication(backend.names.record(task_id), record))

    good = shop.run("tasks", "add", "mail").out.strip()
    record = b'{"id":"odd","type":"mail","created":"2026-11-24T03:00:00.123456789+05:45","state":"dancing"}'
    asyncio.run(put("odd", record))
    listed, viewed = shop.run("tasks", "list"), shop.run("tasks", "view", "odd")

    assert (listed.status, [line.split("\t")[0] for line in listed.out.splitlines()]) == (0, [good])
    assert "1 entries are no task records; odd: " in listed.err
    assert (viewed.status, viewed.out) == (1, "")
    assert viewed.err.startswith("jetq: malformed task record: ")
    assert "dancing" in viewed.err
