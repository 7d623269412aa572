"""``jetq worker --processes N``: children that come back, a service that stops in order."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jetq import App
from tests.acceptance.conftest import Start
from tests.acceptance.programs import PATIENCE, Folder, Program
from tests.acceptance.test_metrics import scrape

pytestmark = pytest.mark.timeout(120)  # a dozen programs start, on whatever machine

READY = "child ready"
CONTAINER = ("unshare", "--pid", "--fork", "--kill-child")
SHOP = """
import asyncio, os, pathlib, time
from jetq import App, Context, Queue

app = App("shop", queues=[Queue("DEFAULT", lease=60)])

def note(word: str, ctx: Context) -> None:
    with open("notes", "a") as file:
        file.write(f"{word} {ctx.task_id} {ctx.attempt} {os.getpid()}\\n")

@app.task("pid")
def pid() -> int:
    return os.getpid()

@app.task("add")
def add(a: int, b: int) -> int:
    return a + b

@app.task("wait-for")
async def wait_for(ctx: Context, path: str) -> int:
    note("start", ctx)
    while not pathlib.Path(path).exists():
        await asyncio.sleep(0.01)
    note("end", ctx)
    return os.getpid()

@app.task("block", timeout=1)
async def block(ctx: Context, path: str) -> None:
    note("start", ctx)
    while ctx.attempt == 1:
        time.sleep(0.1)
