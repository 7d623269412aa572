"""``jetq tasks process``: tasks of one type, run by a program, without a line of Python."""

import signal
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.programs import Folder, Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers on Windows run no commands")


@pytest.fixture
def calls(shop: Folder) -> Folder:
    """Give a folder with a program that answers with the payload of its task, and nothing temporary of others."""
    (shop.path / "tmp").mkdir()
    program = shop.path / "call.sh"
    program.write_text(
        '#!/bin/sh\nsed \'s/.*"payload":"\\([^"]*\\)".*/\\1/\' "$CHORIA_AJ_TASK" | base64 -d\n'
        '[ "$1" = --fast ] || exit 9\n'
        'grep -q \'"type":"call:good"\' "$JETQ_TASK"\n'
    )
    program.chmod(0o755)
    return shop.using(TMPDIR=str(shop.path / "tmp"))


def temporary(folder: Folder) -> list[Path]:
    return list((folder.path / "tmp").iterdir())


def runs(pid: int) -> bool:
    """Whether a process is there, and is no zombie that nobody has waited for yet."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def await_text(path: Path) -> str:
    for _ in range(600):
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"nothing in {path}")


def test_a_program_runs_the_tasks_of_a_type(start: Start, calls: Folder) -> None:
    options = ["-c", "2", "--backoff", "1h", "--monitor", "0"]
    worker: Program = start(calls, "tasks", "process", "call:*", "CALLS", *options, "--", "./call.sh", "--fast")
    good = calls.run("tasks", "add", "call:good", '{"url":"x"}', "--queue", "CALLS", "--wait", "--json")
    bad = calls.run("tasks", "add", "call:bad", '{"url":"y"}', "--queue", "CALLS", "--max-tries", "1", "--wait")

    assert good.json["result"] == {"url": "x"}
    assert bad.status == 1
    assert "CommandFailedError: the command ./call.sh --fast ended with status 1 and wrote last:" in bad.err
    assert bad.err.rstrip().endswith('{"url":"y"}')
    url = next(line["url"] for line in worker.events("metrics served"))
    with urllib.request.urlopen(url) as page:  # noqa: S310 - of our own worker
        assert 'jetq_tasks_processed_total{outcome="failed",queue="CALLS",type="call:*"} 1.0' in page.read().decode()
    assert worker.stop() == 0
    assert temporary(calls) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a group with who made it")
def test_a_killed_worker_takes_its_program_along_and_the_next_one_cleans_up(start: Start, calls: Folder) -> None:
    arguments = ("tasks", "process", "call:*", "CALLS", "--", "/bin/sh", "-c", "echo $$ > pid; exec sleep 60")
    worker: Program = start(calls, *arguments)
    calls.run("tasks", "add", "call:me", "--queue", "CALLS")
    program = int(await_text(calls.path / "pid"))
    assert runs(program)
    worker.signal(signal.SIGKILL)
    worker.await_end()

    assert len(temporary(calls)) == 1
    next_one: Program = start(calls, *arguments)
    next_one.await_line("worker started")
    assert temporary(calls) == []
    assert not runs(program)


def test_bad_input_is_one_sentence(folder: Folder) -> None:
    ended = folder.run("tasks", "process", "call:me", "CALLS", "./nothing")

    assert ended.status == 2
    assert ended.err == "jetq: expected COMMAND to be a program that is there and can be run, got: './nothing'\n"
    assert ended.out == ""


def test_without_a_server_it_ends_with_status_3(folder: Folder) -> None:
    ended = folder.run("tasks", "process", "call:me", "CALLS", "-s", "nats://127.0.0.1:1", "true")

    assert ended.status == 3
    assert "no connection to nats://127.0.0.1:1" in ended.err
