"""
ids: new identifiers, sorted by the time of their making.

ulid-py spells them. Its own monotonic provider takes the time outside of its lock, so that ids of two threads, or of
a clock that stepped back, come out of order; here one lock covers both, and time never goes back within a process.
"""

import os
import threading
import time

import ulid

_RANDOM_BITS = 80
_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """
    Return a new ULID, greater than every one that this process made before, or its parent before the fork.

    Within one millisecond, and while the clock is behind, the last id is counted up (ULID specification,
    "Monotonicity").
    """
    global _last  # noqa: PLW0603 - one sequence a process
    with _lock:
        fresh = time.time_ns() // 1_000_000 << _RANDOM_BITS | int.from_bytes(os.urandom(10), "big")
        if fresh >> _RANDOM_BITS <= _last >> _RANDOM_BITS:
            fresh = _last + 1
        _last = fresh
    return str(ulid.from_bytes(fresh.to_bytes(16, "big")))


def new_nonce() -> str:
    """Return eight random hex digits, to recognise one's own write."""
    return os.urandom(4).hex()


def _part_from_parent() -> None:
    """Go on from a random place of the next millisecond; counting up from the parent's last id would make its next."""
    global _lock, _last  # noqa: PLW0603 - the child's own sequence and lock
    _lock = threading.Lock()
    if _last:
        _last = ((_last >> _RANDOM_BITS) + 1) << _RANDOM_BITS | int.from_bytes(os.urandom(10), "big")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_part_from_parent)
