"""Handlers in processes of their own, in a real worker."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jetq.app.application import App
from jetq.errors import TaskCancelledError, TaskExpiredError, TaskTerminatedError
from jetq.execution.process_pool import ProcessPool
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event, TaskProgressed, TaskStateChanged
from jetq.model.state import State
from jetq.model.surroundings import CallsWaiting, ProcessEnd, ProcessEnded, ProcessReady
from jetq.settings import WorkerSettings
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker import pool_app

SETTINGS = WorkerSettings(concurrency=10, shutdown_timeout=5.0, pool_processes=2, janitor=False)
ONE = replace(SETTINGS, pool_processes=1)


@pytest.fixture
async def app(server: EmbeddedServer, namespace: str, told: list[Event]) -> AsyncIterator[App]:
    """Give the application that other processes find, on this test's namespace."""
    app = pool_app.app
    app.reconfigure(replace(app.settings, namespace=namespace))
    app.connect_to(server.address)
    forget = app.bus.listen(told.append)
    yield app
    forget()
    await app.aclose()


def pool_of(worker: Worker) -> ProcessPool:
    pool = worker._executor._processes  # pyright: ignore[reportPrivateUsage]
    assert pool is not None
    return pool


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def true_that(condition: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def holds() -> object:
        return condition()

    return holds


def children() -> list[int]:
    """Return the processes for handlers of this process."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) != os.getpid():
                continue
            if b"jetq.runtime.pool_program" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


async def noted(path: Path) -> None:
    """Return when a handler has noted that it runs."""
    await eventually(true_that(lambda: path.exists() and path.read_text()))


def states_of(told: list[Event]) -> list[State]:
    return [event.state for event in told if isinstance(event, TaskStateChanged)]


async def death_of(pid: int) -> None:
    """Return when a process is no more, or nobody's to wait for."""

    def is_dead() -> bool:
        try:
            return ") Z " in Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True

    await eventually(true_that(is_dead))


async def test_a_call_runs_in_another_process_with_its_context(app: App) -> None:
    async with Worker(app, settings=SETTINGS) as worker:
        handle = await pool_app.where.aenqueue()
        found = await handle.aresult(10)
        pids = pool_of(worker).pids

    assert found["pid"] in pids
    assert found["pid"] != os.getpid()
    assert found["session"] == found["pid"]
    assert (found["worker"], found["task"], found["attempt"]) == (worker.id, handle.id, 1)
    assert found["state"] == {"started": found["pid"]}
    assert 3500 < found["left"] <= 3600
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("value", [None, 1, "é", {"a": [1, {"b": None}]}, 2**70], ids=repr)
async def test_what_a_handler_returns_is_what_comes_back(app: App, value: pool_app.Json) -> None:
    async with Worker(app, settings=ONE):
        assert await (await pool_app.echo.aenqueue(value)).aresult(10) == value


async def test_a_process_is_kept_for_the_next_call(app: App) -> None:
    async with Worker(app, settings=ONE):
        found = [await (await pool_app.where.aenqueue()).aresult(10) for _ in range(3)]

    assert len({each["pid"] for each in found}) == 1


async def test_a_result_that_is_no_json_ends_the_task_with_the_words_of_every_pool(app: App) -> None:
    async with Worker(app, settings=ONE):
        with pytest.raises(TaskTerminatedError, match=r"a value of type object cannot be written as JSON \(at lock\)"):
            await (await pool_app.odd.aenqueue()).aresult(10)


async def test_an_exception_that_nobody_could_send_keeps_its_class_message_and_traceback(app: App) -> None:
    async with Worker(app, settings=ONE):
        with pytest.raises(TaskExpiredError) as raised:
            await (await pool_app.fail.aenqueue()).aresult(10)

    error = raised.value
    assert error.error_type == "tests.integration.worker.pool_app.UnpicklableError"
    assert error.error_message.startswith("1 and <object object")
    assert "in fail\n    raise UnpicklableError(1, second=object())" in error.remote_traceback
    assert "process_child" not in error.remote_traceback


async def test_rules_about_exceptions_know_the_classes(app: App) -> None:
    async with Worker(app, settings=ONE):
        handle = await pool_app.hopeless.aenqueue()
        with pytest.raises(TaskTerminatedError, match="given_up"):
            await handle.aresult(10)
        record = await handle.arecord()

    assert record.tries == 1


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ({"a": [1]}, {"seen": {"a": [1]}, "arguments": {"value": {"a": [1]}}}),
        ("raise", {"error": "tests.integration.worker.pool_app.HopelessError", "message": "1 and 2", "notes": 1}),
        ("retry", {"signal": "once more"}),
    ],
    ids=["value", "error", "signal"],
)
async def test_middleware_sees_values_errors_and_signals(app: App, value: pool_app.Json, seen: object) -> None:
    async with Worker(app, settings=ONE):
        assert await (await pool_app.around.aenqueue(value)).aresult(10) == seen


