"""``jetq dev``: a server that stays, and a worker that follows the code."""

import json
import os
import signal
import socket
import time
import urllib.request

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.programs import PATIENCE, Folder, Program

pytestmark = pytest.mark.timeout(120)  # a dozen programs start, on whatever machine

ADD = ("tasks", "add", "add", '{"a": 5, "b": 2}', "--wait")


def dev(start: Start, folder: Folder) -> Program:
    program = start(folder, "dev", "shop:app", "--log-format", "json")
    program.await_line("worker started")
    return program


def change(folder: Folder, before: str, after: str) -> None:
    path = folder.path / "shop.py"
    path.write_text(path.read_text().replace(before, after))


def await_gone(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    while os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
        assert time.monotonic() < until, f"process {pid} is still there"
        time.sleep(0.02)


def test_it_runs_tasks_and_follows_the_code(start: Start, folder: Folder) -> None:
    running = dev(start, folder)
    assert folder.run(*ADD).out == "7\n"

    change(folder, "a + b", "a - b")
    running.await_line("worker started", count=2)

    assert folder.run(*ADD).out == "3\n"
    assert running.stop() == 0
    assert len(running.events("server started")) == 1


def test_it_serves_metrics_on_one_port_whenever_the_code_changes(start: Start, folder: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = start(folder, "dev", "shop:app", "--log-format", "json", "--metrics", str(port))
    for count in (1, 2):
        running.await_line("metrics served", count=count)
        running.await_line("worker started", count=count)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert b'jetq_connection_up{connection="worker"} 1.0' in answer.read()
        if count == 1:
            change(folder, "a + b", "a - b")

    assert running.stop() == 0
    assert folder.run("dev", "shop:app", "--metrics", "x").status == 2


def test_it_waits_for_code_that_can_be_loaded(start: Start, folder: Folder) -> None:
    running = dev(start, folder)

    change(folder, "def add", "def (add")
    running.await_line("SyntaxError")
    running.await_line("worker ended; it starts again when the code changes")
    change(folder, "def (add", "def add")
    running.await_line("worker started", count=2)

    assert folder.run(*ADD).out == "7\n"
    assert running.stop() == 0


def test_what_it_stored_is_there_the_next_time(start: Start, folder: Folder) -> None:
    first = dev(start, folder)
    folder.run("tasks", "add", "add", '{"a": 1, "b": 1}', "--id", "kept", "--wait")
    assert first.stop() == 0

    second = dev(start, folder)
    viewed = folder.run("tasks", "view", "kept", "--json")
    second.stop()

    assert (viewed.status, viewed.json["result"]) == (0, 2), viewed.err


def test_a_second_one_in_the_same_folder_is_refused(start: Start, folder: Folder) -> None:
    dev(start, folder)

    second = folder.run("dev", "shop:app")

    assert second.status == 3
    assert "is in use by another embedded server" in second.err.splitlines()[-1]


def test_it_uses_its_own_server_whatever_the_code_and_the_environment_say(start: Start, folder: Folder) -> None:
    change(folder, 'App("shop", ', 'App("shop", servers="nats://127.0.0.1:1", ')
    running = dev(start, folder.using(NATS_URL="nats://127.0.0.1:1"))

    assert folder.run(*ADD).out == "7\n"
    assert running.stop() == 0


@pytest.mark.faults
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")  # noqa: PTH112
def test_nothing_outlives_it_when_it_is_killed(start: Start, folder: Folder) -> None:
    running = dev(start, folder)
    server = json.loads((folder.path / ".jetq" / "server.json").read_bytes())["pid"]
    [children] = [line.split() for line in _children(running.process.pid)]

    running.signal(signal.SIGKILL)
    running.process.wait()

    for pid in (server, *map(int, children)):
        await_gone(pid)


def _children(pid: int) -> list[str]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123
        return [file.read()]
