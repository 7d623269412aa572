"""Programs as handlers, in a real worker."""

import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from jetq.app.application import App
from jetq.app.group import Tasks
from jetq.errors import TaskCancelledError, TaskTerminatedError
from jetq.model.retry import Fixed
from jetq.settings import WorkerSettings
from jetq.testing.inline import run_inline
from jetq.worker.worker import Worker
from tests.integration.backends import backend_with_queue
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS
from tests.integration.worker.test_garbage import put, spelled, stored

pytestmark = pytest.mark.skipif(os.name == "nt", reason="workers on Windows run no commands")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder in which commands run, and keep what is temporary in it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path


PAYLOAD = 'sed "s/.*\\"payload\\":\\"\\([^\\"]*\\)\\".*/\\1/" "$JETQ_TASK" | base64 -d'


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


async def test_a_command_gets_arguments_by_name_and_its_result_is_typed_by_nobody(app: App, folder: Path) -> None:
    call = app.command("webhook:call", shell(PAYLOAD), cwd=folder)
    async with Worker(app, settings=SETTINGS):
        handle = await call.aenqueue(url="x", times=2)
        result = await handle.aresult(10)

    assert result == {"url": "x", "times": 2}
    assert list((folder / "tmp").iterdir()) == []


async def test_a_record_of_go_reaches_the_command_with_every_byte(app: App, folder: Path) -> None:
    app.command("odd:*", shell('cp "$CHORIA_AJ_TASK" seen'), cwd=folder)
    backend, created = await backend_with_queue(app), "2026-11-24T03:00:00.123456789Z"
    await put(backend, "odd-1", spelled("odd-1", type="odd:1", created=created, from_the_future={"a": 1}))
    async with Worker(app, settings=SETTINGS):
        await app.handle("odd-1").await_end(10)

    seen = json.loads((folder / "seen").read_text())
    assert (seen["created"], seen["from_the_future"], seen["state"], seen["tries"]) == (created, {"a": 1}, "active", 1)
    assert json.loads(await stored(backend, "odd-1"))["result"]["payload"] is None


async def test_results_of_parents_are_in_the_command_s_payload(app: App, folder: Path) -> None:
    @app.task("double")
    async def double(number: int) -> int:
        return 2 * number

    show = app.command("show", shell(PAYLOAD), cwd=folder)
    async with Worker(app, settings=SETTINGS):
        parent = double.s(number=21)
        handle = await show.using(depends_on=parent, into="answer").aenqueue(question="?")
        result = await handle.aresult(10)

    assert result == {"question": "?", "answer": 42}


async def test_a_failure_is_tried_again_and_its_text_ends_with_the_output(app: App, folder: Path) -> None:
    script = "echo no luck; test -e before && exit 0; touch before; exit 3"
    app.command("flaky", shell(script), cwd=folder, retry=Fixed(0.3))
    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("flaky")

        async def failed() -> bool:
            return (await handle.arecord()).last_err.endswith("ended with status 3 and wrote last:\nno luck")

        await eventually(failed)
        assert await handle.aresult(10) == "no luck\n"
    assert (await handle.arecord()).tries == 2


async def test_too_much_output_and_a_status_end_the_task(app: App, folder: Path) -> None:
    app.command("much", shell("head -c 5000 /dev/zero"), cwd=folder, max_output=100)
    app.command("done", shell("exit 65"), cwd=folder, terminate_on=65)
    async with Worker(app, settings=SETTINGS):
        much, done = await app.aenqueue("much"), await app.aenqueue("done")
        for handle in (much, done):
            with pytest.raises(TaskTerminatedError):
                await handle.aresult(10)

    assert ((await much.arecord()).end, (await done.arecord()).end) == ("too_large", "terminated")


async def test_a_cancel_ends_the_command(app: App, folder: Path) -> None:
    app.command("long", shell("echo $$ > pid; exec sleep 60"), cwd=folder)
    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("long")
        await eventually(lambda: _is_there(folder / "pid"))
        await handle.acancel()
        with pytest.raises(TaskCancelledError):
            await handle.aresult(10)
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


async def _is_there(path: Path) -> bool:
    return _is_written(path)


def _is_written(path: Path) -> bool:
    return path.exists() and path.read_text() != ""


async def test_a_drain_waits_for_a_command_and_what_takes_longer_costs_no_try(app: App, folder: Path) -> None:
    app.command("short", shell("echo $$ > short; sleep 0.1"), cwd=folder)
    app.command("long", shell("echo $$ > long; exec sleep 60"), cwd=folder)
    settings = WorkerSettings(concurrency=2, shutdown_timeout=1.5)
    async with Worker(app, settings=settings):
        short, long = await app.aenqueue("short"), await app.aenqueue("long")
        for name in ("short", "long"):
            await eventually(partial(_is_there, folder / name))
        begun = time.monotonic()

    assert time.monotonic() - begun < 20.0
    assert await short.astate() == "complete"
    record = await long.arecord()
    assert (record.state, record.tries, record.crashes) == ("retry", 0, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "long").read_text()), 0)


def test_a_group_has_commands_and_they_run_inline_too(folder: Path) -> None:
    tasks = Tasks()
    greet = tasks.command("greet", shell("echo hi"), cwd=folder, output="text")
    app = App("inline", include=[tasks])

    assert run_inline(app, greet.s(name="x")).result() == "hi\n"