async def test_middleware_that_lets_an_error_pass_changes_nothing_of_what_follows(app: App) -> None:
    async with Worker(app, settings=ONE):
        with pytest.raises(TaskTerminatedError, match="given_up") as raised:
            await (await pool_app.watched.aenqueue()).aresult(10)

    assert raised.value.error_type == "tests.integration.worker.pool_app.HopelessError"
    assert "in watched\n    raise HopelessError(1, second=2)" in raised.value.remote_traceback


@pytest.mark.parametrize(("kind", "tries"), [("retry", 2), ("snooze", 1)])
async def test_signals_mean_the_same_as_elsewhere(app: App, kind: str, tries: int) -> None:
    async with Worker(app, settings=ONE):
        handle = await pool_app.signal_back.aenqueue(kind)
        assert await handle.aresult(10) == f"{kind} again"
        assert (await handle.arecord()).tries == tries


async def test_terminate_ends_the_task(app: App) -> None:
    async with Worker(app, settings=ONE):
        with pytest.raises(TaskTerminatedError, match="enough"):
            await (await pool_app.signal_back.aenqueue("terminate")).aresult(10)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("SIGKILL", "was killed by SIGKILL"),
        ("segv", "was killed by SIGSEGV"),
        ("exit", "ended with status 7"),
    ],
)
async def test_a_process_that_dies_costs_its_task_one_try(app: App, told: list[Event], how: str, words: str) -> None:
    async with Worker(app, settings=ONE) as worker:
        handle = await pool_app.die.aenqueue(how)
        assert await handle.aresult(10) == 2
        record = await handle.arecord()
        assert len(pool_of(worker).pids) == 1

    retries = [event for event in told if isinstance(event, TaskStateChanged) and event.state is State.RETRY]
    assert len(retries) == 1
    assert words in retries[0].last_err
    assert "MiB of memory at most" in retries[0].last_err
    assert retries[0].outcome == "crashed"
    assert (record.tries, record.crashes) == (2, 1)


async def test_sys_exit_is_an_error_of_the_handler_and_no_death(app: App) -> None:
    async with Worker(app, settings=ONE) as worker:
        before = pool_of(worker).pids
        handle = await pool_app.die.aenqueue("sys.exit")
        assert await handle.aresult(10) == 2
        assert (await handle.arecord()).crashes == 0
        assert pool_of(worker).pids == before


async def test_what_kills_three_processes_is_not_run_a_fourth_time(app: App) -> None:
    async with Worker(app, settings=ONE):
        handle = await pool_app.die.aenqueue("SIGKILL", times=9)
        with pytest.raises(TaskTerminatedError, match="crash"):
            await handle.aresult(20)
        record = await handle.arecord()

    assert (record.end, record.crashes, record.runs) == ("crash", 3, 3)
    assert record.error is not None
    assert record.error.type == "ProcessDiedError"
    assert "SIGKILL" in record.error.message


async def test_the_error_tells_how_much_memory_was_held(app: App) -> None:
    async with Worker(app, settings=ONE):
        handle = await pool_app.eat.aenqueue(300)
        with pytest.raises(TaskExpiredError, match=r"held [3-5]\d\d MiB of memory at most"):
            await handle.aresult(10)


async def test_the_time_limit_kills_the_process_of_that_task_alone(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=SETTINGS) as worker:
        stays = await pool_app.hold.aenqueue(str(tmp_path / "stays"), 2.0)
        await noted(tmp_path / "stays")
        goes = await pool_app.hold.using(timeout=0.3).aenqueue(str(tmp_path / "goes"), forever=True)
        with pytest.raises(TaskExpiredError, match=r"ran longer than its limit of 0\.3 s"):
            await goes.aresult(10)
        pid = int((tmp_path / "goes").read_text())
        await death_of(pid)
        assert await stays.aresult(10) == "slept"
        await eventually(true_that(lambda: len(pool_of(worker).pids) == 2))

    assert not (tmp_path / "goes.told").exists()


