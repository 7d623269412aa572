"""A worker's metrics, as Prometheus scrapes them."""

import socket
import urllib.request

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.programs import Folder, Program

pytestmark = pytest.mark.timeout(120)


def scrape(worker: Program) -> dict[str, float]:
    worker.await_line("metrics served")
    [served] = worker.events("metrics served")
    assert served["url"].startswith("http://127.0.0.1:")
    with urllib.request.urlopen(served["url"], timeout=10) as answer:  # noqa: S310 - our own page
        lines = answer.read().decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_a_worker_serves_what_it_did(shop: Folder, start: Start) -> None:
    worker = start(shop, "worker", "shop:app", "--metrics", "0", "--concurrency", "7")
    worker.await_line("worker started")
    assert shop.run("tasks", "add", "add", '{"a":1,"b":2}', "--wait").status == 0
    assert shop.run("tasks", "add", "fail", "{}", "--max-tries", "1", "--wait").status == 1

    found = scrape(worker)

    done = 'jetq_tasks_processed_total{outcome="succeeded",queue="DEFAULT",type="add"}'
    failed = 'jetq_tasks_processed_total{outcome="failed",queue="DEFAULT",type="fail"}'
    assert (found[done], found[failed]) == (1, 1)
    assert found['jetq_task_updates_total{state="complete"}'] == 1
    assert found['jetq_task_wait_seconds_count{queue="DEFAULT"}'] == 2
    assert found['jetq_task_duration_seconds_count{queue="DEFAULT",type="add"}'] == 1
    assert (found["jetq_slots"], found["jetq_tasks_running"]) == (7, 0)
    assert [found[f'jetq_connection_up{{connection="{name}"}}'] for name in ("worker", "lease")] == [1, 1]
    assert found["process_open_fds"] > 0
    assert worker.stop() == 0


def test_a_worker_answers_while_a_handler_blocks_its_loop(shop: Folder, start: Start) -> None:
    worker = start(shop, "worker", "shop:app", "--metrics", "0", "--log-level", "debug")
    shop.run("tasks", "add", "block", "{}")
    worker.await_line("task started")

    assert scrape(worker)["jetq_tasks_running"] == 1


def test_nothing_listens_unless_it_is_asked_for(shop: Folder) -> None:
    assert "metrics" not in shop.run("worker", "shop:app", "--burst").err


def test_a_port_that_is_taken_is_one_sentence(shop: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = shop.run("worker", "shop:app", "--burst", "--metrics", str(taken.getsockname()[1]))

    assert ended.status == 1
    assert "Traceback" not in ended.err
    assert "jetq: cannot listen on 127.0.0.1:" in ended.err
    assert shop.run("worker", "shop:app", "--metrics", "x").status == 2
