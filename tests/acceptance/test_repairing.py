"""``jetq tasks repair``: what it mends, tells and leaves."""

import asyncio

import pytest

from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.stream_message import purge_subject
from jetq.wire.names import Names
from tests.acceptance.programs import Folder

NOW = "--patience=0"


def lose_item(server: EmbeddedServer, namespace: str) -> None:
    """Empty the default queue, as the death of a producer would have left it."""

    async def purge() -> None:
        names = Names(namespace)
        async with await Connection.open(server.address, name="test") as connection:
            await purge_subject(connection, names.queue("DEFAULT"), names.items_subject("DEFAULT"))

    asyncio.run(purge())


@pytest.fixture
def lost(shop: Folder, server: EmbeddedServer, namespace: str) -> Folder:
    """Give a shop with one task that has no item."""
    shop.run("tasks", "add", "add", '{"a": 1, "b": 2}', "--id", "lost")
    lose_item(server, namespace)
    return shop


def test_a_task_without_item_is_mended_and_runs(lost: Folder) -> None:
    repaired = lost.run("tasks", "repair", NOW)

    assert (repaired.status, repaired.out) == (0, "lost\tDEFAULT\tit had no item in its queue\n")
    assert repaired.err == "read 1 records; 1 mended\n"
    lost.run("worker", "shop", "--burst")
    assert lost.run("tasks", "view", "lost", "--json").json["state"] == "complete"


def test_a_dry_run_changes_nothing(lost: Folder) -> None:
    for _ in range(2):
        told = lost.run("tasks", "repair", NOW, "--dry-run", "--json")
        assert told.json == {
            "dry_run": True,
            "records": 1,
            "repairs": {"item": 1},
            "missed": 0,
            "complete": True,
            "tasks": [{"task_id": "lost", "queue": "DEFAULT", "kind": "item"}],
        }
    assert lost.run("tasks", "view", "lost", "--json").json["places"] == []


def test_what_changed_a_moment_ago_is_left_alone(lost: Folder) -> None:
    assert lost.run("tasks", "repair").err == "read 1 records; 0 mended\n"


def test_a_task_whose_item_was_removed_does_not_end_here(shop: Folder, server: EmbeddedServer, namespace: str) -> None:
    shop.run("tasks", "add", "add", "--id", "purged")
    shop.run("tasks", "repair", NOW)
    lose_item(server, namespace)

    for _ in range(3):
        repaired = shop.run("tasks", "repair", NOW)
        assert repaired.out == ""
        assert "the items of 1 tasks were removed; a worker's janitor ends these tasks\n" in repaired.err
    assert shop.run("tasks", "view", "purged", "--json").json["state"] == "new"


def test_bad_patience_is_one_sentence(shop: Folder) -> None:
    refused = shop.run("tasks", "repair", "--patience", "soon")

    assert refused.status == 2
    assert "--patience" in refused.err


def test_a_namespace_without_tasks_is_one_sentence(shop: Folder) -> None:
    refused = shop.run("tasks", "repair")

    assert refused.status == 1
    assert "there is no task store" in refused.err