async def test_the_time_limit_holds_for_a_frozen_process(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=ONE):
        handle = await pool_app.hold.using(timeout=0.6).aenqueue(str(tmp_path / "held"))
        await noted(tmp_path / "held")
        os.kill(int((tmp_path / "held").read_text()), signal.SIGSTOP)
        with pytest.raises(TaskExpiredError, match=r"limit of 0\.6 s"):
            await handle.aresult(5)
        assert await (await pool_app.echo.aenqueue(1)).aresult(5) == 1


async def test_what_a_handler_started_ends_with_its_process(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=ONE):
        with pytest.raises(TaskExpiredError):
            await (await pool_app.child.aenqueue(str(tmp_path / "pid"))).aresult(10)
        pid = int((tmp_path / "pid").read_text())
        await death_of(pid)


async def test_the_soft_limit_is_raised_in_the_handler(app: App) -> None:
    async with Worker(app, settings=ONE):
        assert await (await pool_app.soft.aenqueue()).aresult(5) == "soft True"
        with pytest.raises(TaskExpiredError, match=r"soft limit of 0\.2 s"):
            await (await pool_app.softer.aenqueue()).aresult(5)


async def test_a_cancelled_handler_is_told_and_its_process_stays(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=ONE) as worker:
        before = pool_of(worker).pids
        handle = await pool_app.hold.aenqueue(str(tmp_path / "held"))
        await noted(tmp_path / "held")
        await handle.acancel()
        with pytest.raises(TaskCancelledError):
            await handle.aresult(10)
        assert "HandlerStopped" in (tmp_path / "held.told").read_text()
        assert pool_of(worker).pids == before


async def test_a_cancelled_handler_that_goes_on_is_killed_with_its_process(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=ONE):
        handle = await pool_app.hold.aenqueue(str(tmp_path / "held"), forever=True)
        await noted(tmp_path / "held")
        pid = int((tmp_path / "held").read_text())
        await handle.acancel()
        with pytest.raises(TaskCancelledError):
            await handle.aresult(10)
        await death_of(pid)


async def test_progress_comes_back_and_the_last_word_counts(app: App, told: list[Event]) -> None:
    async with Worker(app, settings=ONE):
        await (await pool_app.tell.aenqueue(10_000)).aresult(10)

    said = [event.progress.current for event in told if isinstance(event, TaskProgressed)]
    assert said == sorted(said)
    assert said[-1] == 10_000
    assert len(said) < 100


async def test_a_run_can_be_extended(app: App) -> None:
    async with Worker(app, settings=ONE):
        assert await (await pool_app.longer.aenqueue()).aresult(10) == "extended"


async def test_a_handler_enqueues_from_its_process(app: App) -> None:
    async with Worker(app, settings=ONE):
        more = await (await pool_app.more.aenqueue()).aresult(10)
        assert await app.handle(more).aresult(10) == "from a process"


async def test_the_time_limit_counts_from_when_a_process_is_free(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=ONE):
        first = await pool_app.hold.aenqueue(str(tmp_path / "first"), 1.5)
        await noted(tmp_path / "first")
        second = await pool_app.hold.using(timeout=1.0).aenqueue(str(tmp_path / "second"), 0.2)
        assert await first.aresult(10) == "slept"
        assert await second.aresult(10) == "slept"


async def test_a_stopping_worker_gives_back_what_waits_for_a_process(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=ONE) as worker:
        running = await pool_app.hold.aenqueue(str(tmp_path / "first"), 1.0)
        await noted(tmp_path / "first")
        waiting = await pool_app.echo.aenqueue(1)
        await eventually(true_that(lambda: worker.running == 2))
        begun = time.monotonic()
    record = await waiting.arecord()

    assert time.monotonic() - begun < 3
    assert await running.aresult(5) == "slept"
    assert (record.state, record.tries) == (State.RETRY, 0)


