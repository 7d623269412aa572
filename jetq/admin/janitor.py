"""
janitor: a pass over all tasks that mends what crashes left behind.

Between a task's record and its item its producer, its worker or an operator may die; the record then asks for what
nobody brings. A pass compares what is asked for with what there is (`admin.census`), judges by the record's age
(`model.upkeep`) and mends (`admin.mending`). It counts what it mended, by kind.

A pass is complete when nothing that should have been put in place was left, because the server refused or was silent;
only then is it noted as the last complete pass (`jetstream.janitor_mark`), by which later ones judge. That note is true
whoever made the pass, and outlives him. What was missing in a pass is remembered by who made it alone: a task ends only
if the same janitor, leading without a break, finds it without its item in two passes in a row. So a new leader ends
nothing in its first pass, and a pass by hand, whose memory ends with it, never does.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Final

from jetq.admin.census import Census, Suspect, stray, take_census
from jetq.admin.flow_pass import FlowPass
from jetq.admin.mending import Mender
from jetq.errors import PermissionDeniedError, ServerError
from jetq.jetstream.backend import Backend
from jetq.jetstream.janitor_mark import JanitorMarks
from jetq.jetstream.record_scan import measure_store
from jetq.model.events import JanitorPassed, TaskRepaired
from jetq.model.quantity import seconds
from jetq.model.upkeep import Horizon
from jetq.settings import JanitorSettings

_AT_ONCE: Final = 50
"""Things that are looked at at one time."""
_FAILURES: Final = 20
"""Refusals and silences of the server until a pass is given up."""

Tell = Callable[[TaskRepaired], None]
Step = Callable[[], Awaitable[None]]


def always() -> bool:
    """Say that a pass may go on."""
    return True


class Janitor:
    """
    Makes passes.

    Args:
        backend: The server.
        settings: How long to be patient.
        name: For the note of a complete pass.
    """

    def __init__(self, backend: Backend, settings: JanitorSettings, *, name: str = "") -> None:
        self._backend = backend
        self._patience = timedelta(seconds=seconds("patience", settings.patience))
        self._name = name
        self._marks = JanitorMarks(backend.connection, backend.publisher, backend.names)
        self._missed: dict[str, int] = {}
        """The tasks that the last pass remembered, and the sequences of their records."""

    async def run_pass(self, *, tell: Tell, go_on: Callable[[], bool] = always, dry_run: bool = False) -> JanitorPassed:
        """
        Make a pass.

        Args:
            tell: Told of each repair.
            go_on: Asked before each step; False ends the pass, which then is incomplete.
            dry_run: Only look; ``tell`` hears what would be mended.

        Raises:
            TopologyError: There is no task store.
            PermissionDeniedError: This user may not look at, or mend, what a janitor must.
            ServerError: No answer, or refusals again and again.
        """
        began = time.monotonic()
        backend = self._backend
        await backend.know_store()
        extent = await measure_store(backend.connection, backend.names)
        started = extent.at or backend.connection.clock.now()
        horizon = Horizon(started, await self._marks.read(), self._patience)
        census = await take_census(backend, horizon, go_on)
        repairs: Counter[str] = Counter()

        def count(repair: TaskRepaired) -> None:
            repairs[repair.kind] += 1
            tell(repair)

        mender = Mender(backend, horizon, census.queues, count, dry_run=dry_run)
        round_ = _Round(census, mender, self._missed, go_on)
        complete = await round_.carry_out()
        if complete and not dry_run:
            await self._marks.write(started, self._name)
        self._missed = round_.missed
        if not dry_run:
            await FlowPass(backend).sweep(census.flows, go_on)
        return JanitorPassed(
            records=census.records,
            repairs=dict(repairs),
            missed=len(round_.missed),
            complete=complete,
            duration=time.monotonic() - began,
        )

    async def seconds_left(self, every: float) -> float:
        """
        Return the seconds until the next pass is due, *every* seconds after the beginning of the last, whose ever.

        Raises:
            ServerError: No answer, or a refusal.
        """
        last = await self._marks.read()
        if last is None:
            return 0.0
        return min(every, every - (self._backend.connection.clock.now() - last).total_seconds())


class _Round:
    """
    Goes through what a census found.

    Attributes:
        missed: What is to be remembered.
    """

    def __init__(self, census: Census, mender: Mender, before: dict[str, int], go_on: Callable[[], bool]) -> None:
        self.missed: dict[str, int] = {}
        self._census = census
        self._mender = mender
        self._before = before
        self._go_on = go_on
        self._failures = 0

    async def carry_out(self) -> bool:
        """Mend; True if nothing was left."""
        steps = self._steps()
        while self._go_on() and (several := list(itertools.islice(steps, _AT_ONCE))):
            ended = await asyncio.gather(*(self._attempt(step) for step in several), return_exceptions=True)
            for error in ended:
                if error is not None:
                    raise error
        return self._go_on() and not self._failures

    def _steps(self) -> Iterator[Step]:
        """Yield what is to be done; what brings tasks back comes first."""
        census, mender = self._census, self._mender
        yield from (partial(mender.feed, queue) for queue in census.unfed)
        yield from (partial(self._judge, suspect) for suspect in census.suspects)
        yield from (partial(mender.forget_refused, task_id) for task_id in census.refused)
        yield from (partial(mender.drop_item, *place) for place in stray(census.items))
        yield from (partial(mender.drop_schedule, *place) for place in _either(census))
        yield from (partial(mender.free_key, held) for entries in census.keys.values() for held in entries)
        yield from (partial(mender.expire, task_id) for task_id in census.lasting)

    async def _judge(self, suspect: Suspect) -> None:
        before = self._before.get(suspect.task_id) == suspect.sequence
        if await self._mender.judge(suspect, missed_before=before):
            self.missed[suspect.task_id] = suspect.sequence

    async def _attempt(self, step: Step) -> None:
        try:
            await step()
        except PermissionDeniedError:
            raise
        except ServerError:
            self._failures += 1
            if self._failures > _FAILURES:
                raise


def _either(census: Census) -> list[tuple[str, str]]:
    """Return queue and task id of what is left of schedules and of due messages, each once."""
    return list(dict.fromkeys([*stray(census.schedules), *stray(census.dues)]))
