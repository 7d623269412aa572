"""
janitor_duty: be ready to be the janitor: campaign, and make passes while elected.

Any number of processes may do this; one of them leads (`jetstream.election`). It waits for a while after its election,
so that what others were about to publish when the last leader went is there, and until the next pass is due: a change
of the leader alone costs no pass. Before each step of a pass it asks whether it still leads; what it does in the moment
in which that ends is harmless (`admin.mending`).

Beside the passes over all tasks it looks after those that wait for others, far more often (`admin.blocked_pass`).

A user who may not campaign, or not do what a pass must, has no janitor: that is told once, and others do it.
"""

import asyncio
import traceback
from collections.abc import Callable
from typing import Final

from jetq.admin.blocked_pass import BlockedPass
from jetq.admin.janitor import Janitor
from jetq.errors import PermissionDeniedError, ServerError, TopologyError
from jetq.jetstream.backend import Backend
from jetq.jetstream.election import Election
from jetq.model.events import JanitorFailed
from jetq.model.quantity import seconds
from jetq.settings import JanitorSettings

COMPONENT: Final = "janitor"
_AGAIN: Final = 30.0
"""Seconds until a pass is tried again that the server did not answer, at the most."""
_LOOK_EVERY: Final = 1.0
"""Seconds between two looks, while there is nothing to do, at whether this leadership goes on."""


class JanitorDuty:
    """
    The part of a process that may be the janitor.

    Args:
        backend: The server.
        settings: When and how.
        name: Of this process, which no other one has.
    """

    def __init__(self, backend: Backend, settings: JanitorSettings, *, name: str) -> None:
        self._backend = backend
        self._settings = settings
        self._every = seconds("every", settings.every)
        self._patience = seconds("patience", settings.patience)
        self._blocked_every = seconds("blocked_every", settings.blocked_every)
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to campaign."""
        self._task = asyncio.get_running_loop().create_task(self._main())
        self._task.add_done_callback(self._on_done)

    async def stop(self) -> None:
        """Step down, so that another process takes over at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tell("".join(traceback.format_exception(error)), final=True)

    async def _main(self) -> None:
        backend = self._backend
        while True:
            try:
                async with Election(
                    backend.connection, backend.names, COMPONENT, self._name, bus=backend.bus
                ) as election:
                    while True:
                        await election.elected()
                        await self._lead(election)
            except (PermissionDeniedError, TopologyError) as denied:
                self._tell(str(denied), final=True)
                return
            except ServerError as error:
                self._tell(str(error))
                await asyncio.sleep(min(self._every, _AGAIN))

    async def _lead(self, election: Election) -> None:
        """Make passes until this leadership is over."""
        term = election.term
        janitor = Janitor(self._backend, self._settings, name=self._name)

        def leads() -> bool:
            return election.is_leader and election.term == term

        watching = asyncio.get_running_loop().create_task(self._watch_blocked(leads))
        watching.add_done_callback(self._on_done)
        try:
            await _rest(self._patience, leads)
            while leads():
                wait = await self._pass(janitor, leads)
                await _rest(wait, leads)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch_blocked(self, leads: Callable[[], bool]) -> None:
        """Look after the tasks that wait for others, until this leadership is over."""
        blocked = BlockedPass(self._backend)
        while leads():
            try:
                await blocked.run(leads)
            except (PermissionDeniedError, TopologyError) as denied:
                self._tell(str(denied), final=True)
                return
            except ServerError as error:
                self._tell(str(error))
            await asyncio.sleep(self._blocked_every)

    async def _pass(self, janitor: Janitor, leads: Callable[[], bool]) -> float:
        """Make a pass if one is due; return the seconds until another is looked at."""
        bus = self._backend.bus
        try:
            left = await janitor.seconds_left(self._every)
            if left > 0:
                return left
            passed = await janitor.run_pass(tell=bus.emit, go_on=leads)
        except (PermissionDeniedError, TopologyError):
            raise
        except ServerError as error:
            self._tell(str(error))
            return min(self._every, _AGAIN)
        bus.emit(passed)
        return self._every

    def _tell(self, error: str, *, final: bool = False) -> None:
        self._backend.bus.emit(JanitorFailed(error=error, final=final))


async def _rest(wait: float, leads: Callable[[], bool]) -> None:
    """Wait for some seconds, and little longer than this leadership: who is elected anew begins anew at once."""
    loop = asyncio.get_running_loop()
    until = loop.time() + wait
    while leads() and (left := until - loop.time()) > 0:  # noqa: ASYNC110 - it also ends by a clock, which sets no event
        await asyncio.sleep(min(left, _LOOK_EVERY))
