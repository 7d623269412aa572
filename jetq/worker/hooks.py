"""
hooks: an application's lifespan and worker hooks, around the life of a worker.

Start: connection → lifespan → start hooks → first pool process → tasks. Stop: the same backwards, after the last task
has ended; each step has its time. A start that raises ends the worker, and what had started before is stopped; a stop
that raises, or takes too long, is told, and the next step follows.
"""

import asyncio
import contextlib
import inspect
import threading
import traceback
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import copy_context
from types import TracebackType
from typing import Any

from jetq.app.lifecycle import Hook, Hooks
from jetq.errors import HookFailedError
from jetq.model.surroundings import HookFailed
from jetq.observe.bus import Bus
from jetq.routing.signature import function_name


class LifeHooks:
    """
    Runs the hooks of a worker process.

    Args:
        hooks: The application's.
        bus: Told of stop hooks that fail.
        patience: Seconds that each step of the stop may take.
    """

    def __init__(self, hooks: Hooks, bus: Bus, patience: float) -> None:
        self._hooks = hooks
        self._bus = bus
        self._patience = patience

    async def begin(self, app: object, parts: AsyncExitStack) -> Any:
        """
        Enter the lifespan and run the start hooks; return what the lifespan yields.

        Args:
            app: For the lifespan.
            parts: Gets what must be done at the end.

        Raises:
            HookFailedError: One raised.
        """
        state = None
        if self._hooks.lifespan is not None:
            lifespan, name = self._hooks.lifespan(app), self._hooks.lifespan_name
            state = await _started("lifespan", name, lifespan.__aenter__())
            parts.push_async_callback(self._leave, lifespan, name)
        for hook in self._hooks.worker_start:
            await _started("on_worker_start", function_name(hook), _called(hook))
        parts.push_async_callback(self._stop)
        return state

    async def _stop(self) -> None:
        for hook in reversed(self._hooks.worker_stop):
            await self._stopped("on_worker_stop", function_name(hook), _called(hook))

    async def _leave(self, lifespan: AbstractAsyncContextManager[Any], name: str) -> None:
        await self._stopped("lifespan", name, lifespan.__aexit__(None, None, None))

    async def _stopped(self, hook: str, name: str, step: Awaitable[object]) -> None:
        limit = asyncio.timeout(self._patience)
        try:
            async with limit:
                await step
        except Exception as error:  # noqa: BLE001 - the user's code must not keep the worker from its end
            text = f"it took longer than {self._patience:g} s" if limit.expired() else _described(error)
            self._bus.emit(HookFailed(hook=hook, function=name, error=text))


async def _called(hook: Hook) -> None:
    """Call a hook; a sync one in a thread, where it may block."""
    if inspect.iscoroutinefunction(hook):
        await hook()
        return
    returned = await _in_thread(hook)
    if inspect.isawaitable(returned):
        await returned


async def _in_thread(hook: Hook) -> Any:
    """Call a hook in a thread of its own: one that never ends keeps neither the stop nor the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def tell(error: BaseException | None, value: Any) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def call() -> None:
        error, value = None, None
        try:
            value = hook()
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - raised again where it is waited for
            error = raised if isinstance(raised, Exception) else RuntimeError(f"it called sys.exit({raised.code!r})")
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, error, value)

    threading.Thread(target=copy_context().run, args=(call,), name="jetq-hook", daemon=True).start()
    return await done


async def _started(hook: str, name: str, step: Awaitable[Any]) -> Any:
    try:
        return await step
    except Exception as error:  # noqa: BLE001 - the user's code, whose error is raised again as the cause
        told = traceback.format_exception_only(error)[-1].strip()
        cause = error.with_traceback(_from_function(error.__traceback__, name))
        raise HookFailedError(hook, name, told) from cause


def _from_function(found: TracebackType | None, name: str) -> TracebackType | None:
    """Return a traceback without what stands before the hook itself."""
    own, wanted = found, name.rpartition(":")[2]
    while own is not None and own.tb_frame.f_code.co_qualname != wanted:
        own = own.tb_next
    return found if own is None else own


def _described(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