async def test_a_task_whose_deadline_passes_while_it_waits_for_a_process_ends_then_without_starting(
    app: App, tmp_path: Path
) -> None:
    async with Worker(app, settings=ONE):
        running = await pool_app.hold.aenqueue(str(tmp_path / "first"), 3.0)
        await noted(tmp_path / "first")
        late = await pool_app.hold.using(deadline=0.7).aenqueue(str(tmp_path / "late"))
        with pytest.raises(TaskExpiredError):
            await late.aresult(10)
        assert await running.astate() == State.ACTIVE
        assert await running.aresult(10) == "slept"

    assert not (tmp_path / "late").exists()


async def test_a_process_is_replaced_after_so_many_tasks(app: App) -> None:
    async with Worker(app, settings=replace(ONE, max_tasks_per_process=2)):
        found = [(await (await pool_app.where.aenqueue()).aresult(10))["pid"] for _ in range(5)]

    assert [found[0], found[2], found[4]] == [found[1], found[3], found[4]]
    assert len(set(found)) == 3


async def test_a_process_is_replaced_after_the_task_that_took_too_much_memory(app: App) -> None:
    async with Worker(app, settings=replace(ONE, max_memory_per_process=300 * 2**20)):
        first = (await (await pool_app.where.aenqueue()).aresult(10))["pid"]
        second, _ = await (await pool_app.grow.aenqueue(300)).aresult(10)
        third = (await (await pool_app.where.aenqueue()).aresult(10))["pid"]

    assert first == second
    assert third != second


async def test_it_is_told_why_a_process_ended(app: App, told: list[Event], tmp_path: Path) -> None:
    async with Worker(app, settings=replace(ONE, max_tasks_per_process=1)):
        await (await pool_app.echo.aenqueue(1)).aresult(10)
        late = await pool_app.hold.using(timeout=0.3).aenqueue(str(tmp_path / "late"))
        with pytest.raises(TaskExpiredError):
            await late.aresult(10)
        stubborn = await pool_app.hold.aenqueue(str(tmp_path / "stubborn"), forever=True)
        await noted(tmp_path / "stubborn")
        await stubborn.acancel()
        with pytest.raises(TaskCancelledError):
            await stubborn.aresult(10)
        assert await (await pool_app.die.aenqueue("SIGKILL")).aresult(10) == 2

    ended = [event for event in told if isinstance(event, ProcessEnded)]
    reasons = [event.reason for event in ended]
    assert reasons[:4] == [ProcessEnd.MAX_TASKS, ProcessEnd.TIME_LIMIT, ProcessEnd.CANCEL, ProcessEnd.CRASH]
    assert all(event.peak_memory > 2**20 and event.calls == 1 for event in ended[:4])
    assert len(ended) == sum(isinstance(event, ProcessReady) for event in told)


async def test_it_is_told_how_many_calls_wait_for_a_process(app: App, told: list[Event], tmp_path: Path) -> None:
    def waiting() -> list[int]:
        return [event.waiting for event in told if isinstance(event, CallsWaiting)]

    async with Worker(app, settings=ONE):
        await pool_app.hold.aenqueue(str(tmp_path / "first"), 0.5)
        await noted(tmp_path / "first")
        others = [await pool_app.echo.aenqueue(number) for number in range(2)]
        await eventually(true_that(lambda: waiting() == [1, 2]))
        assert [await other.aresult(10) for other in others] == [0, 1]

    assert waiting() == [1, 2, 1, 0]


def make_group(root: str, limit: str) -> Path | None:
    """Make a control group whose processes may hold 128 MiB together; None where that is not possible."""
    group = Path(root) / f"jetq-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        return None
    with contextlib.suppress(OSError):
        if (group / limit).exists() and (group / "cgroup.procs").exists():
            (group / limit).write_text(str(128 * 2**20))
            return group
    group.rmdir()
    return None


