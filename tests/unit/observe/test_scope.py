"""The names of a run follow the code that it starts, and no other."""

import asyncio
from contextvars import copy_context

from jetq.observe.scope import TaskScope, current_scope

SCOPE = TaskScope("A1", "email:new", "EMAIL", 1, "W1")


def test_outside_of_a_run_there_is_no_scope() -> None:
    assert copy_context().run(current_scope.get) is None


async def test_tasks_and_threads_of_a_run_are_in_its_scope() -> None:
    token = current_scope.set(SCOPE)
    try:
        inner = asyncio.create_task(asyncio.to_thread(current_scope.get))
    finally:
        current_scope.reset(token)

    assert await inner == SCOPE
    assert current_scope.get() is None
