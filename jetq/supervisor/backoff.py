"""
backoff: how long to wait before a child that crashed is started again.

The first crash of a place costs no wait, and each further one twice as long as the one before, up to a limit. A child
that lived well for a while clears the account.
"""


class Backoff:
    """
    The waits of one place.

    Args:
        first: Seconds before the second start in a row.
        most: Seconds at most.
        healthy_after: Seconds that a child must live, taking tasks, until its crash is the first one again.
    """

    def __init__(self, first: float, most: float, healthy_after: float) -> None:
        self._first = first
        self._most = most
        self._healthy_after = healthy_after
        self._next = 0.0

    def wait_after(self, healthy: float) -> float:
        """Return the seconds to wait after the crash of a child that took tasks for *healthy* seconds."""
        if healthy >= self._healthy_after:
            self._next = 0.0
        wait = self._next
        self._next = min(self._most, wait * 2 or self._first)
        return wait
