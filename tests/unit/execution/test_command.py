"""Programs as handlers: real ones, and what they leave behind."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from jetq.errors import InvalidPatternError, InvalidPayloadError, InvalidSettingError
from jetq.execution import command_process
from jetq.execution.command import Command
from jetq.execution.executor import Executor
from jetq.execution.task_file import sweep
from jetq.model.outcome import Failed, Interrupted, Outcome, Succeeded, Terminated, TimedOut, Unstorable
from jetq.routing.handler import HandlerOptions
from tests.integration.watching import eventually
from tests.unit.execution.samples import record

STUBBORN = "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done"
POLITE = "trap 'printf bye; exit 0' TERM; echo $$ > pid; while :; do sleep 0.02; done 2>/dev/null"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers on Windows run no commands")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder in which commands run; what is temporary has one of its own, which must be empty at the end."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return tmp_path


@pytest.fixture
async def executor(folder: Path) -> AsyncIterator[Executor]:
    opened = Executor(threads=1, grace=0.2)
    yield opened
    await opened.close()
    assert list((folder / "tmp").iterdir()) == []


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def run(
    executor: Executor, arguments: list[str], *, limit: float = 30.0, soft: float | None = None, **said: Any
) -> Any:
    options: dict[str, Any] = {"grace": 0.2}
    handler = Command.checked(arguments, **options | said).handler("shop:*", HandlerOptions())
    return executor.start(handler, record(b'{"a":1}'), limit=limit, soft=soft)


async def outcome_of(executor: Executor, script: str, folder: Path, **said: Any) -> Outcome:
    outcome: Outcome = await run(executor, shell(script), cwd=folder, **said).run()
    return outcome


def message(outcome: Outcome) -> str:
    assert isinstance(outcome, Failed)
    return outcome.error.message


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def zombies() -> list[str]:
    """Return the children of this process that nobody has waited for."""
    stats = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    return [state for state, parent, *_ in stats if state == "Z" and int(parent) == os.getpid()]


async def noted(path: Path) -> int:
    """Wait until a program has noted its number there, and return it."""

    async def number() -> str:
        return read(path) if is_there(path) else ""

    await eventually(number)
    return int(read(path))


def read(path: Path) -> str:
    return path.read_text().strip()


def is_there(path: Path) -> bool:
    return path.exists()


async def gone(pid: int) -> None:
    async def dead() -> bool:
        return not is_alive(pid)

    await eventually(dead)


# its task, and its result


async def test_a_command_reads_its_task_and_writes_the_result(executor: Executor, folder: Path) -> None:
    outcome = await outcome_of(executor, 'cat "$JETQ_TASK"; test "$JETQ_TASK" = "$CHORIA_AJ_TASK"', folder)

    assert isinstance(outcome, Succeeded)
    task = json.loads(outcome.result)
    assert (task["id"], task["type"], task["payload"], task["state"]) == ("01TASK", "shop:do", "eyJhIjoxfQ==", "active")


async def test_only_the_worker_s_user_may_read_the_task(executor: Executor, folder: Path) -> None:
    outcome = await outcome_of(executor, 'stat -c %a "$JETQ_TASK" "$(dirname "$JETQ_TASK")"', folder)

    assert outcome == Succeeded(b'"600\\n700\\n"')


async def test_no_shell_sees_the_arguments(executor: Executor) -> None:
    arguments = ["/bin/echo", "-n", "$HOME", "; exit 3", "a  b", "*"]

    assert await run(executor, arguments).run() == Succeeded(b'"$HOME ; exit 3 a  b *"')


async def test_the_environment_is_the_worker_s_and_what_is_said(
    executor: Executor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLOUR", "red")
    monkeypatch.setenv("SECRET", "x")

    outcome = await outcome_of(
        executor, 'echo "$COLOUR $SIZE ${SECRET-none}"; pwd', folder, env={"SIZE": "3", "SECRET": None}
    )

    assert outcome == Succeeded(json.dumps(f"red 3 none\n{folder}\n").encode())


@pytest.mark.parametrize(
    ("script", "output", "result"),
    [
        ("echo '{\"a\": [1, 2.50]}'", "auto", {"a": [1, 2.5]}),
        ("echo 12", "auto", 12),
        ("echo twelve >&2", "auto", "twelve\n"),
        (":", "auto", None),
        (r"printf '\377\001'", "auto", "/wE="),
        ("echo 12", "text", "12\n"),
        (r"printf 'a\377'", "text", "a\ufffd"),
        (":", "text", ""),
        (" echo null", "json", None),
        (":", "json", None),
        ("echo 12", "base64", "MTIK"),
        ("echo out; echo err >&2; echo out", "text", "out\nerr\nout\n"),
    ],
)
async def test_the_output_is_the_result(
    executor: Executor, folder: Path, script: str, output: str, result: object
) -> None:
    outcome = await outcome_of(executor, script, folder, output=output)

    assert isinstance(outcome, Succeeded)
    assert json.loads(outcome.result) == result


async def test_output_that_must_be_json_and_is_none_is_an_error(executor: Executor, folder: Path) -> None:
    outcome = await outcome_of(executor, "echo 'ok then'", folder, output="json")

    assert "wrote what is no JSON" in message(outcome)
    assert message(outcome).endswith("ok then")


async def test_a_hundred_megabytes_are_read_to_the_end_and_are_no_result(executor: Executor, folder: Path) -> None:
    execution = run(executor, shell("head -c 100000000 /dev/zero; echo the end; touch done"), cwd=folder)
    task, turns = asyncio.ensure_future(execution.run()), 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    outcome = await task

    assert turns > 1000, "the loop had no time for others"
    assert isinstance(outcome, Unstorable)
    assert outcome.too_large
    assert outcome.error.message.startswith("the command /bin/sh -c 'head")
    assert "wrote 100,000,008 bytes, and a result may have 262,144" in outcome.error.message
    assert outcome.error.message.endswith("the end")
    assert (folder / "done").exists()


async def test_the_most_that_a_result_may_have_is_a_result(executor: Executor, folder: Path) -> None:
    assert await outcome_of(executor, "printf abc", folder, max_output=3) == Succeeded(b'"abc"')
    assert isinstance(await outcome_of(executor, "printf abcd", folder, max_output=3), Unstorable)


# how it fails


async def test_another_status_is_an_error_with_the_end_of_the_output(executor: Executor, folder: Path) -> None:
    outcome = await outcome_of(executor, "seq 1 2000; echo no luck >&2; exit 3", folder)

    assert "ended with status 3 and wrote last:\n" in message(outcome)
    assert message(outcome).endswith("1999\n2000\nno luck")
    assert "\n1000\n" not in message(outcome)
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.traceback) == ("CommandFailedError", "")


async def test_a_signal_that_killed_it_is_an_error(executor: Executor, folder: Path) -> None:
    assert "was killed by SIGSEGV and wrote nothing" in message(await outcome_of(executor, "kill -SEGV $$", folder))
    assert "when memory runs out" in message(await outcome_of(executor, "kill -KILL $$", folder))


async def test_a_status_may_end_the_task(executor: Executor, folder: Path) -> None:
    outcome = await outcome_of(executor, "echo bad order; exit 65", folder, terminate_on=[64, 65])

    assert isinstance(outcome, Terminated)
    assert outcome.reason.endswith("ended with status 65 and wrote last:\nbad order")
    assert isinstance(await outcome_of(executor, "exit 65", folder), Failed)


async def test_a_command_that_is_missing_says_so(executor: Executor, folder: Path) -> None:
    outcome = await run(executor, ["./call.sh"], cwd=folder).run()

    assert isinstance(outcome, Failed)
    assert outcome.error.type == "CommandStartError"
    assert message(outcome).startswith("the command ./call.sh did not start: No such file or directory (a name without")


async def test_a_file_that_may_not_be_run_says_so(executor: Executor, folder: Path) -> None:
    (folder / "call.sh").write_text("#!/bin/sh\necho hi\n")
    assert "Permission denied (is it executable?)" in message(await run(executor, ["./call.sh"], cwd=folder).run())

    (folder / "call.sh").chmod(0o755)
    assert await run(executor, ["./call.sh"], cwd=folder).run() == Succeeded(b'"hi\\n"')

    (folder / "call.sh").write_text("echo hi\n")
    assert "must begin with #!" in message(await run(executor, ["./call.sh"], cwd=folder).run())


async def test_a_working_directory_that_is_missing_is_named(executor: Executor, folder: Path) -> None:
    outcome = await run(executor, ["/bin/true"], cwd=folder / "none").run()

    assert f"No such file or directory: {folder / 'none'}" in message(outcome)


async def test_a_task_that_cannot_be_written_to_a_file_is_an_error(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null")

    outcome = await run(executor, ["/bin/true"]).run()

    assert isinstance(outcome, Failed)
    assert "Not a directory" in message(outcome)


# how it is ended


async def test_the_time_limit_ends_a_command_that_ignores_term_with_its_group(executor: Executor, folder: Path) -> None:
    execution = run(executor, shell(f"sleep 60 & echo $! > child; {STUBBORN}"), cwd=folder)
    outcome, pid = await out_of_time(execution, folder)

    assert isinstance(outcome, TimedOut)
    assert not is_alive(pid)
    await gone(await noted(folder / "child"))


async def test_a_command_gets_term_first(executor: Executor, folder: Path) -> None:
    script = "trap 'touch asked; exit 1' TERM; echo $$ > pid; while :; do sleep 0.02; done"
    outcome, _ = await out_of_time(run(executor, shell(script), cwd=folder, grace=5), folder)

    assert isinstance(outcome, TimedOut)
    assert is_there(folder / "asked")


async def out_of_time(execution: Any, folder: Path, left: float = 0.05) -> tuple[Outcome, int]:
    """Run a command that notes its number, and let its limit come then."""
    task = asyncio.ensure_future(execution.run())
    pid = await noted(folder / "pid")
    execution.context.extend(left)
    return await task, pid


async def test_a_cancel_ends_a_command(executor: Executor, folder: Path) -> None:
    execution = run(executor, shell(STUBBORN), cwd=folder)
    task = asyncio.ensure_future(execution.run())
    pid = await noted(folder / "pid")
    execution.stop(Interrupted())

    assert await task == Interrupted()
    assert not is_alive(pid)


async def test_who_cancels_again_does_not_wait_for_the_grace(folder: Path) -> None:
    executor = Executor(threads=1, grace=0.05)
    execution = run(executor, shell(STUBBORN), cwd=folder, grace=5)
    task = asyncio.ensure_future(execution.run())
    pid = await noted(folder / "pid")
    begun = time.monotonic()
    execution.stop(Interrupted())
    await task

    assert time.monotonic() - begun < 4.5
    assert not is_alive(pid)
    await executor.close()


async def test_a_soft_limit_is_term_and_what_comes_of_it_counts(executor: Executor, folder: Path) -> None:
    polite = run(executor, shell(POLITE), cwd=folder, limit=30, soft=20, output="text")
    outcome, _ = await out_of_time(polite, folder, 10.05)
    assert isinstance(outcome, Succeeded)
    assert outcome.result.endswith(b'bye"')

    outcome = await outcome_of(executor, "sleep 20", folder, soft=0.3)
    assert isinstance(outcome, TimedOut)
    assert outcome.soft


async def test_a_command_that_closes_its_output_goes_on(executor: Executor, folder: Path) -> None:
    outcome = await outcome_of(executor, "echo first; exec >&- 2>&-; sleep 0.3; touch done", folder)

    assert outcome == Succeeded(b'"first\\n"')
    assert (folder / "done").exists()


async def test_children_that_hold_the_pipe_end_with_the_command(executor: Executor, folder: Path) -> None:
    begun = time.monotonic()
    outcome = await outcome_of(executor, "sleep 60 & echo $! > child; echo over", folder)

    assert outcome == Succeeded(b'"over\\n"')
    assert time.monotonic() - begun < 20.0
    await gone(await noted(folder / "child"))


async def test_a_child_with_a_session_of_its_own_delays_nobody(executor: Executor, folder: Path) -> None:
    script = "setsid sh -c 'echo $$ > child; exec sleep 60' & while [ ! -s child ]; do sleep 0.02; done; echo over"
    outcome = await outcome_of(executor, script, folder)

    assert outcome == Succeeded(b'"over\\n"')
    os.kill(await noted(folder / "child"), 9)


async def test_no_zombies_and_no_descriptors_are_left(executor: Executor, folder: Path) -> None:
    await outcome_of(executor, ":", folder)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a folder of links
    await asyncio.gather(*(outcome_of(executor, "exit 1", folder) for _ in range(5)))
    await outcome_of(executor, STUBBORN, folder, limit=0.3)

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
    assert zombies() == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no pipe tells whether the command began")
async def test_a_process_that_was_forked_while_a_command_began_keeps_nobody_waiting(
    executor: Executor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []
    popen = command_process._popen  # pyright: ignore[reportPrivateUsage]

    def forked(arguments: Any, output: int, inherited: tuple[int, int], *rest: Any) -> Any:
        copies.extend(os.dup(end) for end in (output, *inherited))  # as a fork has them, for as long as it lives
        return popen(arguments, output, inherited, *rest)

    def end() -> None:
        while copies:
            os.close(copies.pop())

    monkeypatch.setattr(command_process, "_popen", forked)
    dies = Timer(5, end)
    dies.start()
    outcome = await outcome_of(executor, "echo over", folder)

    assert copies, "it waited for the end of the fork"
    assert outcome == Succeeded(b'"over\\n"')
    dies.cancel()
    end()


async def test_where_the_system_tells_of_no_end_it_is_looked_for(
    executor: Executor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_arguments: object) -> int:
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", none)
    outcome = await outcome_of(executor, "sleep 60 & echo $! > child; echo over; exit 3", folder)

    assert "ended with status 3" in message(outcome)
    await gone(await noted(folder / "child"))


WORKER = """
import asyncio, sys, tempfile
from datetime import UTC, datetime
from jetq.execution.command import Command
from jetq.execution.executor import Executor
from jetq.model.record import TaskRecord
from jetq.routing.handler import HandlerOptions

