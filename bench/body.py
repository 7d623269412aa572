"""
body: what every task of a comparison does: it notes that it began.

The note is 32 bytes in a file that all processes append to: the task's index, when it was sent, when it began (both by
the monotonic clock, which all processes of a machine share), and the process. Rates, latencies and "each ran once" are
computed from these notes, and so alike for all. It costs one ``write`` of about 1.5 microseconds.

This module needs nothing but Python, since it is imported in the environments of other task queues too.
"""

import os
import time
from pathlib import Path
from struct import Struct
from typing import Any, Final, NamedTuple

VARIABLE: Final = "BENCH_NOTES"
"""Names the file; without it nothing is noted."""
LAYOUT: Final = Struct("<qqqq")


class Note(NamedTuple):
    """One task that began; times in nanoseconds."""

    task: int
    sent: int
    began: int
    pid: int


def payload(index: int, size: int = 24) -> dict[str, Any]:
    """Return the arguments of a task; as JSON some 110 bytes, or with a longer note of so many more."""
    return {
        "index": index,
        "sent": time.monotonic_ns(),
        "user": "user-0012345",
        "tags": ["alpha", "beta"],
        "amount": 12.5,
        "note": "x" * size,
    }


_path = os.environ.get(VARIABLE)
_file: Final = os.open(_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if _path else None


def note(index: int, sent: int) -> None:
    """Note that a task began; an append of so few bytes is never mixed with another's."""
    if _file is not None:
        os.write(_file, LAYOUT.pack(index, sent, time.monotonic_ns(), os.getpid()))


def count(path: Path) -> int:
    """Return how many began."""
    return path.stat().st_size // LAYOUT.size


def read(path: Path) -> list[Note]:
    """Return all that began."""
    data = path.read_bytes()
    return [Note(*values) for values in LAYOUT.iter_unpack(data[: len(data) // LAYOUT.size * LAYOUT.size])]
