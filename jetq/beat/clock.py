"""
clock: the time by which occurrences are made.

It is the server's time, and goes on evenly: a machine's clock that is set while a leader works would make it do the
occurrences of an hour in advance, or none for an hour. So time goes on by the clock that nobody sets, and follows the
machine's only in small steps. A large step is not believed until the server was asked for its time.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from jetq.errors import ServerError
from jetq.jetstream.backend import Backend
from jetq.jetstream.steady_clock import steady_clock

TRUSTED: Final = timedelta(seconds=2)
"""The most that a leader's clock may differ from the server's, or be set at once without asking."""


class SteadyClock:
    """
    Tells the time of the backend's server.

    Args:
        backend: Whose clock it is, and whom to ask.
        ticks: Seconds of a clock that nobody sets.
    """

    def __init__(self, backend: Backend, ticks: Callable[[], float] = steady_clock) -> None:
        self._backend = backend
        self._ticks = ticks
        self._told, self._at = backend.connection.clock.now(), ticks()

    @property
    def ahead(self) -> timedelta:
        """What this machine's clock is ahead of the server's, as far as it is known."""
        return self._backend.connection.clock.skew

    @property
    def is_trusted(self) -> bool:
        """Whether a process with this clock may lead."""
        return abs(self.ahead) <= TRUSTED

    @property
    def was_set(self) -> bool:
        """Whether somebody set the machine's clock, so that :meth:`ask` is due."""
        return abs(self._backend.connection.clock.now() - self._projected()) > TRUSTED

    def _projected(self) -> datetime:
        return self._told + timedelta(seconds=self._ticks() - self._at)

    def now(self) -> datetime:
        """Return the time."""
        told, projected = self._backend.connection.clock.now(), self._projected()
        if abs(told - projected) > TRUSTED:
            return projected
        self._told, self._at = told, self._ticks()
        return told

    async def ask(self) -> bool:
        """Ask the server for its time, and believe it; say whether it answered in time."""
        backend = self._backend
        asked = time.monotonic()
        try:
            answer = await backend.connection.api(f"STREAM.INFO.{backend.names.bucket_stream(backend.names.elections)}")
        except ServerError:
            return False
        if "ts" not in answer or time.monotonic() - asked > TRUSTED.total_seconds():
            return False
        self._told, self._at = backend.connection.clock.now(), self._ticks()
        return True
