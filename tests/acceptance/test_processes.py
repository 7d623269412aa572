"""Handlers in processes, and hooks, as users of ``jetq worker`` have them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.programs import Folder

pytestmark = pytest.mark.timeout(120)

SHOP = """
import logging, os, pathlib, time
from jetq import App, Context

app = App("shop")

@app.on_process_start
def opened():
    pathlib.Path(f"opened-{os.getpid()}").touch()
    return {"opened": os.getpid()}

@app.on_process_stop
def closed():
    pathlib.Path(f"closed-{os.getpid()}").touch()
    raise ValueError("cannot be closed")

@app.task("talk", pool="process")
def talk(ctx: Context, lines: int) -> int:
    for number in range(lines):
        ctx.logger.warning("by its context %d %s", number, "x" * 10_000)
        logging.getLogger("shop").warning("by itself %d", number)
    return ctx.state["opened"]

@app.task("slow", pool="process")
def slow(path: str) -> str:
    pathlib.Path(path).touch()
    time.sleep(1)
    return "done"
"""

BROKEN = """
from jetq import App

app = App("shop")

@app.task("a", pool="process")
def a() -> None: ...

def connect():
    raise ConnectionError("no database")

@app.{hook}
{function}
"""
HOOKS = {
    "on_process_start": "def opened():\n    connect()",
    "on_worker_start": "async def opened():\n    connect()",
    "lifespan": "async def opened(app):\n    connect()\n    yield",
}


@pytest.fixture
def shop(shop: Folder) -> Folder:
    """Give a folder with an application whose handlers run in processes."""
    (shop.path / "shop.py").write_text(SHOP)
    return shop


@pytest.mark.parametrize("processes", [[], ["--processes", "1"]], ids=["alone", "supervised"])
def test_processes_log_whole_lines_with_the_names_of_their_tasks(
    start: Start, shop: Folder, processes: list[str]
) -> None:
    running = start(shop, "worker", "shop", "--log-format", "json", "--pool-processes", "2", *processes)
    running.await_line("worker started")
    added = [shop.run("tasks", "add", "talk", '{"lines": 50}', "--id", f"talk-{number}") for number in range(2)]
    assert [each.status for each in added] == [0, 0]
    running.await_line("by itself 49", count=2)
    assert running.stop() == 0

    told = [json.loads(line) for line in running.lines if line]
    worker = next(line["worker"] for line in told if line["event"] == "worker started")
    for event, logger in (("by its context 49", "jetq.task"), ("by itself 49", "shop")):
        found = [line for line in told if line["event"].startswith(event)]
        assert {line["task_id"] for line in found} == {"talk-0", "talk-1"}
        assert {(line["logger"], line["queue"], line["attempt"], line["worker"]) for line in found} == {
            (logger, "DEFAULT", 1, worker)
        }


def test_hooks_run_in_each_process_and_one_that_fails_at_the_end_is_told(start: Start, shop: Folder) -> None:
    running = start(shop, "worker", "shop", "--log-format", "json", "--pool-processes", "1")
    running.await_line("worker started")
    added = shop.run("tasks", "add", "talk", '{"lines": 0}', "--wait")
    assert running.stop() == 0

    pid = int(added.out)
    assert {path.name for path in shop.path.glob("*ed-*")} == {f"opened-{pid}", f"closed-{pid}"}
    [told] = running.events("a hook failed")
    assert (told["hook"], told["function"], told["error"]) == (
        "on_process_stop",
        "shop:closed",
        "ValueError: cannot be closed",
    )


def test_ctrl_c_reaches_the_worker_alone_which_waits_for_its_processes(shop: Folder) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "jetq", "worker", "shop", "--log-format", "json"],
        cwd=shop.path,
        env=shop.environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        next(line for line in running.stderr if "worker started" in line)
        added = shop.run("tasks", "add", "slow", '{"path": "slow"}', "--id", "slow-1")
        assert added.status == 0, added.err
        while not (shop.path / "slow").exists():
            assert running.poll() is None
        os.killpg(running.pid, signal.SIGINT)
        left = running.stderr.read()
        assert running.wait(30) == 0, left

    viewed = shop.run("tasks", "view", "slow-1", "--json")
    assert viewed.json["record"]["state"] == "complete"
    assert viewed.json["record"]["tries"] == 1


@pytest.mark.parametrize("hook", HOOKS)
def test_a_worker_whose_start_hook_raises_shows_the_users_own_traceback(shop: Folder, hook: str) -> None:
    (shop.path / "shop.py").write_text(BROKEN.format(hook=hook, function=HOOKS[hook]))

    ended = shop.run("worker", "shop")

    assert ended.status == 1
    last = ended.err.splitlines()[-1]
    assert last.startswith("jetq: ")
    assert f"{hook} shop:opened raised ConnectionError: no database" in last
    traceback = ended.err[ended.err.index("Traceback") :]
    frames = [line for line in traceback.splitlines() if line.startswith("  File ")]
    assert [frame.rpartition(" in ")[2] for frame in frames] == ["opened", "connect"]
    assert all(str(Path(shop.path) / "shop.py") in frame for frame in frames)


def test_handlers_of_the_program_that_is_run_are_refused_with_a_sentence(shop: Folder) -> None:
    program = "import asyncio\nfrom jetq import Worker\nasyncio.run(Worker(app).run())\n"
    (shop.path / "shop.py").write_text(SHOP + program)

    ended = shop.run(command=("shop.py",))

    assert ended.status == 1
    assert "__main__:talk cannot be a handler: pool='process' needs it in a module that can be imported" in ended.err


def test_a_stop_hook_that_never_ends_does_not_keep_the_worker(start: Start, shop: Folder) -> None:
    hook = "import time\n@app.on_worker_stop\ndef never(): time.sleep(600)\n"
    (shop.path / "shop.py").write_text(SHOP + hook)
    running = start(shop.using(JETQ_HOOK_TIMEOUT="0.2"), "worker", "shop", "--log-format", "json")
    running.await_line("worker started")
    begun = time.monotonic()
    assert running.stop() == 0

    assert time.monotonic() - begun < 20
    assert [line["error"] for line in running.events("a hook failed") if line["hook"] == "on_worker_stop"] == [
        "it took longer than 0.2 s"
    ]