"""


@pytest.fixture
def patient(shop: Folder) -> Folder:
    """Give a folder whose application has leases that outlast every test."""
    (shop.path / "shop.py").write_text(SHOP)
    return shop


def supervisor(start: Start, folder: Folder, *options: str, processes: int = 2) -> Program:
    program = start(folder, "worker", "shop:app", "-p", str(processes), "--log-format", "json", *options)
    program.await_line(READY, count=processes)
    return program


def pids(running: Program) -> list[int]:
    return [event["pid"] for event in running.events(READY)]


def notes(folder: Folder, word: str) -> list[list[str]]:
    path = folder.path / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split()[1:] for line in lines if line.startswith(f"{word} ")]


def await_notes(folder: Folder, word: str, count: int = 1) -> list[list[str]]:
    until = time.monotonic() + PATIENCE
    while len(found := notes(folder, word)) < count:
        assert time.monotonic() < until, f"not {count} times {word!r}"
        time.sleep(0.01)
    return found


def await_gone(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until, f"process {pid} is still there"
        time.sleep(0.02)


def add_waiting(folder: Folder, count: int = 1, door: str = "door") -> None:
    payload = json.dumps({"path": door})
    for number in range(count):
        added = folder.run("tasks", "add", "wait-for", payload, "--id", f"waiting-{number}")
        assert added.status == 0, added.err


def record(folder: Folder, task_id: str) -> dict[str, object]:
    found: dict[str, object] = folder.run("tasks", "view", task_id, "--json").json["record"]
    return found


def test_children_share_the_work_and_stop_in_order(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient)
    for _ in range(2):
        assert patient.run("tasks", "add", "add", '{"a": 1, "b": 2}', "--wait").out == "3\n"

    assert running.stop() == 0
    assert len(running.events("worker stopped")) == 2
    assert [event["how"] for event in running.events("child ended")] == ["ended with status 0"] * 2
    assert running.events("supervisor stopped")[0]["status"] == 0


@pytest.mark.nightly  # tests/faults/test_supervisors.py shows it in every run
def test_a_killed_childs_task_runs_in_its_sibling_long_before_its_lease_ends(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient)
    add_waiting(patient)
    [[_, _, pid]] = await_notes(patient, "start")
    before = time.monotonic()
    os.kill(int(pid), signal.SIGKILL)
    _, [_, attempt, second] = await_notes(patient, "start", 2)
    took = time.monotonic() - before
    (patient.path / "door").touch()
    await_notes(patient, "end")
    running.await_line(READY, count=3)

    assert running.stop() == 0
    assert (attempt, second != pid) == ("2", True)
    assert took < 2.0  # a fraction of that, on a machine that is not busy with other tests
    assert running.events("child ended")[0]["how"] == "was killed by SIGKILL"
    kept = record(patient, "waiting-0")
    assert (kept["state"], kept["tries"], kept["crashes"]) == ("complete", 2, 1)


def test_an_only_childs_task_runs_in_the_next_one(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient, processes=1)
    add_waiting(patient)
    [[_, _, pid]] = await_notes(patient, "start")
    os.kill(int(pid), signal.SIGKILL)
    running.await_line("runs of a dead child handed over")
    await_notes(patient, "start", 2)
    (patient.path / "door").touch()
    await_notes(patient, "end")

    assert running.stop() == 0


def test_a_handler_that_blocks_beyond_its_limit_is_ended_with_its_child(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient, processes=1)
    patient.run("tasks", "add", "block", '{"path": ""}', "--id", "blocks")
    running.await_line("event loop is blocked")
    running.await_line(READY, count=2)
    await_notes(patient, "start", 2)

    assert running.stop() == 0
    [blocked] = [event for event in running.events("event loop is blocked") if event["task_id"]][:1]
    assert (blocked["task_id"], blocked["task_type"]) == ("blocks", "block")
    assert "in block" in blocked["exception"]
    [replaced] = running.events("child is replaced")
    assert replaced["reason"] == "overdue"
    assert replaced["detail"].startswith("block blocks runs on 1")


@pytest.mark.nightly  # tests/faults/test_supervisors.py shows it in every run
def test_a_process_that_was_frozen_for_a_while_blames_no_handler(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient, processes=1)
    add_waiting(patient)
    await_notes(patient, "start")
    [pid] = pids(running)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(3)
    os.kill(pid, signal.SIGCONT)
    time.sleep(1.5)
    (patient.path / "door").touch()

    assert running.stop() == 0
    assert running.events("event loop is blocked") == []


@pytest.mark.nightly  # tests/faults/test_supervisors.py shows it in every run
def test_a_killed_supervisors_children_finish_what_runs_and_stop(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient)
    add_waiting(patient, 2)
    await_notes(patient, "start", 2)
    running.process.kill()
    running.await_line("the supervisor is gone; this worker stops", count=2)
    (patient.path / "door").touch()
    for pid in pids(running):
        await_gone(pid)

    assert len(notes(patient, "end")) == 2
    assert [record(patient, f"waiting-{number}")["tries"] for number in range(2)] == [1, 1]


def test_hup_brings_new_code_and_keeps_what_runs(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient)
    add_waiting(patient)
    await_notes(patient, "start")
    path = patient.path / "shop.py"
    path.write_text(path.read_text().replace("return a + b", "return a - b  # changed"))
    running.signal(signal.SIGHUP)
    running.await_line(READY, count=3)
    (patient.path / "door").touch()
    running.await_line("rolling restart done")

    assert patient.run("tasks", "add", "add", '{"a": 5, "b": 2}', "--wait").out == "3\n"
    assert running.stop() == 0
    assert len(running.events("child is replaced")) == 2
    assert record(patient, "waiting-0")["tries"] == 1


def test_code_that_cannot_be_loaded_leaves_the_old_children(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient)
    path = patient.path / "shop.py"
    path.write_text(path.read_text().replace("def add", "def (add"))
    running.signal(signal.SIGHUP)
    running.await_line("rolling restart given up")

    assert "SyntaxError" in running.output
    assert patient.run("tasks", "add", "add", '{"a": 5, "b": 2}', "--wait").out == "7\n"
    assert running.stop() == 0


def test_reload_follows_the_code(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient, "--reload", processes=1)
    path = patient.path / "shop.py"
    time.sleep(1.2)  # where nothing tells of changes, files are looked at once a second
    path.write_text(path.read_text().replace("return a + b", "return a - b  # changed"))
    running.await_line("rolling restart done")

    assert patient.run("tasks", "add", "add", '{"a": 5, "b": 2}', "--wait").out == "3\n"
    assert running.stop() == 0


def test_a_signal_to_the_whole_group_interrupts_nothing(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient)
    add_waiting(patient, 2)
    await_notes(patient, "start", 2)
    running.signal(signal.SIGTERM)
    for pid in pids(running):
        os.kill(pid, signal.SIGTERM)
    running.await_line("worker stopping", count=2)
    (patient.path / "door").touch()

    assert running.await_end() == 0
    assert [event["released"] for event in running.events("worker stopped")] == [0, 0]


def test_a_second_signal_gives_back_what_runs(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient, "--shutdown-timeout", "1h")
    add_waiting(patient, 2)
    await_notes(patient, "start", 2)
    running.signal(signal.SIGINT)
    running.await_line("worker stopping", count=2)
    running.signal(signal.SIGINT)

    assert running.await_end() == 0
    assert sum(event["released"] for event in running.events("worker stopped")) == 2
    assert [record(patient, f"waiting-{number}")["tries"] for number in range(2)] == [0, 0]


def test_a_third_signal_ends_everything(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient)
    patient.run("tasks", "add", "block", '{"path": ""}')
    await_notes(patient, "start")
    for count in (1, 2, 3):
        running.signal(signal.SIGTERM)
        running.await_line('"signal": "SIGTERM"', count=count)

    assert running.await_end() == 1
    for pid in pids(running):
        await_gone(pid)


def test_a_child_is_replaced_after_its_tasks_and_its_numbers_stay(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient, "--max-tasks-per-child", "20", "--metrics", "0")
    app = App("p", servers=patient.variables["JETQ_NATS_URL"], namespace=patient.variables["JETQ_NAMESPACE"])
    app.enqueue_many([("add", {"a": number, "b": 1}) for number in range(60)])
    app.close()
    running.await_line("child is replaced")
    running.await_line("child ended")
    until = time.monotonic() + PATIENCE
    done = 'jetq_tasks_processed_total{outcome="succeeded",queue="DEFAULT",type="add"}'
    while (found := scrape(running)).get(done) != 60:
        assert time.monotonic() < until, found
        time.sleep(0.1)

    assert found['jetq_child_restarts_total{reason="max_tasks"}'] >= 1
    assert found['jetq_child_restarts_total{reason="crash"}'] == 0
    assert found['jetq_connection_up{connection="worker"}'] == 1
    assert running.stop() == 0


def test_one_child_is_the_janitor_and_another_one_follows_it_at_once(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient)
    running.await_line("leader elected")
    [first] = running.events("leader elected")
    workers = {event["worker"] for event in running.events(READY)}
    running.signal(signal.SIGHUP)
    running.await_line(READY, count=4)
    began = time.monotonic()
    running.await_line("leader elected", count=2)
    second = running.events("leader elected")[1]

    assert time.monotonic() - began < 8  # an election of which nobody steps down takes ten seconds
    assert first["leader"] in workers
    assert second["leader"] in {event["worker"] for event in running.events(READY)} - {first["leader"]}


def test_the_metrics_of_all_children_add_up(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient, "--metrics", "0", "-c", "7")

    found = scrape(running)
    assert (found["jetq_slots"], found["jetq_children"]) == (14, 2)
    assert running.stop() == 0


def test_in_burst_mode_it_ends_when_the_queues_are_empty(patient: Folder) -> None:
    for _ in range(3):
        patient.run("tasks", "add", "add", '{"a": 1, "b": 2}')

    ended = patient.run("worker", "shop", "--burst", "-p", "2")

    assert ended.status == 0, ended.err
    listed = patient.run("tasks", "list", "--json").json["tasks"]
    assert [entry["state"] for entry in listed] == ["complete"] * 3


def test_it_brings_its_server_along(start: Start, folder: Folder) -> None:
    running = supervisor(start, folder, "--embedded")

    assert folder.run("tasks", "add", "add", '{"a": 1, "b": 2}', "--wait").out == "3\n"
    assert running.stop() == 0
    assert len(running.events("server started")) == 1
    assert not (folder.path / ".jetq" / "server.json").exists()


def test_a_second_one_with_the_same_pid_file_is_refused(start: Start, patient: Folder) -> None:
    running = supervisor(start, patient, "--pidfile", "worker.pid", processes=1)
    assert (patient.path / "worker.pid").read_text() == f"{running.process.pid}\n"

    second = patient.run("worker", "shop", "--pidfile", "worker.pid")

    assert second.status == 1
    assert second.err.splitlines()[-1].startswith(f"jetq: worker.pid is held by process {running.process.pid}")
    assert running.stop() == 0
    assert not (patient.path / "worker.pid").exists()


def test_systemd_hears_when_it_works_and_when_it_stops(start: Start, patient: Folder, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        running = supervisor(start, patient.using(**variables), processes=1)
        heard = [systemd.recv(4096).decode()]
        while not heard[-1].startswith("READY=1"):
            heard.append(systemd.recv(4096).decode())
        assert heard[-1] == f"READY=1\nMAINPID={running.process.pid}"
        while heard[-1] != "WATCHDOG=1":
            heard.append(systemd.recv(4096).decode())
        running.signal(signal.SIGHUP)
        while not heard[-1].startswith("RELOADING=1"):
            heard.append(systemd.recv(4096).decode())
        while not heard[-1].startswith("READY=1"):
            heard.append(systemd.recv(4096).decode())
        running.signal(signal.SIGTERM)
        while heard[-1] != "STOPPING=1":
            heard.append(systemd.recv(4096).decode())
        assert running.await_end() == 0


def in_a_namespace() -> bool:
    """Say whether this user may be the first process of a namespace."""
    try:
        tried = subprocess.run([*CONTAINER, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


@pytest.mark.skipif(not in_a_namespace(), reason="no namespaces of processes here")
def test_as_the_first_process_of_a_container_it_waits_for_orphans_and_obeys(patient: Folder) -> None:
    command = [*CONTAINER, sys.executable, "-m", "jetq", "worker", "shop", "-p", "1", "--log-format", "json"]
    pipe = subprocess.PIPE
    running = Program(
        subprocess.Popen(
            command, cwd=patient.path, env=patient.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
    )
    try:
        running.await_line(READY)
        assert running.events("supervisor started")[0]["pid"] == 1
        first = int(Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text())
        enter = ("nsenter", "-t", str(first), "-p")
        for _ in range(3):
            subprocess.run([*enter, "sh", "-c", "sleep 0.05 &"], check=True)
        until = time.monotonic() + PATIENCE
        while len(Path(f"/proc/{first}/task/{first}/children").read_text().split()) != 1:
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(first, signal.SIGTERM)
        assert running.await_end() == 0
    finally:
        running.kill()


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["nowhere", "-p", "3"], 2, "cannot load 'nowhere'"),
        (["shop", "-p", "0"], 2, "expected processes to be a whole number of at least 1, got: 0"),
        (["shop", "-p", "many"], 2, "Invalid value for '--processes'"),
        (["shop", "--max-tasks-per-child", "0"], 2, "expected max_tasks_per_child to be a whole number"),
        (["shop", "--max-memory-per-child", "much"], 2, "expected --max-memory-per-child to be a size such as 512M"),
        (["shop", "--max-memory-per-child", "1M"], 2, "expected max_memory_per_child to be a whole number"),
        (["shop", "--child-timeout", "soon"], 2, "expected --child-timeout to be a duration"),
        (["shop", "--child-timeout", "0"], 2, "expected child_timeout to be a duration of at least 1 s"),
        (["shop", "--pidfile", "no/where"], 2, "expected --pidfile to be a file to write"),
        (["shop", "--child", "1"], 2, "expected --child to be what a supervisor gives its child"),
        (["shop", "-p", "3", "--servers", "nats://127.0.0.1:1"], 3, "no connection to nats://127.0.0.1:1"),
    ],
)
def test_bad_input_is_said_once(arguments: list[str], status: int, sentence: str, folder: Folder) -> None:
    ended = folder.run("worker", *arguments)

    assert ended.status == status, ended.err
    assert ended.err.count(sentence) == 1
    assert "Traceback" not in ended.err
