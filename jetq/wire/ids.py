"""
ids: new identifiers, sorted by the time of their making.

ulid-py spells them. Its own monotonic provider takes the time outside of its lock, so that ids of two threads, or of
a clock that stepped back, come out of order; here one lock covers both, and time never goes back within a process.

A busy process makes dozens of ids in a millisecond, which differ in their last characters only. So ulid-py spells
what they have in common once, and a table the rest, in a fifth of the time.
"""

import os
import threading
import time
from typing import Final

import ulid

_RANDOM_BITS: Final = 80
_LAST_BITS: Final = 20
_LAST_CHARACTERS: Final = 4
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(one + other for one in _ALPHABET for other in _ALPHABET)
"""How ten bits are spelled."""

_lock = threading.Lock()
_last = 0
_spelled = (-1, "")
"""The leading bits of the last id, and their characters."""


def new_id() -> str:
    """
    Return a new ULID, greater than every one that this process made before, or its parent before the fork.

    Within one millisecond, and while the clock is behind, the last id is counted up (ULID specification,
    "Monotonicity").
    """
    global _last, _spelled  # noqa: PLW0603 - one sequence a process
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last >> _RANDOM_BITS:
            fresh = now << _RANDOM_BITS | int.from_bytes(os.urandom(10), "big")
        else:
            fresh = _last + 1
        _last = fresh
        leading, text = _spelled
        if fresh >> _LAST_BITS != leading:
            text = str(ulid.from_bytes(fresh.to_bytes(16, "big")))[:-_LAST_CHARACTERS]
            _spelled = (fresh >> _LAST_BITS, text)
    return f"{text}{_PAIRS[fresh >> 10 & 1023]}{_PAIRS[fresh & 1023]}"


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
