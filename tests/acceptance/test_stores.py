"""``jetq tasks``: initialize, configure and purge."""

import asyncio

import pytest

from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from tests.acceptance.programs import Ended, Folder
from tests.integration import golayout


def done(shop: Folder, *arguments: str) -> Ended:
    ended = shop.run("tasks", *arguments)
    assert ended.status == 0, ended.err
    return ended


def test_a_store_is_created_and_one_that_exists_is_shown(shop: Folder) -> None:
    made = done(shop, "initialize", "--memory", "--retention", "48h")
    again = done(shop, "initialize", "--retention", "1h")
    told = done(shop, "init", "--json").json

    assert made.out.startswith("created ")
    fields = dict(line.split("\t") for line in made.out.splitlines()[1:])
    assert (fields["Stored"], fields["Complete kept"], fields["Others kept"]) == ("memory, 1 replica", "2d", "2d")
    assert "existed and keeps its settings; change them with: jetq tasks configure" in again.err
    assert "Complete kept\t2d\n" in again.out
    assert (told["created_now"], told["storage"], told["complete_kept"]) == (False, "memory", 172_800)


def test_what_is_not_named_stays(shop: Folder) -> None:
    done(shop, "initialize", "--retention", "48h")

    done(shop, "configure", "--ended-kept", "72h")
    store = done(shop, "configure", "--complete-kept", "0", "--json").json

    assert (store["complete_kept"], store["ended_kept"]) == (86_400, 259_200)


def test_another_retention_counts_for_tasks_that_end_from_then_on(shop: Folder) -> None:
    done(shop, "initialize")
    done(shop, "configure", "--retention", "1s")
    shop.run("tasks", "add", "add", '{"a": 1, "b": 2}', "--id", "short")
    shop.run("worker", "shop", "--burst", "-Q", "DEFAULT")

    while shop.run("tasks", "view", "short").status == 0:
        pass


def test_a_shorter_age_limit_of_a_store_of_go_is_asked_about(
    shop: Folder, server: EmbeddedServer, namespace: str
) -> None:
    async def make() -> None:
        async with await Connection.open(server.address, name="go") as connection:
            await golayout.make_store(connection, namespace, max_age=24 * 3600 * golayout.SECOND)

    asyncio.run(make())

    asked = shop.run("tasks", "configure", "--retention", "1h")
    longer = done(shop, "configure", "--retention", "48h")
    shorter = done(shop, "configure", "--retention", "1h", "--yes")

    assert asked.status == 1
    assert "drops every record at an age, also of tasks that wait. At once those older than 1h?" in asked.err
    assert "Max age\t2d\n" in longer.out
    assert "Max age\t1h\n" in shorter.out
    assert "The store drops every record 1h after it was last written, in any state." in shorter.err


def test_events_are_kept_from_then_on(shop: Folder) -> None:
    done(shop, "initialize")

    assert "Events kept\t1d\n" in done(shop, "configure", "--events-kept", "24h").out

    shop.run("tasks", "add", "add", "--id", "one")
    assert "new" in done(shop, "history", "one").out


def test_events_are_kept_from_the_beginning_and_no_more_when_that_is_wanted(shop: Folder) -> None:
    assert "Events kept\t1d\n" in done(shop, "initialize", "--events-kept", "24h").out
    shop.run("tasks", "add", "add", "--id", "one")
    assert "Events kept\t1d\n" in done(shop, "initialize", "--events-kept", "48h").out

    asked = shop.run("tasks", "configure", "--events-kept", "0")
    off = done(shop, "configure", "--events-kept", "0", "--yes")
    again = done(shop, "configure", "--events-kept", "0")

    assert asked.status == 1
    assert "nobody can be asked: Remove the events of the last 1d, and keep no more?" in asked.err
    assert "Events kept\tno\n" in off.out
    assert "Events kept\tno\n" in again.out
    assert shop.run("tasks", "history", "one").status == 1


def test_a_purge_removes_every_task_and_leaves_the_queues(shop: Folder) -> None:
    shop.run("tasks", "add", "add", "--id", "one")
    shop.run("tasks", "add", "add", "--id", "two", "--delay", "1h")

    refused = shop.run("tasks", "purge")
    purged = done(shop, "purge", "--force")

    assert refused.status == 1
    assert "nobody can be asked: Remove 2 tasks of " in refused.err
    assert purged.out == "removed 2 tasks, with 1 items, 1 schedules and 0 keys\n"
    assert done(shop, "list").out == ""
    queue = shop.run("queues", "info", "DEFAULT", "--json").json
    assert (queue["items"], queue["scheduled"]) == (0, 0)


def test_a_purge_with_filters_is_a_delete(shop: Folder) -> None:
    shop.run("tasks", "add", "add", "--id", "one")
    shop.run("tasks", "add", "add", "--id", "two", "--delay", "1h")

    report = done(shop, "purge", "--state", "scheduled", "--yes", "--json").json

    assert (report["operation"], report["done"]) == ("delete", 1)
    assert [line.split("\t")[0] for line in done(shop, "list").out.splitlines()] == ["one"]


def test_the_copies_of_a_queue_can_be_changed_where_there_is_a_cluster(shop: Folder) -> None:
    shop.run("queues", "add", "Q")

    ended = shop.run("queues", "configure", "Q", "--replicas", "3")

    assert ended.status == 1
    assert "replicas > 1 not supported in non-clustered mode" in ended.err


BAD_INPUT = [
    (["configure"], 2, "expected the settings to be named, such as --retention 48h"),
    (["configure", "--retention", "soon"], 2, "expected --retention to be a duration"),
    (["configure", "--retention", "100ms"], 2, "expected retention to be 0, or a duration of at least 1 s"),
    (["configure", "--replicas", "0"], 2, "expected replicas to be a whole number from 1 to 5, got: 0"),
    (["configure", "--replicas", "9"], 2, "expected replicas to be a whole number from 1 to 5, got: 9"),
    (["configure", "--complete-kept", "1h"], 1, "there is no task store; jetq tasks initialize creates it"),
    (["configure", "--retention", "1h"], 1, "there is no task store; jetq tasks initialize creates it"),
    (["initialize", "--replicas", "3"], 1, "3 replicas are wanted, and the server is not in a cluster"),
    (["initialize", "--replicas", "7"], 2, "expected replicas to be a whole number from 1 to 5"),
    (["purge", "--force"], 1, "there is no task store"),
    (["purge"], 1, "there is no task store"),
    (["purge", "--state", "x"], 2, "expected state to be one of"),
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
