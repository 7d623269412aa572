"""What is left of a feature of jetq after Go has written the record: the table of docs/explanation/asyncjobs.md."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import OperationRefusedError
from jetq.execution.context import Context
from jetq.model.retry import Fixed
from jetq.model.signing import SigningSettings
from jetq.model.state import State
from jetq.wire.signature import Signer
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go

SEED = b"a seed of ours, thirty-two bytes"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def failed_in_go(app: App, go: Go, handle: TaskHandle[Any]) -> None:
    """Let Go try a task once; it comes again after a minute at the earliest."""
    worker = await go.worker(app.settings.default_queue, "-retry=default")

    async def has_failed() -> bool:
        return (await handle.arecord()).state is State.RETRY

    await eventually(has_failed)
    await worker.kill()


async def test_a_task_goes_on_with_what_go_keeps(make_app: Callable[..., App], go: Go) -> None:
    app = make_app(signing=SigningSettings(key=SEED.hex(), verify=[Signer(SEED).public_key]))
    seen: list[tuple[int, int, object]] = []

    @app.task("go:fail")
    async def number(ctx: Context, number: int) -> int:
        seen.append((ctx.attempt, number, ctx.deadline))
        return number

    await prepared(app)
    handle = await app.aenqueue(
        "go:fail", {"number": 5}, deadline=60, max_tries=4, timeout=9, retry=Fixed(3), retention=3600, trace=TRACE
    )
    before = await handle.arecord()
    await failed_in_go(app, go, handle)
    await app.aretry(handle.id)  # nobody has to wait for Go's pause
    async with Worker(app, settings=WORKER):
        assert await handle.aresult(10) == 5

    after = await handle.arecord()
    kept = ("id", "type", "queue", "payload", "deadline", "max_tries", "created", "signature")
    assert {key: getattr(after, key) for key in kept} == {key: getattr(before, key) for key in kept}
    assert (before.options is None, after.options, after.trace, after.nonce) == (False, None, "", "")
    assert (seen, after.runs, after.last_err) == ([(1, 5, before.deadline)], 1, "")


async def test_a_unique_key_holds_while_go_runs_its_task_and_no_longer(app: App, queue: str, go: Go) -> None:
    backend = await prepared(app)
    worker = await go.worker(queue)
    first = await app.aenqueue("go:wait", unique="the one")
    await worker.until("waits", first.id)
    again = await app.aenqueue("go:wait", unique="the one")
    assert (again.id, again.is_new) == (first.id, False)

    backend.connection.send(f"interop.{first.id}", b"told")
    await first.aresult(10)
    assert (await app.aenqueue("go:wait", unique="the one")).is_new


async def test_a_cancel_waits_until_go_has_ended_a_try(app: App, queue: str, go: Go) -> None:
    backend = await prepared(app)
    worker = await go.worker(queue)
    handle = await app.aenqueue("go:wait")
    await worker.until("waits", handle.id)
    with pytest.raises(OperationRefusedError, match="Go"):
        await app.acancel(handle.id)
    backend.connection.send(f"interop.{handle.id}", b"told")
    assert await handle.aresult(10) == "told"
    await worker.kill()  # it would soon try again what fails

    failing = await app.aenqueue("go:fail")
    await failed_in_go(app, go, failing)
    await app.acancel(failing.id)
    assert (await failing.arecord()).state is State.EXPIRED


async def test_what_go_retries_while_it_waits_for_others_waits_no_longer(app: App, queue: str, go: Go) -> None:
    @app.task("py:one")
    async def one(ctx: Context) -> int:
        return len(ctx.dependency_results)

    await prepared(app)
    parent = await app.aenqueue("py:one", delay=600)
    child = await app.aenqueue("py:one", depends_on=[parent])
    await go.peer("retry", queue, child.id)
    async with Worker(app, settings=WORKER):
        assert await child.aresult(10) == 0
        await app.acancel(parent.id)
        await asyncio.sleep(0)
    assert (await child.arecord()).state is State.COMPLETE
