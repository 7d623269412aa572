"""Records for the tests of this folder."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from jetq.execution.executor import Execution, Executor
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.routing.handler import HandlerOptions, make_handler


def record(payload: bytes | None = None, **changes: Any) -> TaskRecord:
    """Return a record that a claim could have written."""
    values: dict[str, Any] = {
        "id": "01TASK",
        "type": "shop:do",
        "queue": "SHOP",
        "payload": payload,
        "state": State.ACTIVE,
        "created": datetime(2026, 1, 2, tzinfo=UTC),
        "tries": 2,
        "runs": 3,
    }
    return TaskRecord(**values | changes)


def execution(
    executor: Executor,
    function: Callable[..., Any],
    payload: bytes | None = None,
    *,
    limit: float = 30.0,
    middleware: tuple[Callable[..., Any], ...] = (),
    **changes: Any,
) -> Execution:
    """Start a run of a function."""
    handler = make_handler(function, "shop:*", HandlerOptions(middleware=middleware))
    return executor.start(handler, record(payload, **changes), limit=limit, worker="01WORKER")
