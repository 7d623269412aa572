"""``jetq workers``, with real ones."""

import time

import pytest

from jetq import App
from tests.acceptance.conftest import Start
from tests.acceptance.programs import PATIENCE, Folder

pytestmark = pytest.mark.timeout(120)  # a dozen programs start, on whatever machine


def enqueue(folder: Folder, task_type: str, payload: object = None) -> str:
    app = App("shop", servers=folder.variables["JETQ_NATS_URL"], namespace=folder.variables["JETQ_NAMESPACE"])
    task_id = app.enqueue(task_type, payload).id
    app.close()
    return task_id


def test_a_worker_is_seen_asked_and_stopped(shop: Folder, start: Start) -> None:
    worker = start(shop, "worker", "shop", "-Q", "DEFAULT", "--log-format", "json")
    worker.await_line("worker started")
    task = enqueue(shop, "wait-for", {"path": "flag"})
    until = time.monotonic() + PATIENCE
    while not (listed := shop.run("workers", "list", "--json").json["workers"])[0]["tasks"]:
        assert time.monotonic() < until
    [info] = listed
    rows = shop.run("workers", "ls").out.splitlines()
    pinged = shop.run("workers", "ping", "--json")
    inspected = shop.run("workers", "inspect", info["worker"][-6:], "--json").json
    shown = shop.run("workers", "inspect", info["worker"]).out
    quiet = shop.run("workers", "quiet", info["worker"])
    stopped = shop.run("workers", "stop", info["worker"])
    (shop.path / "flag").touch()

    assert (info["pid"], info["queues"], info["slots"], info["state"]) == (
        worker.process.pid,
        ["DEFAULT"],
        50,
        "working",
    )
    assert info["version"].startswith("jetq ")
    assert rows[0].split("\t")[:1] == [info["worker"]]
    assert pinged.status == 0
    assert 0 < pinged.json["workers"][0]["ms"] < 2000
    assert [(each["id"], each["type"], each["attempt"]) for each in inspected["tasks"]] == [(task, "wait-for", 1)]
    assert task in shown
    assert quiet.out == f"{info['worker']} takes no more tasks; 1 task of it runs on\n"
    assert stopped.out == f"{info['worker']} stops; 1 task of it runs on\n"
    assert worker.await_end() == 0
    assert len(worker.events("worker takes no more tasks")) == 1
    assert shop.run("workers", "list").out == ""


def test_an_unknown_worker_is_told_with_those_that_it_may_be(shop: Folder, start: Start) -> None:
    worker = start(shop, "worker", "shop", "--log-format", "json")
    worker.await_line("worker started")
    known = worker.events("worker started")[0]["worker"]

    for command in ("inspect", "quiet", "stop", "ping"):
        refused = shop.run("workers", command, known[:-1] + ("0" if known[-1] != "0" else "1"))
        assert refused.status == 1
        assert f"did you mean {known}?" in refused.err
        assert "Traceback" not in refused.err


def test_without_workers_a_ping_fails(shop: Folder) -> None:
    pinged = shop.run("workers", "ping")

    assert (pinged.status, pinged.out) == (1, "")


def test_a_worker_with_a_supervisor_is_replaced_when_it_is_told_to_stop(shop: Folder, start: Start) -> None:
    running = start(shop, "worker", "shop", "-p", "1", "--log-format", "json")
    running.await_line("child ready")
    known = running.events("child ready")[0]["worker"]

    stopped = shop.run("workers", "stop", known)
    running.await_line("child ready", count=2)

    assert stopped.status == 0, stopped.err
    assert [event["reason"] for event in running.events("child is replaced")] == ["stopped"]
    assert [event["level"] for event in running.events("child ended")] == ["info"]
