import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Raw

from jetq.errors import InvalidPayloadError, OutsideTaskError
from jetq.execution.context import Context, current, current_context
from tests.unit.execution.samples import record


def test_a_context_tells_of_its_task() -> None:
    at = datetime(2026, 1, 3, tzinfo=UTC)
    task = record(b'{"a":1}', deadline=at, scheduled_for=at)

    ctx = Context(task, worker="w", limit=10)

    assert ctx.task is task
    assert (ctx.task_id, ctx.task_type, ctx.queue, ctx.worker) == ("01TASK", "shop:do", "SHOP", "w")
    assert (ctx.tries, ctx.attempt) == (2, 3)
    assert (ctx.deadline, ctx.scheduled_for, ctx.created_at) == (at, at, datetime(2026, 1, 2, tzinfo=UTC))
    assert 9 < ctx.time_left <= 10
    assert repr(ctx) == "<Context shop:do 01TASK attempt 3>"


def test_the_idempotency_key_is_the_same_in_every_run() -> None:
    first, second = Context(record(runs=1, tries=1)), Context(record(runs=2, tries=2))

    assert first.idempotency_key == second.idempotency_key
    assert first.idempotency_key != Context(record(id="01OTHER")).idempotency_key


@pytest.mark.parametrize(
    ("payload", "expected"),
    [(None, None), (b"", None), (b"null", None), (b'{"a":1}', {"a": 1}), (b'"{\\"a\\":1}"', '{"a":1}'), (b"[1]", [1])],
)
def test_the_payload_is_always_the_raw_value(payload: bytes | None, expected: Any) -> None:
    ctx = Context(record(payload))

    assert ctx.payload == expected
    assert ctx.payload is ctx.payload


def test_a_payload_that_is_no_json_is_told_when_it_is_read() -> None:
    ctx = Context(record(b"\xff"))

    with pytest.raises(InvalidPayloadError, match="it is no JSON"):
        _ = ctx.payload


def test_the_logger_is_the_applications_or_jetqs() -> None:
    mine = logging.getLogger("mine")

    assert Context(record()).logger is logging.getLogger("jetq.task")
    assert Context(record(), logger=mine).logger is mine


class Notebook:
    def __init__(self) -> None:
        self.enqueued: list[Any] = []

    def enqueue(self, task_type: str, payload: Any = None, **options: Any) -> str:
        self.enqueued.append((task_type, payload, options))
        return "handle"

    async def aenqueue(self, task_type: str, payload: Any = None, **options: Any) -> str:
        return self.enqueue(task_type, payload, **options)


async def test_a_context_enqueues_through_the_application() -> None:
    notebook = Notebook()
    ctx = Context(record(), enqueuer=notebook)

    assert ctx.enqueue("a", {"x": 1}, queue="Q") == "handle"
    assert await ctx.aenqueue("b") == "handle"
    assert notebook.enqueued == [("a", {"x": 1}, {"queue": "Q"}), ("b", None, {})]


async def test_without_an_application_it_cannot() -> None:
    with pytest.raises(OutsideTaskError, match="no application to enqueue with"):
        Context(record()).enqueue("a")
    with pytest.raises(OutsideTaskError, match="no application to enqueue with"):
        await Context(record()).aenqueue("a")


async def test_current_is_the_context_around_us_also_in_threads_and_tasks_that_we_start() -> None:
    ctx = Context(record())
    token = current_context.set(ctx)
    try:
        assert current() is ctx
        assert await asyncio.to_thread(current) is ctx

        async def child() -> Context:
            return current()

        assert await asyncio.create_task(child()) is ctx
    finally:
        current_context.reset(token)


def test_current_outside_of_a_handler_is_an_error() -> None:
    with pytest.raises(OutsideTaskError, match="outside of a handler"):
        current()


def test_the_results_of_parents_come_by_their_ids_in_their_order() -> None:
    results = Raw(b'{"B":{"payload":null,"completed":"2026-01-02T00:00:00Z"},"C":null,"A":{"payload":[1]}}')
    ctx = Context(record(dependencies=["A", "B", "C"], dependency_results=results))

    assert list(ctx.dependency_results.items()) == [("A", [1]), ("B", None)]
    assert ctx.dependency_results is ctx.dependency_results
    assert Context(record()).dependency_results == {}
