"""
steady_clock: a clock that nobody sets.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""Linux's monotonic clock stands still while the machine sleeps; macOS's goes on, where ``time.monotonic`` does not."""


steady_clock: Final[Callable[[], float]] = time.monotonic if _CLOCK is None else partial(time.clock_gettime, _CLOCK)
"""Return seconds of a clock that nobody sets and that counts sleep, where the system has one."""
