"""``jetq worker --health``: how a worker is, for those who run it."""

import json
import re
import socket
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.programs import PATIENCE, Folder, Program

pytestmark = pytest.mark.timeout(120)


def page(worker: Program, path: str) -> tuple[int, Any]:
    worker.await_line("health served")
    url = worker.events("health served")[0]["url"]
    assert url.startswith("http://127.0.0.1:")
    try:
        with urllib.request.urlopen(url + path, timeout=10) as answer:  # noqa: S310 - our own page
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    return status, text if path == "/metrics" else json.loads(text)


def until(worker: Program, path: str, status: int) -> Any:
    end = time.monotonic() + PATIENCE
    while (found := page(worker, path))[0] != status:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found[1]


def test_a_worker_says_how_it_is_also_while_a_handler_blocks_it(shop: Folder, start: Start) -> None:
    worker = start(shop, "worker", "shop:app", "--health", "0", "--log-format", "json", "-c", "3")
    until(worker, "/readyz", 200)
    status, metrics = page(worker, "/metrics")
    shop.run("tasks", "add", "block", "--id", "T1")

    stuck = until(worker, "/readyz", 503)
    alive = page(worker, "/livez")

    assert status == 200
    assert "jetq_slots 3.0" in metrics
    assert "the handler block of task T1 blocks the event loop" in stuck["reasons"][0]
    assert (alive[0], alive[1]["blocked"]["task_id"], alive[1]["blocked"]["task_type"]) == (200, "T1", "block")
    assert "shop.py" in alive[1]["blocked"]["stack"]


def test_a_supervisor_says_how_its_children_are(shop: Folder, start: Start) -> None:
    running = start(shop, "worker", "shop:app", "-p", "2", "--health", "0", "--log-format", "json")
    running.await_line("child ready", count=2)

    ready = until(running, "/readyz", 200)
    live, metrics = page(running, "/livez"), page(running, "/metrics")

    assert (live[0], live[1]["live"]) == (200, True)
    assert len(ready["children"]) == 2
    assert {child["worker"] for child in ready["children"]} >= {running.events("child ready")[0]["worker"]}
    assert "jetq_children" in metrics[1]


@pytest.mark.parametrize("children", [pytest.param((), id="alone"), pytest.param(("-p", "1"), id="supervised")])
def test_a_worker_with_a_scheduler_says_how_both_are(shop: Folder, start: Start, children: tuple[str, ...]) -> None:
    shop.run("cron", "add", "sums", "@every 1s", "add", '{"a": 1, "b": 2}')
    running = start(shop, "worker", "shop:app", "--beat", "--health", "0", "--log-format", "json", *children)
    made = r"^jetq_occurrences_made_total [1-9]"
    end = time.monotonic() + PATIENCE
    while re.search(made, metrics := page(running, "/metrics")[1], re.MULTILINE) is None:
        assert time.monotonic() < end, metrics
        time.sleep(0.1)

    ready = until(running, "/readyz", 200)

    if not children:
        assert (ready["scheduler"]["leads"], ready["scheduler"]["schedules"]) == (True, 1)
    assert "jetq_beat_leader 1.0" in metrics
    assert "jetq_schedules 1.0" in metrics
    assert "jetq_slots 50.0" in metrics


def test_a_port_that_is_taken_is_one_sentence(shop: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = shop.run("worker", "shop:app", "--burst", "--health", str(taken.getsockname()[1]))

    assert ended.status == 1
    assert "address already in use" in ended.err
    assert "Traceback" not in ended.err
