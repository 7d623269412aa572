"""
shelf: the schedules as they are stored now, with those that cannot be used set apart.

It follows the bucket: a schedule that is added, changed, stopped or removed counts at once. One that another program
made unusable is told and left out, and the others go on.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from jetq.beat.agenda import Agenda
from jetq.beat.clock import LeaderClock
from jetq.errors import InvalidScheduleError, MalformedScheduleError
from jetq.jetstream.backend import Backend
from jetq.jetstream.key_watch import KeyWatch, WatchedKey
from jetq.jetstream.schedule_store import StoredState
from jetq.model.scheduling import ScheduleRejected
from jetq.model.timetable import Timetable
from jetq.wire.schedules import decode_schedule

_NOTHING: Final = StoredState()


class Shelf:
    """
    The stored schedules of a leader.

    Args:
        backend: Where they are stored.
        agenda: Gets those that make occurrences.
        clock: By which they do.
        states: How far their occurrences are made, by name.
        on_change: Called when the agenda has changed.

    Attributes:
        floor: Nothing before it is caught up; None if only a schedule itself says so.
        is_complete: All of them have been read once.
        rejected: Why schedules cannot be used, by name.
        count: How many there are, usable or not.
    """

    def __init__(
        self,
        backend: Backend,
        agenda: Agenda,
        clock: LeaderClock,
        states: Mapping[str, StoredState],
        on_change: Callable[[], None],
    ) -> None:
        self.floor: datetime | None = None
        self.is_complete = False
        self.rejected: dict[str, str] = {}
        self._backend = backend
        self._agenda = agenda
        self._clock = clock
        self._states = states
        self._on_change = on_change
        self._known: dict[str, int] = {}

    @property
    def count(self) -> int:
        """How many there are, usable or not."""
        return len(self._known)

    @asynccontextmanager
    async def watched(self) -> "AsyncGenerator[asyncio.Task[None], None]":
        """Follow the bucket; gives the task that does, which only ends when the server refuses."""
        store = self._backend.schedules
        watch = KeyWatch(
            self._backend.connection,
            store.stream,
            self._backend.names.stored_schedules_subject,
            on_key=self._on_key,
            on_complete=self._on_complete,
        )
        watching = asyncio.get_running_loop().create_task(watch.run())
        watching.add_done_callback(lambda _: self._on_change())
        try:
            yield watching
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _on_key(self, key: WatchedKey) -> None:
        if not key.data:
            self._forget(key.name)
        elif self._known.get(key.name) != key.sequence:
            self._known[key.name] = key.sequence
            self._take(key)
        if self.is_complete:
            self._on_change()

    def _on_complete(self, names: set[str]) -> None:
        for name in [name for name in self._known if name not in names]:
            self._forget(name)
        self.is_complete = True
        self._on_change()

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        self.rejected.pop(name, None)
        self._agenda.remove(name)

    def _take(self, key: WatchedKey) -> None:
        name = key.name
        try:
            table = Timetable.of(decode_schedule(name, key.data).record)
        except (InvalidScheduleError, MalformedScheduleError) as error:
            self._agenda.remove(name)
            self.rejected[name] = str(error)
            self._backend.bus.emit(ScheduleRejected(schedule=name, reason=str(error)))
            return
        self.rejected.pop(name, None)
        dealt_with = [key.written]
        if (due := self._states.get(name, _NOTHING).state.due) is not None:
            dealt_with.append(due)
        if self.floor is not None:
            dealt_with.append(self.floor)
        self._agenda.put(table, max(dealt_with), self._clock.now())
