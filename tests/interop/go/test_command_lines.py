"""``ajc`` on what jetq made, and ``jetq`` on what ``ajc`` made."""

import asyncio
import json
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

from jetq.app.application import App
from jetq.app.composition import chain
from jetq.execution.context import Context
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go


def declared(app: App) -> App:
    @app.task("py:one")
    async def one(number: int = 1) -> int:
        return number

    @app.task("py:steps")
    async def steps(ctx: Context) -> None:
        ctx.progress(1, 2, "half")
        await asyncio.sleep(30)

    @app.task("py:never", max_tries=1)
    async def never() -> None:
        raise ValueError("no luck in Python")

    return app


async def test_ajc_lists_and_views_tasks_of_every_kind(app: App, queue: str, go: Go) -> None:
    await prepared(declared(app))
    done, failed = await app.aenqueue("py:one"), await app.aenqueue("py:never")
    running = await app.aenqueue("py:steps")
    delayed = await app.aenqueue("py:one", delay=600, deadline=900, max_tries=3)
    cancelled = await app.aenqueue("py:one", delay=600)
    await app.acancel(cancelled.id, by="the boss")
    child = await app.aenqueue("py:one", depends_on=[delayed], load_dependencies=True)
    flow = await chain(app.s("py:one", {}, delay=600), app.s("py:one", {})).aenqueue()
    keyed = await app.aenqueue("py:one", unique="the one", delay=600)

    async with Worker(app, settings=WORKER):
        for handle in (done, failed):
            await handle.await_end(10)
        await eventually(lambda: has_progress(app, running.id))
        listed = await go.ajc("tasks", "ls", "10000")
        viewed = {
            handle.id: json.loads(await go.ajc("tasks", "view", handle.id, "--json"))
            for handle in (done, failed, running, delayed, cancelled, child, keyed)
        }
        texts = [await go.ajc("tasks", "view", handle.id) for handle in (failed, delayed, cancelled)]
        await app.acancel(running.id)
        await running.await_end(10)

    rows = {row[0]: row[1:] for row in cells(listed)}
    states = {"complete": done, "expired": failed, "active": running, "new": delayed, "blocked": child}
    for state, handle in states.items():
        assert (rows[handle.id][0], rows[handle.id][2:4]) == (viewed[handle.id]["type"], [state, queue])
    assert rows[cancelled.id][2] == "expired"
    assert {rows[node.id][2] for node in flow.nodes.values()} <= {"new", "blocked"}
    assert viewed[done.id]["result"]["payload"] == 1
    assert viewed[failed.id]["last_err"] == "ValueError: no luck in Python"
    assert viewed[cancelled.id]["last_err"] == "cancelled by the boss"
    assert viewed[child.id]["dependencies"] == [delayed.id]
    assert all("run" not in task and "progress" not in task for task in viewed.values())
    assert "Last Error: ValueError: no luck in Python" in texts[0]
    assert "Maximum Tries: 3" in texts[1]
    assert "Scheduling Deadline" in texts[1]
    assert "Status: expired" in texts[2]


async def has_progress(app: App, task_id: str) -> bool:
    return await app.handle(task_id).aprogress() is not None


def cells(table: str) -> list[list[str]]:
    """Return the rows of a table that ``ajc`` draws."""
    rows = [line.strip("│ ").split("│") for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row] for row in rows if len(row) > 1]


async def test_ajc_describes_a_namespace_of_jetq(app: App, queue: str, go: Go) -> None:
    await prepared(declared(app))
    await app.aenqueue("py:one", delay=600)
    await app.aenqueue("py:one")
    overview, listed, described = (
        await go.ajc("info"), await go.ajc("queue", "ls"), await go.ajc("queue", "info", queue)
    )  # fmt: skip

    assert "Tasks Storage" in overview
    assert "Leader Elections" in overview
    assert f"{queue} Work Queue" in overview
    [row] = [row for row in cells(listed) if row[0] == queue]
    assert row[1] == "1"  # the delayed task waits elsewhere
    assert "Max Run Time: 1m0s" in described
    assert "Max Task Tries: -1" in described


async def test_ajc_configures_a_queue_of_jetq(app: App, queue: str, go: Go) -> None:
    await prepared(declared(app))
    await go.ajc("queue", "configure", queue, "--run-time=30s", "--concurrent=5", "--tries=4", "--entries=50")
    described = json.loads(await go.jetq("queues", "info", queue, "--json"))
    limits = {key: described["settings"][key] for key in ("max_run_time", "max_concurrent", "max_tries", "max_entries")}
    assert limits == {"max_run_time": 30.0, "max_concurrent": 5, "max_tries": 4, "max_entries": 50}

    async with Worker(app, settings=WORKER):
        assert await (await app.aenqueue("py:one", delay=0.05)).aresult(10) == 1


