"""
orders: what a supervisor's messages mean to a worker, and what it is told.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from jetq.model.supervision import LoopBlocked, SupervisorLost
from jetq.observe.bus import Bus
from jetq.wire.liveness import Alive, Blocked, Inherit, Inherited, Leaving, Measure, Quiet, Stop, ToChild
from jetq.worker.attempt import Attempts
from jetq.worker.condition import Condition
from jetq.worker.inheritance import Inheritance
from jetq.worker.lease_keeper import Order
from jetq.worker.loop_watch import LoopWatch
from jetq.worker.supervision import Supervision
from jetq.worker.vigil import Vigil


class Obeying(Struct, frozen=True):
    """
    What a worker can be told to do, in its own loop.

    Attributes:
        stop, cancel, quiet: As its methods.
        begin: Starts work that it waits for when it stops.
    """

    stop: Callable[[], None]
    cancel: Callable[[], None]
    quiet: Callable[[], None]
    begin: Callable[[Coroutine[Any, Any, None]], None]


class Orders:
    """
    Takes orders in the lease thread, and lets the worker's loop carry them out. Make it in that loop.

    Args:
        worker: The worker's id.
        obeying: What it can be told to do.
        attempts: Its runs.
        inheritance: Takes care of what dead siblings had in flight.
        supervision: The supervisor, if there is one.
        condition: How the worker is; told what the lease thread sees.
        bus: Told of a blocked loop, and of a supervisor that is gone.
    """

    def __init__(
        self,
        worker: str,
        obeying: Obeying,
        *,
        attempts: Attempts,
        inheritance: Inheritance,
        supervision: Supervision | None,
        condition: Condition,
        bus: Bus,
    ) -> None:
        self._worker = worker
        self._obeying = obeying
        self._attempts = attempts
        self._inheritance = inheritance
        self._supervision = supervision
        self._condition = condition
        self._bus = bus
        self._loop = asyncio.get_running_loop()

    def vigil(self) -> Vigil:
        """Return what is to be done in the lease thread."""
        return Vigil(
            LoopWatch(self._attempts.executions),
            alive=self._alive,
            on_blocked=self._tell_blocked,
            supervision=self._supervision,
            on_message=self._obey,
            on_lost=self._lose_supervisor,
        )

    def obey(self, order: Order) -> None:
        """Do what somebody asks from outside; called in the lease thread."""
        if order == "quiet":
            self._loop.call_soon_threadsafe(self._obeying.quiet)
        else:
            if self._supervision is not None:
                self._supervision.say(Leaving())
            self._loop.call_soon_threadsafe(self._obeying.stop)

    def _alive(self, blocked: Blocked | None) -> Alive:
        attempts, overdue = self._attempts, self._attempts.overdue()
        self._condition.look(attempts.running, blocked, overdue)
        reasons = self._condition.reasons()
        return Alive(running=attempts.running, done=attempts.done, blocked=blocked, overdue=overdue, reasons=reasons)

    def _tell_blocked(self, blocked: Blocked) -> None:
        self._bus.emit(
            LoopBlocked(
                worker=self._worker,
                seconds=blocked.seconds,
                task_id=blocked.task_id,
                task_type=blocked.task_type,
                stack=blocked.stack,
            )
        )

    def _obey(self, message: ToChild) -> None:
        obeying, call = self._obeying, self._loop.call_soon_threadsafe
        match message:
            case Stop():
                call(obeying.cancel if message.now else obeying.stop)
            case Quiet():
                call(obeying.quiet)
            case Inherit():
                call(self._inherit, message)
            case Measure():
                return

    def _lose_supervisor(self) -> None:
        self._bus.emit(SupervisorLost(worker=self._worker))
        self._loop.call_soon_threadsafe(self._obeying.stop)

    def _inherit(self, message: Inherit) -> None:
        async def take() -> None:
            done = await self._inheritance.take(message.worker, message.death, message.runs)
            if done and self._supervision is not None:
                self._supervision.say(Inherited(message.worker))

        self._obeying.begin(take())