async def main() -> None:
    handler = Command.checked(["/bin/sh", "-c", sys.argv[1]]).handler("x", HandlerOptions())
    record = TaskRecord(id="1", type="x", created=datetime.now(UTC))
    await Executor(threads=1).start(handler, record, limit=60.0).run()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a group with who made it")
async def test_nothing_outlives_a_worker_that_is_killed(folder: Path) -> None:
    script = f"echo $JETQ_TASK > file; sleep 60 & echo $! > child; {STUBBORN}"
    worker = subprocess.Popen(  # noqa: ASYNC220 - it is killed at once
        [sys.executable, "-c", WORKER, script], cwd=folder, env={**os.environ, "TMPDIR": str(folder / "tmp")}
    )
    pid, child = await noted(folder / "pid"), await noted(folder / "child")
    left = Path(read(folder / "file"))
    assert is_there(left)
    assert sweep() == 0, "a file of a worker that lives"
    worker.kill()
    worker.wait()
    await gone(pid)
    await gone(child)

    assert is_there(left)
    assert sweep() == 1
    assert list((folder / "tmp").iterdir()) == []


def test_a_folder_in_which_the_file_is_still_to_come_is_left_alone(folder: Path) -> None:
    young, old = folder / "tmp" / "jetq-task-young", folder / "tmp" / "jetq-task-old"
    for each in (young, old):
        each.mkdir()
        (each / "new").touch()
    os.utime(old, (0, 0))

    assert sweep() == 1
    assert young.exists()
    assert stat.S_ISDIR(young.stat().st_mode)
    assert not old.exists()


