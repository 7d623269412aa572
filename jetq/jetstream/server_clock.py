"""
server_clock: the server's time, on a machine whose own clock may be wrong.

Due times are kept by the server, and everybody who works on a task reads its times; so all of them must mean the same
clock. Answers about streams carry the server's time. Where it differs from ours by more than a second (and by more than
the answer can have taken), ours is corrected by the difference; below that ours stays as it is, since it is finer than
what can be measured.

A clock that is set meanwhile is noticed at once, and not only with the next such answer: until then, a retry would be
scheduled as far away as the clock was moved, and a deadline be missed or kept by as much. What a wall clock gains over
one that nobody can set, and that counts sleep as well, is a step, and is taken back.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from jetq.jetstream.steady_clock import steady_clock

TOLERANCE: Final = timedelta(seconds=1)
"""Differences that are left alone."""

_NOTHING: Final = timedelta(0)
_STEP: Final = TOLERANCE.total_seconds()


class ServerClock:
    """
    Tells the server's time.

    Args:
        on_skew: Told of a difference when it is found, and of another one later; zero when it is gone.

    Attributes:
        skew: What our clock is ahead of the server's; zero within the tolerance.
    """

    def __init__(self, on_skew: Callable[[timedelta], None]) -> None:
        self.skew = _NOTHING
        self._on_skew = on_skew
        self._lead = time.time() - steady_clock()

    def now(self) -> datetime:
        """Return the server's time, in UTC."""
        wall = time.time()  # read once: it may be set between two readings
        step = wall - steady_clock() - self._lead
        now = datetime.fromtimestamp(wall if -_STEP < step < _STEP else wall - step, UTC)
        return now - self.skew if self.skew else now

    def observe(self, stamp: object, asked: float) -> None:
        """
        Compare the clocks.

        Args:
            stamp: The time in an answer of the server, RFC 3339; anything else is passed over.
            asked: Our ``time.monotonic()`` when the question was sent.
        """
        wall = time.time()
        lead, took = wall - steady_clock(), timedelta(seconds=time.monotonic() - asked)
        try:
            told = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
        except ValueError:
            return
        if told is None or told.tzinfo is None:
            return
        ahead = datetime.fromtimestamp(wall, UTC) - took / 2 - told
        skew = ahead if abs(ahead) > TOLERANCE + took / 2 else _NOTHING
        changed = bool(skew) != bool(self.skew) or abs(skew - self.skew) > TOLERANCE + took
        if changed or took < TOLERANCE:  # a slower answer says too little to forget a step for it
            self._lead = lead
        if changed:
            self.skew = skew
            self._on_skew(skew)
