"""``jetq queues`` and ``jetq info``."""

import pytest

from tests.acceptance.programs import Folder

LIMITS = {
    "max_age": "1h",
    "max_entries": "10",
    "max_tries": "5",
    "max_run_time": "2m",
    "max_concurrent": "7",
    "lease": "30s",
}


def given(limits: dict[str, str]) -> list[str]:
    return [word for name, value in limits.items() for word in (f"--{name.replace('_', '-')}", value)]


def test_a_queue_is_made_with_its_limits_and_changed(shop: Folder) -> None:
    added = shop.run("queues", "add", "EMAIL", *given(LIMITS), "--discard-old")
    settings = shop.run("queues", "info", "EMAIL", "--json").json["settings"]
    changed = shop.run("queues", "configure", "EMAIL", "--max-concurrent", "9", "--discard-new", "--json")

    assert (added.status, added.out) == (0, "created EMAIL\n"), added.err
    wanted = {"max_age": 3600, "max_entries": 10, "max_tries": 5, "max_run_time": 120, "lease": 30, "discard_old": True}
    assert settings == settings | wanted | {"max_concurrent": 7}
    assert changed.json["settings"] == settings | {"max_concurrent": 9, "discard_old": False}


def test_a_queue_that_exists_keeps_its_limits(shop: Folder) -> None:
    shop.run("queues", "add", "EMAIL", "--max-tries", "5")

    again = shop.run("queues", "add", "EMAIL", "--max-tries", "6")

    assert (again.status, again.out) == (0, "")
    assert again.err == "The queue EMAIL existed and keeps its limits; change them with: jetq queues configure EMAIL\n"
    assert shop.run("queues", "info", "EMAIL", "--json").json["settings"]["max_tries"] == 5


def test_queues_are_listed_with_what_they_hold(shop: Folder) -> None:
    shop.run("tasks", "add", "add", "--queue", "A")
    shop.run("tasks", "add", "add", "--queue", "B", "--delay", "1h")

    listed = shop.run("queues", "ls")
    told = shop.run("queues", "list", "--json").json["queues"]

    rows = [line.split("\t")[:5] for line in listed.out.splitlines()]
    assert rows == [["A", "1", "1", "0", "0"], ["B", "0", "0", "0", "1"]]
    assert [(queue["name"], queue["items"], queue["scheduled"]) for queue in told] == [("A", 1, 0), ("B", 0, 1)]


@pytest.mark.parametrize("command", ["purge", "delete"])
def test_destroying_asks_unless_it_is_forced(command: str, shop: Folder) -> None:
    shop.run("tasks", "add", "add", "--queue", "A")

    refused = shop.run("queues", command, "A")
    left = shop.run("queues", "info", "A", "--json").json["items"]
    forced = shop.run("queues", command, "A", "--force")

    assert (refused.status, left) == (1, 1)
    assert "Use --force to do it unasked" in refused.err
    assert forced.status == 0, forced.err
    after = shop.run("queues", "list", "--json").json["queues"]
    assert [queue["items"] for queue in after] == ([0] if command == "purge" else [])


def test_the_overview_shows_server_and_namespace(shop: Folder, namespace: str) -> None:
    empty = shop.run("info", "--json").json
    shop.run("tasks", "add", "add")
    full = shop.run("info", "--json").json
    read = shop.run("info")

    assert (empty["namespace"], empty["tasks"], empty["queues"], empty["streams"]) == (namespace, 0, [], [])
    assert (full["tasks"], [queue["name"] for queue in full["queues"]]) == (1, ["DEFAULT"])
    assert full["source"] == "JETQ_NATS_URL"
    assert full["server"].startswith("nats://127.0.0.1:")
    assert f"Namespace\t{namespace}" in read.out.splitlines()


BAD_INPUT = [
    (["info", "NOTHING"], 1, "there is no queue NOTHING; create it with: jetq queues add NOTHING"),
    (["add", "a.b"], 2, "'a.b' is not a legal queue"),
    (["add", "A", "--lease", "1ms"], 2, "expected Queue.lease to be a duration of at least 1 s"),
    (["add", "A", "--storage", "tape"], 2, "expected Queue.storage to be 'file' or 'memory'"),
    (["add", "A", "--replicas", "9"], 2, "expected Queue.replicas to be a whole number from 1 to 5"),
    (["add", "A", "--replicas", "3"], 1, "3 replicas are wanted, and the server is not in a cluster"),
    (["configure", "NOTHING", "--max-tries", "3"], 1, "there is no queue NOTHING"),
    (["configure", "NOTHING"], 2, "expected the limits to be named, such as --max-concurrent 10"),
    (["purge", "NOTHING", "-f"], 1, "there is no queue NOTHING"),
    (["delete", "NOTHING", "-f"], 1, "there is no queue NOTHING"),
]


@pytest.mark.parametrize(("arguments", "status", "sentence"), BAD_INPUT)
def test_bad_input_is_one_sentence(arguments: list[str], status: int, sentence: str, shop: Folder) -> None:
    ended = shop.run("queues", *arguments)

    assert (ended.status, ended.out) == (status, ""), ended.err
    assert sentence in ended.err
    assert "Traceback" not in ended.err


def test_a_queue_is_paused_and_resumed(shop: Folder) -> None:
    shop.run("tasks", "add", "add", "--queue", "A")

    paused = shop.run("queues", "pause", "A")
    listed = shop.run("queues", "list").out.splitlines()
    told = shop.run("queues", "info", "A").out.splitlines()
    limited = shop.run("queues", "pause", "A", "--for", "1h", "--json").json
    resumed = shop.run("queues", "resume", "A")

    assert paused.out == "A is paused until it is resumed; 0 tasks of it run on\n", paused.err
    assert listed[0].split("\t")[6] == "for good"
    assert "Paused until\tit is resumed" in told
    assert (limited["paused"], limited["paused_until"] is None) == (True, False)
    assert resumed.out == "A gives its tasks to workers\n"
    assert not shop.run("queues", "info", "A", "--json").json["paused"]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["NOWHERE"], 1, "NOWHERE"),
        (["A", "--for", "soon"], 2, "a duration such as"),
        (["A", "--for", "0"], 2, "--for"),
    ],
    ids=["unknown", "no_duration", "none"],
)
def test_a_pause_that_cannot_be_is_explained(arguments: list[str], status: int, told: str, shop: Folder) -> None:
    refused = shop.run("queues", "pause", *arguments)

    assert refused.status == status
    assert told in refused.err
    assert "Traceback" not in refused.err