# what is said of it


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"arguments": "./call.sh --fast"}, "no shell takes a text apart"),
        ({"arguments": []}, "a list of the program and its arguments"),
        ({"arguments": [""]}, "a list of the program and its arguments"),
        ({"arguments": ["./call.sh", 3]}, "texts without"),
        ({"arguments": ["a\0b"]}, "texts without"),
        ({"output": "xml"}, "'auto', 'json', 'text', 'base64'"),
        ({"max_output": 0}, "max_output"),
        ({"grace": 60}, "at most 5 seconds"),
        ({"terminate_on": 0}, "terminate_on"),
        ({"terminate_on": [1, 256]}, "terminate_on"),
        ({"env": {"A=B": "c"}}, "names without ="),
        ({"env": {"JETQ_TASK": "c"}}, "name the file with the task"),
    ],
)
def test_what_cannot_be_is_said_where_it_is_registered(said: dict[str, Any], sentence: str) -> None:
    defaults: dict[str, Any] = {"arguments": ["true"]}
    with pytest.raises(InvalidSettingError, match=sentence):
        Command.checked(**defaults | said)


def test_the_handler_of_a_command_has_its_name() -> None:
    handler = Command.checked(["./call.sh", "a b", "x" * 100]).handler("shop:*", HandlerOptions())

    assert handler.name == f"command:./call.sh 'a b' {'x' * 61}..."
    with pytest.raises(InvalidPatternError):
        Command.checked(["true"]).handler("no good", HandlerOptions())
    with pytest.raises(InvalidPayloadError, match="by name"):
        handler.encode_call((1,), {}, "shop:do")
    assert handler.encode_call((), {"url": "x"}, "shop:do") == b'{"url":"x"}'
