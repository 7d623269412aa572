"""
beat: a process that may lead the schedules: it campaigns, and does the work while it is elected.

Any number of processes may do this, in ``jetq beat`` or beside a worker; one of them leads (`jetstream.election`).
Why no occurrence is lost, and none is made twice:

* An occurrence is its planned time, not the moment at which somebody looks: its id is the schedule's name with that
  time, and its record is created with the expectation that there is none (`admin.occurrences`). Whoever leads, and
  however many do at one time, there is one.
* A schedule's state says up to where its occurrences are made, and is written after they are. A new leader begins there
  (`beat.leader`), so what the last one did not get to is made, within the bounds of ``misfire`` and ``max_late``.
* A leader acts only while its lease lasts, by a clock that counts sleep, and asks before each step. That saves work;
  the two rules above are what makes it safe.
* It steps down when it stops, so that another one takes over at once.
* A process whose clock is more than 2 s off the server's does not campaign, and a leader that finds it so steps down.

A user who may not campaign, or not do what a scheduler must, has no scheduler: that is told once.
"""

import asyncio
import contextlib
import os
import socket
import time
import traceback
from typing import Final, Self

from jetq.admin.janitor_duty import JanitorDuty
from jetq.admin.occurrences import OccurrenceMaker
from jetq.app.application import App
from jetq.beat.clock import LeaderClock
from jetq.beat.deployment import deploy
from jetq.beat.leader import Leader, Term
from jetq.errors import PermissionDeniedError, RequestRefusedError, ServerError, TopologyError
from jetq.jetstream.backend import Backend
from jetq.jetstream.election import Election
from jetq.model.scheduling import ClockDistrusted, SchedulerFailed, SchedulerStarted, SchedulerStopped
from jetq.observe.bus import Bus
from jetq.wire.health import SchedulerHealth
from jetq.wire.ids import new_id
from jetq.wire.signature import Signer

COMPONENT: Final = "task_scheduler"
PREFIX: Final = "jetq-"
"""What the names of jetq's candidates begin with, so that others are told apart."""
_ASK_EVERY: Final = 5.0
"""Seconds between two comparisons of the clocks."""
_AGAIN: Final = 1.0
_STUCK: Final = 20.0
"""Seconds without a turn of its work after which a scheduler counts as stuck; a request is given up in 5."""