async def test_ajc_processes_a_task_of_jetq_by_a_command(app: App, queue: str, go: Go, tmp_path: Path) -> None:
    await prepared(app)
    command = tmp_path / "call.sh"
    command.write_text('#!/bin/sh\nread task < "$CHORIA_AJ_TASK"\nprintf "%.6s" "$task"\n')
    command.chmod(0o755)
    process = await go.start("ajc", "tasks", "process", "sh:call", queue, "2", str(command))
    handle = await app.aenqueue("sh:call", {"number": 1})

    assert await handle.aresult(10) == '{"id":'
    process.process.send_signal(signal.SIGTERM)


async def test_ajc_lists_schedules_of_jetq_with_all_that_they_say(app: App, queue: str, go: Go) -> None:
    await prepared(declared(app))
    name = f"nightly-{queue}"
    await app.aadd_schedule(
        name, "0 3 * * *", app.s("py:one", {"number": 5}, retry="1m", timeout=5), timezone="Europe/Malta",
        misfire="all", jitter=timedelta(seconds=5), deadline=60, max_tries=2,
    )  # fmt: skip
    await app.aadd_schedule(f"often-{queue}", "@every 10m", app.s("py:one", {}))
    listed, viewed = (
        await go.ajc("task", "cron", "ls"),
        json.loads(await go.ajc("task", "cron", "view", name, "--json")),
    )

    rows = {row[0]: row[1:4] for row in cells(listed)}
    assert rows[name] == ["CRON_TZ=Europe/Malta 0 3 * * *", queue, "py:one"]
    assert rows[f"often-{queue}"][0] == "@every 10m"
    assert (viewed["deadline"], viewed["max_tries"]) == (60_000_000_000, 2)
    await go.ajc("task", "cron", "rm", name, "--force")
    assert name not in {view.name for view in await app.alist_schedules()}


async def test_jetq_reads_what_ajc_made(app: App, queue: str, go: Go) -> None:
    made, name = f"{queue}-AJC", f"hourly-{queue}"
    await prepared(declared(app))
    await go.ajc("queue", "new", made, "--run-time=45s", "--tries=3")
    added = await asyncio.gather(
        go.ajc("tasks", "add", "go:echo", '{"a":1}', f"--queue={made}", "--deadline=1h", "--tries=2"),
        go.ajc("tasks", "add", "py:one", "{}", f"--queue={made}", "--depends=nobody", "--load"),
        go.ajc("task", "cron", "add", name, "hourly", "py:one", "--payload={}", f"--queue={made}", "--tries=4"),
    )
    plain, blocked = (words.split()[-1] for words in added[:2])
    commands = [
        ("info", "--json"), ("queues", "info", made, "--json"), ("tasks", "list", "--queue", made, "--json"),
        ("tasks", "view", plain, "--json"), ("cron", "list", "--json"), ("cron", "view", name, "--json"),
    ]  # fmt: skip
    read: list[Any] = [json.loads(await go.jetq(*words)) for words in commands]
    overview, described, tasks, viewed, schedules, schedule = read

    [listed] = [one for one in overview["queues"] if one["name"] == made]
    assert (listed["items"], described["settings"]["max_run_time"], described["settings"]["max_tries"]) == (2, 45.0, 3)
    states = {task["id"]: task["state"] for task in tasks["tasks"]}
    assert states == {plain: "new", blocked: "blocked"}
    assert (viewed["record"]["max_tries"], viewed["payload"]) == (2, '{"a":1}')
    assert name in {one["name"] for one in schedules["schedules"]}
    assert (schedule["schedule"], schedule["queue"], schedule["max_tries"]) == ("@hourly", made, 4)


async def test_jetq_operates_on_what_ajc_made(app: App, queue: str, go: Go) -> None:
    await prepared(declared(app))
    first, second, third = [
        (await go.ajc("tasks", "add", "py:one", '{"number":3}', f"--queue={queue}")).split()[-1] for _ in range(3)
    ]
    await go.jetq("tasks", "cancel", first)
    await go.jetq("tasks", "delete", second, "--force")
    await go.jetq("tasks", "change", third, "--max-tries", "5")
    assert (await go.view(queue, first))["state"] == "expired"
    assert (await go.view(queue, second))["error"] == "task not found"
    assert (await go.view(queue, third))["max_tries"] == 5

    await go.jetq("tasks", "retry", first)
    async with Worker(app, settings=WORKER):
        for task_id in (first, third):
            assert await app.handle(task_id).aresult(10) == 3
    name = f"daily-{queue}"
    await go.ajc("task", "cron", "add", name, "daily", "py:one", f"--queue={queue}")
    await go.jetq("cron", "delete", name, "--force")
    await go.jetq("queues", "purge", queue, "--force")
    await go.ajc("task", "cron", "view", name, fails=True)
    assert "Entries: 0 @" in await go.ajc("queue", "info", queue)