@pytest.fixture
def small_group() -> Iterator[Path]:
    """Give a control group of version 2 or 1; a system that lets nobody make one skips."""
    groups = [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")]
    group = next(filter(None, (make_group(root, limit) for root, limit in groups)), None)
    if group is None:
        pytest.skip("no control group can be made here")
    yield group
    group.rmdir()


async def test_a_process_that_the_kernel_kills_out_of_memory_costs_one_try(
    app: App, told: list[Event], small_group: Path
) -> None:
    async with Worker(app, settings=ONE):
        handle = await pool_app.eat_within.aenqueue(str(small_group), 600)
        assert await handle.aresult(20) == "ran again"
        record = await handle.arecord()

    assert (record.tries, record.crashes) == (2, 1)
    [died] = [event.last_err for event in told if isinstance(event, TaskStateChanged) and event.outcome == "crashed"]
    assert re.search(r"was killed by SIGKILL.* (9\d|\d{3}) MiB of memory at most", died), died


async def test_an_idle_process_that_was_killed_is_not_given_a_task(app: App) -> None:
    async with Worker(app, settings=ONE) as worker:
        [pid] = pool_of(worker).pids
        os.kill(pid, signal.SIGKILL)
        await death_of(pid)
        handle = await pool_app.where.aenqueue()
        assert (await handle.aresult(10))["pid"] != pid
        assert (await handle.arecord()).crashes == 0


async def test_a_process_that_dies_before_it_reads_its_call_costs_no_try(app: App, told: list[Event]) -> None:
    async with Worker(app, settings=ONE) as worker:
        [pid] = pool_of(worker).pids
        os.kill(pid, signal.SIGSTOP)
        handle = await pool_app.where.aenqueue()
        await eventually(true_that(lambda: State.ACTIVE in states_of(told)))
        os.kill(pid, signal.SIGKILL)
        assert (await handle.aresult(10))["pid"] != pid
        record = await handle.arecord()
        assert (record.tries, record.crashes) == (1, 0)


async def test_a_process_that_is_killed_while_it_starts_costs_no_task_a_try(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=SETTINGS) as worker:
        first = await pool_app.hold.aenqueue(str(tmp_path / "first"), 2.0)
        await noted(tmp_path / "first")
        [before] = pool_of(worker).pids
        second = await pool_app.echo.aenqueue(1)

        async def starts() -> bool:
            found = set(children()) - {before}
            for pid in found:
                os.kill(pid, signal.SIGKILL)
            return bool(found)

        await eventually(starts)
        assert await second.aresult(10) == 1
        assert await first.aresult(10) == "slept"
        record = await second.arecord()

    assert (record.tries, record.crashes) == (1, 0)


async def test_the_loop_goes_on_while_processes_compute(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=SETTINGS):
        held = [await pool_app.hold.aenqueue(str(tmp_path / str(number)), 0.5) for number in range(2)]
        slowest = 0.0
        for _ in range(50):
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            slowest = max(slowest, time.monotonic() - begun)
        for handle in held:
            await handle.aresult(10)

    assert slowest < 0.3


async def test_a_worker_that_waits_no_longer_tells_its_handlers_and_gives_their_tasks_back(
    app: App, tmp_path: Path
) -> None:
    async with Worker(app, settings=replace(ONE, shutdown_timeout=0.1)):
        handle = await pool_app.hold.aenqueue(str(tmp_path / "held"))
        await noted(tmp_path / "held")
    record = await handle.arecord()

    assert (record.state, record.tries) == (State.RETRY, 0)
    assert "HandlerStopped" in (tmp_path / "held.told").read_text()


async def test_a_handler_whose_run_is_lost_is_told(app: App, tmp_path: Path) -> None:
    async with Worker(app, settings=ONE) as worker:
        await pool_app.hold.aenqueue(str(tmp_path / "held"))
        await noted(tmp_path / "held")
        [entry] = worker._table.entries()  # pyright: ignore[reportPrivateUsage]
        worker._attempts.lose(entry)  # pyright: ignore[reportPrivateUsage]
        await noted(tmp_path / "held.told")

    assert "HandlerStopped" in (tmp_path / "held.told").read_text()


async def test_a_task_of_many_calls_makes_them_in_one_process(app: App) -> None:
    async with Worker(app, settings=ONE):
        handle = await pool_app.echo.starmap([(1,), ("two",), (None,)]).aenqueue()
        assert await handle.aresult(10) == [1, "two", None]


async def test_large_payloads_and_results_go_over(app: App) -> None:
    text = "é" * 200_000
    async with Worker(app, settings=ONE):
        assert await (await pool_app.echo.aenqueue(text)).aresult(10) == text


async def test_parents_results_are_there(app: App) -> None:
    async with Worker(app, settings=ONE):
        parent = await pool_app.echo.aenqueue({"a": 1})
        child = await pool_app.echo.using(depends_on=[parent], into="value").aenqueue()
        assert await child.aresult(10) == [{"a": 1}]