class Beat:
    """
    A candidate for the lead of the schedules. Use it with ``async with``; it works until the end of the block.

    Args:
        app: Whose server and namespace it is.
        deploys: Store what the application declares, at the beginning.
        janitor: Be a candidate for the janitor as well.

    Attributes:
        name: In the election; no other one has it.
    """

    def __init__(self, app: App, *, deploys: bool = True, janitor: bool = False) -> None:
        self.name = f"{PREFIX}{socket.gethostname()}-{new_id()}"
        self._app = app
        self._deploys = deploys
        self._janitor = janitor
        self._bus = Bus()
        self._backend: Backend | None = None
        self._clock: LeaderClock | None = None
        self._leader: Leader | None = None
        self._leads = False
        self._looked = 0.0
        self._failure = ""
        self._parts = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """
        Connect, store what the application declares, and begin to campaign.

        Raises:
            ServerError: No connection, or the streams are not as they must be.
            UnusableCredentialsError: The signing key cannot be read, or is none.
            InvalidScheduleError: A declared schedule cannot be meant.
        """
        app = self._app
        app.load()
        signer = Signer.of(app.settings.signing)
        self._bus.listen(app.bus.emit)
        backend = self._backend = await Backend.open(
            app.address(), app.settings, name=f"{app.name} beat", bus=self._bus, queues=app.queues.values()
        )
        self._parts.push_async_callback(backend.close)
        try:
            self._clock = LeaderClock(backend)
            if self._deploys:
                await deploy(app, backend)
            if self._janitor:
                duty = JanitorDuty(backend, app.settings.janitor, name=self.name)
                duty.start()
                self._parts.push_async_callback(duty.stop)
        except BaseException:
            await self._parts.aclose()
            raise
        self._bus.emit(SchedulerStarted(name=self.name))
        self._looked = time.monotonic()
        work = asyncio.get_running_loop().create_task(
            self._main(backend, self._clock, OccurrenceMaker(backend, signer))
        )
        self._parts.push_async_callback(_ended, work)
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Step down, if it leads, and close."""
        await self._parts.aclose()
        self._bus.emit(SchedulerStopped(name=self.name))

    async def _main(self, backend: Backend, clock: LeaderClock, maker: OccurrenceMaker) -> None:
        while True:
            try:
                await self._trust(clock)
                async with Election(
                    backend.connection, backend.names, COMPONENT, self.name, bus=backend.bus
                ) as election:
                    await self._campaign(election, backend, clock, maker)
            except (PermissionDeniedError, TopologyError) as denied:
                self._tell(str(denied), final=True)
                return
            except ServerError as error:
                self._tell(str(error))
            except Exception as error:  # noqa: BLE001 - a defect must not end all schedules of a namespace
                self._tell("".join(traceback.format_exception(error)))
            await asyncio.sleep(_AGAIN)

    async def _trust(self, clock: LeaderClock) -> None:
        """Wait until this machine's clock can be trusted."""
        told = False
        while True:
            self._look()
            if await clock.ask() and clock.is_trusted:
                break
            if not told and not clock.is_trusted:
                told = True
                self._bus.emit(ClockDistrusted(ahead=clock.ahead.total_seconds()))
            await asyncio.sleep(_AGAIN)
        if told:
            self._bus.emit(ClockDistrusted(ahead=0.0))

    async def _campaign(self, election: Election, backend: Backend, clock: LeaderClock, maker: OccurrenceMaker) -> None:
        """Lead whenever elected, as long as the clock can be trusted."""
        while clock.is_trusted:
            self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK_EVERY):
                    await election.elected()
            if election.is_leader:
                await self._lead(election, Leader(backend, maker, clock, self._term(election)), clock)
            else:
                await clock.ask()

    def _term(self, election: Election) -> Term:
        epoch = election.term

        def leads() -> bool:
            return election.is_leader and election.term == epoch

        foreign = bool(election.followed) and not election.followed.startswith(PREFIX)
        return Term(self.name, epoch, leads, after_foreigner=foreign)

    async def _lead(self, election: Election, leader: Leader, clock: LeaderClock) -> None:
        asking = asyncio.get_running_loop().create_task(self._keep_asking(clock))
        self._leader, self._leads = leader, True
        try:
            await leader.lead()
        except RequestRefusedError as refused:
            self._tell(str(refused))
            await asyncio.sleep(_AGAIN)
        finally:
            self._leader, self._leads = None, False
            election.followed = self.name
            await _ended(asking)

    async def _keep_asking(self, clock: LeaderClock) -> None:
        while True:
            self._look()
            await clock.ask()
            await asyncio.sleep(_ASK_EVERY)

    def _look(self) -> None:
        self._looked = time.monotonic()

    def _tell(self, error: str, *, final: bool = False) -> None:
        self._failure = error if final else ""
        self._bus.emit(SchedulerFailed(error=error, final=final))

    # how it is

    @property
    def schedules(self) -> int:
        """How many schedules this leader knows."""
        leader = self._leader
        return 0 if leader is None else leader.shelf.count

    @property
    def rejected(self) -> int:
        """How many of them cannot be used."""
        leader = self._leader
        return 0 if leader is None else len(leader.shelf.rejected)

    @property
    def leads(self) -> bool:
        """Whether it makes the occurrences now."""
        return self._leads

    @property
    def clock_ahead(self) -> float:
        """Seconds that the machine's clock is ahead of the server's."""
        return 0.0 if self._clock is None else self._clock.ahead.total_seconds()

    def health(self) -> SchedulerHealth:
        """Say how it is; any thread may ask."""
        leader, clock, backend = self._leader, self._clock, self._backend
        silent = time.monotonic() - self._looked if self._looked else 0.0
        reasons: list[str] = []
        if silent > _STUCK:
            reasons.append(f"it gave no sign of life for {silent:.0f} s")
        if backend is None or not self._looked:
            reasons.append("it has not begun")
        elif not backend.connection.is_connected:
            reasons.append("the connection is lost")
        if clock is not None and not clock.is_trusted:
            reasons.append(f"this machine's clock is {self.clock_ahead:+.1f} s off the server's")
        if self._failure:
            reasons.append(self._failure)
        return SchedulerHealth(
            live=silent <= _STUCK,
            ready=not reasons,
            reasons=reasons,
            scheduler=self.name,
            pid=os.getpid(),
            leads=self._leads,
            schedules=self.schedules,
            rejected={} if leader is None else dict(leader.shelf.rejected),
            clock_ahead=self.clock_ahead,
        )


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
