"""Whose tasks a worker runs: those that somebody signed whom it trusts, as they stand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace as changed

from jetq.app.application import App
from jetq.errors import DuplicateTaskError, TaskTerminatedError, UnusableCredentialsError
from jetq.execution.context import Context
from jetq.model.events import Event, SignatureRefused, TaskStateChanged
from jetq.model.signing import SigningSettings
from jetq.model.state import State
from jetq.wire.signature import Signer, Verifier
from jetq.worker.worker import Worker
from tests.integration.worker.conftest import SETTINGS

SEED, OTHER_SEED = b"a" * 32, b"b" * 32
PUBLIC, OTHER = (Signer(seed).public_key for seed in (SEED, OTHER_SEED))
SIGNS = SigningSettings(key=SEED.hex())
VERIFIER = Verifier([bytes.fromhex(PUBLIC)])
MakeApp = Callable[[], App]


def with_keys(app: App, settings: SigningSettings) -> App:
    app.reconfigure(replace(app.settings, signing=settings))
    return app


def doubling(app: App, settings: SigningSettings) -> App:
    """Return the application with keys, and with a handler that counts as well as doubles."""
    app.ran = []  # type: ignore[attr-defined]

    @app.task("double")
    async def double(number: int) -> int:
        app.ran.append(number)  # type: ignore[attr-defined]
        return 2 * number

    return with_keys(app, settings)


async def document_of(app: App, task_id: str) -> Any:
    stored = await (await app.clients.current()).backend.tasks.read(task_id)
    assert stored is not None
    return stored.document


async def test_a_signed_task_runs_where_signatures_are_asked_for(make_app: MakeApp) -> None:
    producer = with_keys(make_app(), SIGNS)
    both = doubling(make_app(), SigningSettings(verify=[OTHER, PUBLIC]))
    one = await producer.aenqueue("double", {"number": 1}, deadline=60)
    many = await producer.aenqueue_many([("double", {"number": number}) for number in (2, 3)])

    async with Worker(both, settings=SETTINGS):
        assert [await handle.aresult(10) for handle in (one, *many)] == [2, 4, 6]
    for handle in (one, *many):
        assert VERIFIER.check(await document_of(producer, handle.id)) is None


async def test_an_unsigned_task_is_ended_and_told(make_app: MakeApp, told: list[Event]) -> None:
    app = doubling(make_app(), SigningSettings(verify=PUBLIC))
    handle = await app.aenqueue("double", {"number": 1})

    async with Worker(app, settings=SETTINGS) as worker:
        with pytest.raises(TaskTerminatedError, match="not signed"):
            await handle.aresult(10)

    record = await handle.arecord()
    assert (record.state, record.end, record.tries, record.run) == (State.TERMINATED, "signature", 0, None)
    assert app.ran == []  # type: ignore[attr-defined]
    [refused] = [event for event in told if isinstance(event, SignatureRefused)]
    assert (refused.task_id, refused.task_type, refused.queue) == (handle.id, "double", "DEFAULT")
    assert (refused.worker, "not signed" in refused.reason) == (worker.id, True)
    ends = [event.end for event in told if isinstance(event, TaskStateChanged) and event.state is State.TERMINATED]
    assert ends == ["signature"]


async def test_an_unsigned_task_runs_where_signatures_are_optional(make_app: MakeApp) -> None:
    app = doubling(make_app(), SigningSettings(verify=PUBLIC, optional=True))
    handle = await app.aenqueue("double", {"number": 1})

    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(10) == 2


@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
async def test_a_task_that_somebody_else_signed_is_ended(make_app: MakeApp, optional: bool) -> None:
    producer = with_keys(make_app(), SigningSettings(key=OTHER_SEED.hex()))
    app = doubling(make_app(), SigningSettings(verify=PUBLIC, optional=optional))
    handle = await producer.aenqueue("double", {"number": 1})

    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskTerminatedError, match="another key signed"):
            await handle.aresult(10)
    assert app.ran == []  # type: ignore[attr-defined]


async def test_a_task_that_was_changed_after_its_item_was_published_is_ended(make_app: MakeApp) -> None:
    producer = with_keys(make_app(), SIGNS)
    app = doubling(make_app(), SigningSettings(verify=PUBLIC))
    handle = await producer.aenqueue("double", {"number": 1})
    tasks = (await producer.clients.current()).backend.tasks
    stored = await tasks.read(handle.id)
    assert stored is not None
    forged = stored.document.updated(changed(stored.record, payload=b'{"number":1000}'))
    await tasks.write(forged, stored.sequence)

    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskTerminatedError, match="the task was changed"):
            await handle.aresult(10)
    assert app.ran == []  # type: ignore[attr-defined]


async def test_a_signature_holds_through_waits_and_tries(make_app: MakeApp) -> None:
    app = make_app()

    @app.task("second", retry=0.01)
    async def second(ctx: Context) -> int:
        if ctx.tries == 1:
            raise ValueError("not yet")
        return ctx.tries

    @app.task("later")
    async def later() -> str:
        return "now"

    with_keys(app, replace(SIGNS, verify=PUBLIC))
    retried, delayed = await app.aenqueue("second"), await app.aenqueue("later", {}, delay=timedelta(seconds=0.3))

    async with Worker(app, settings=SETTINGS):
        assert await retried.aresult(15) == 2
        assert await delayed.aresult(15) == "now"


async def test_an_enqueue_that_takes_over_a_trace_signs_it_again(make_app: MakeApp) -> None:
    unsigned, signing = make_app(), with_keys(make_app(), SIGNS)
    await unsigned.aenqueue("double", {"number": 1}, id="mine")
    backend = (await unsigned.clients.current()).backend
    await backend.connection.api(f"STREAM.PURGE.{backend.names.queue('DEFAULT')}")
    with pytest.raises(DuplicateTaskError):
        await signing.aenqueue("double", {"number": 2}, id="mine")

    await signing.aenqueue("double", {"number": 1}, id="mine", max_tries=3, deadline=60)

    document = await document_of(signing, "mine")
    assert document.record.max_tries == 3
    assert VERIFIER.check(document) is None


async def test_an_enqueue_without_a_key_leaves_no_signature_that_is_wrong(make_app: MakeApp) -> None:
    unsigned, signing = make_app(), with_keys(make_app(), SIGNS)
    await signing.aenqueue("double", {"number": 1}, id="mine")
    backend = (await unsigned.clients.current()).backend
    await backend.connection.api(f"STREAM.PURGE.{backend.names.queue('DEFAULT')}")

    await unsigned.aenqueue("double", {"number": 1}, id="mine", max_tries=3)

    assert (await document_of(signing, "mine")).record.signature == ""


async def test_a_handler_signs_what_it_enqueues(make_app: MakeApp) -> None:
    app = doubling(make_app(), SIGNS)

    @app.task("parent")
    async def parent(ctx: Context) -> str:
        return (await ctx.aenqueue("double", {"number": 4})).id

    with_keys(app, replace(SIGNS, verify=PUBLIC))
    handle = await app.aenqueue("parent")
    async with Worker(app, settings=SETTINGS):
        child = app.handle(await handle.aresult(10))
        assert await child.aresult(10) == 8


async def test_a_key_that_cannot_be_read_stops_who_needs_it_before_anything_is_done(
    make_app: MakeApp, tmp_path: Any
) -> None:
    missing = tmp_path / "key"
    producer = with_keys(make_app(), SigningSettings(key_file=missing))
    with pytest.raises(UnusableCredentialsError, match="no such file"):
        await producer.aenqueue("double", {"number": 1})
    with pytest.raises(UnusableCredentialsError, match="no such file"):
        await Worker(with_keys(make_app(), SigningSettings(verify_files=missing)), settings=SETTINGS).run()

    missing.write_text(SEED.hex())
    assert (await producer.aenqueue("double", {"number": 1})).id
