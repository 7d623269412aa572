"""``jetq tasks add --depends``, and what ``view``, ``cancel`` and ``retry`` make of tasks that wait for others."""

import asyncio

from jetq.app.application import App
from jetq.jetstream.server import EmbeddedServer
from tests.acceptance.programs import Folder


def test_a_task_waits_for_those_that_are_named(shop: Folder) -> None:
    shop.run("tasks", "add", "mail", "--id", "one", "--delay", "1h")
    shop.run("tasks", "add", "mail", "--id", "two", "--delay", "1h")
    added = shop.run("tasks", "add", "mail", "--id", "three", "--depends", "one,two", "--load", "--json")

    assert added.json["state"] == "blocked"
    assert added.json["record"]["pending"] == ["one", "two"]
    assert added.json["record"]["load_dependencies"] is True
    assert "one, two" in shop.run("tasks", "view", "three").out
    assert "three" in shop.run("tasks", "view", "one").out


def test_a_cancelled_task_takes_along_those_that_wait_for_it_and_retry_brings_them_back(shop: Folder) -> None:
    shop.run("tasks", "add", "mail", "--id", "one", "--delay", "1h")
    shop.run("tasks", "add", "mail", "--id", "two", "--depends", "one")
    shop.run("tasks", "cancel", "one")
    assert shop.run("tasks", "view", "two", "--json").json["state"] == "unreachable"

    assert shop.run("tasks", "retry", "one", "--dependents").out == (
        "retried one (cancelled); dependents that wait again: 1\n"
    )

    assert shop.run("tasks", "view", "two", "--json").json["state"] == "blocked"


def test_what_cannot_be_meant_is_said(shop: Folder) -> None:
    unknown = shop.run("tasks", "add", "mail", "--depends", "nobody")
    assert (unknown.status, "cannot depend on nobody" in unknown.err) == (1, True)

    without = shop.run("tasks", "add", "mail", "--load")
    assert (without.status, "--depends" in without.err) == (2, True)


def test_repair_tells_those_that_wait_for_a_task_that_is_gone(
    shop: Folder, server: EmbeddedServer, namespace: str
) -> None:
    async def lose(task_id: str) -> None:
        async with App("loser", servers=server.url, namespace=namespace) as app:
            await (await app.clients.current()).backend.tasks.remove(task_id)

    shop.run("tasks", "add", "mail", "--id", "one", "--delay", "1h")
    shop.run("tasks", "add", "mail", "--id", "two", "--depends", "one")
    asyncio.run(lose("one"))

    assert shop.run("tasks", "repair", "--dry-run").status == 0
    assert shop.run("tasks", "view", "two", "--json").json["state"] == "blocked"
    assert shop.run("tasks", "repair").status == 0
    assert shop.run("tasks", "view", "two", "--json").json["record"]["end"] == "gone"
