"""Flows at the command line: shown, listed, watched and cancelled."""

import asyncio
import json
import sys

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.model.dependency import Edge
from tests.acceptance.programs import Ended, Folder
from tests.integration.flows import node, submit

if sys.platform == "win32":
    pytest.skip("needs pseudo-terminals", allow_module_level=True)

from tests.acceptance.test_screens import COLOR, at_terminal

pytestmark = pytest.mark.timeout(120)  # a dozen programs start, on whatever machine

NODES = (
    node("extract", task_type="add", payload=b'{"a":1,"b":2}'),
    node("load-eu", 0, task_type="fail"),
    node("load-us", 0, task_type="add", payload=b'{"a":1,"b":2}'),
    node("merge", 1, 2, task_type="add", payload=b'{"a":1,"b":2}'),
    node("publish", 3, task_type="add", payload=b'{"a":1,"b":2}'),
    node("notify", 3, task_type="add", payload=b'{"a":1,"b":2}'),
)


def submitted(shop: Folder, *nodes: object, name: str = "nightly") -> str:
    """Submit a flow with the application of the folder, and return its id."""

    async def work() -> str:
        app = App("shop", servers=shop.environment["JETQ_NATS_URL"], namespace=shop.environment["JETQ_NAMESPACE"])
        try:
            return (await submit(app, *(nodes or NODES), name=name)).id  # type: ignore[arg-type]
        finally:
            await app.aclose()

    return asyncio.run(work())


def failed(shop: Folder, *arguments: str, status: int) -> Ended:
    ended = shop.run(*arguments)
    assert ended.status == status
    return ended


def test_a_flow_is_shown_as_a_tree_that_fits(shop: Folder) -> None:
    flow_id = submitted(shop)
    _, before = at_terminal(shop, "flow", "show", flow_id)
    assert "6 (5 blocked, 1 new)" in before
    assert "load-eu, load-us" in before  # what merge waits for
    shop.run("worker", "shop", "--burst", "-Q", "DEFAULT")
    for width in (80, 140):
        status, shown = at_terminal(shop, "flow", "show", flow_id, width=width)
        lines = COLOR.sub("", shown).splitlines()
        assert status == 0
        assert max(map(len, lines)) <= width
        tree = [line.split()[: 3 if "─" in line or "↓" in line else 2] for line in lines[7:13]]
        assert tree == [
            ["extract", "complete"],
            ["├─", "load-eu", "expired"],
            ["└─", "load-us", "complete"],
            ["↓", "merge", "unreachable"],
            ["├─", "publish", "unreachable"],
            ["└─", "notify", "unreachable"],
        ]
        assert "load-eu expired" in shown  # why merge is unreachable
        assert "ValueError: no luck" in shown
        assert flow_id in shown


def test_other_programs_get_lines_json_or_dot(shop: Folder) -> None:
    flow_id = submitted(shop)
    lines = shop.run("flow", "show", flow_id).out.splitlines()
    assert lines[-6].split("\t")[:3] == ["extract", "new", "0/1"]
    found = json.loads(shop.run("flow", "show", flow_id, "--json").out)
    assert (found["id"], found["name"], found["state"]) == (flow_id, "nightly", "running")
    assert found["counts"] == {"new": 1, "blocked": 5}
    merge = found["tasks"][3]
    assert merge["name"] == "merge"
    assert merge["after"] == merge["waits_for"] == ["load-eu", "load-us"]
    dot = shop.run("flow", "show", flow_id, "--dot").out
    assert '"load-eu" -> "merge"' in dot
    assert dot.startswith('digraph "nightly" {')
    assert failed(shop, "flow", "show", flow_id, "--dot", "--json", status=2).err.startswith(
        "jetq: expected the format"
    )


def test_what_a_task_waits_for_elsewhere_is_told_by_its_id(shop: Folder) -> None:
    shop.run("tasks", "add", "add", "--id", "elsewhere", "--delay", "1h")
    waits = node("b", 0, task_type="add")
    flow_id = submitted(shop, node("a", task_type="add"), replace(waits, parents=(*waits.parents, Edge("elsewhere"))))
    assert shop.run("flow", "show", flow_id).out.splitlines()[-1].split("\t")[4] == "a, elsewhere"
    assert shop.run("flow", "show", flow_id, "--json").json["tasks"][1]["waits_for"] == ["a", "elsewhere"]
    shop.run("tasks", "cancel", "elsewhere")
    last = shop.run("flow", "show", flow_id).out.splitlines()[-1].split("\t")
    assert last[1] == "unreachable"
    assert "elsewhere" in last[4]


def test_a_flow_of_very_many_is_summed_up(shop: Folder) -> None:
    flow_id = submitted(shop, *(node(f"n{number}", task_type="add") for number in range(500)))
    _, shown = at_terminal(shop, "flow", "show", flow_id)
    assert "… 492 more" in shown
    assert "492 new" in shown
    assert len(shown.splitlines()) < 25
    assert "--all shows them" in shown
    _, shown = at_terminal(shop, "flow", "show", flow_id, "--all")
    assert len(shown.splitlines()) > 500


def test_flows_are_listed_cancelled_and_watched(shop: Folder) -> None:
    first, second = submitted(shop, name="one"), submitted(shop, name="two")
    assert failed(shop, "flow", "cancel", first, status=1).err.startswith("jetq: not done")
    assert shop.run("flow", "cancel", first, "--yes").out == "cancelled 6\n"
    listed = [line.split("\t") for line in shop.run("flow", "list").out.splitlines()]
    assert [row[:6] for row in listed] == [
        [second, "two", "running", "6", "0", "0"],
        [first, "one", "cancelled", "6", "0", "6"],
    ]
    assert json.loads(shop.run("flow", "list", "--json", "-l", "1").out)["total"] == 2
    watched = failed(shop, "flow", "watch", first, status=1)
    assert "cancelled (6 cancelled)" in watched.err
    assert json.loads(shop.run("flow", "cancel", first, "-y", "--json").out)["ended"] == 6


def test_tasks_are_found_by_their_flow(shop: Folder) -> None:
    flow_id = submitted(shop)
    shop.run("tasks", "add", "add")
    listed = shop.run("tasks", "list", "--flow", flow_id).out.splitlines()
    assert len(listed) == 6
    assert f"Flow\t{flow_id}" in shop.run("tasks", "view", listed[0].split("\t")[0]).out.splitlines()
    report = json.loads(shop.run("tasks", "cancel", "--flow", flow_id, "--dry-run", "--json").out)
    assert report["matched"] == 6


def test_a_flow_that_is_not_there_is_told_in_one_sentence(shop: Folder) -> None:
    shop.run("queues", "list")
    for command in ("show", "cancel", "watch"):
        told = failed(shop, "flow", command, "nonsense", *(["-y"] if command == "cancel" else []), status=1)
        assert told.err.startswith("jetq: there is no flow nonsense; it never existed")
        assert told.err.count("\n") == 1
    assert failed(shop, "flow", "show", "no.name", status=2).err.startswith("jetq: 'no.name' is not a legal flow id")
    assert shop.run("flow", "list").out == ""
