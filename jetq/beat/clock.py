"""
clock: the time by which occurrences are made.

It is the server's time, as far as it is known (`jetstream.server_clock`, which takes back what somebody sets this
machine's clock by). A process that knows its own clock to be far off does not lead: it would not know either whether
the answers that correct it came in time.
"""

import time
from datetime import datetime, timedelta
from typing import Final

from jetq.errors import ServerError
from jetq.jetstream.backend import Backend

TRUSTED: Final = timedelta(seconds=2)
"""The most that a leader's clock may differ from the server's."""


class LeaderClock:
    """
    Tells the time of the backend's server, and whether that is known well enough to lead.

    Args:
        backend: Whose clock it is, and whom to ask.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def ahead(self) -> timedelta:
        """What this machine's clock is ahead of the server's, as far as it is known."""
        return self._backend.connection.clock.skew

    @property
    def is_trusted(self) -> bool:
        """Whether a process with this clock may lead."""
        return abs(self.ahead) <= TRUSTED

    def now(self) -> datetime:
        """Return the time."""
        return self._backend.connection.clock.now()

    async def ask(self) -> bool:
        """Compare with the server's clock; say whether it answered in time to be believed."""
        backend = self._backend
        asked = time.monotonic()
        try:
            answer = await backend.connection.api(f"STREAM.INFO.{backend.names.bucket_stream(backend.names.elections)}")
        except ServerError:
            return False
        return "ts" in answer and time.monotonic() - asked <= TRUSTED.total_seconds()
