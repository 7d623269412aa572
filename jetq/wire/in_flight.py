"""
in_flight: the runs of a child process in memory that outlives it, for its supervisor to read.

A worker's own table dies with it. So every run is noted in an entry of fixed size as well, in memory that the
supervisor shares. Only the child writes, and the supervisor reads when the child is gone.

The first byte of an entry says whether it counts. It is set after everything else was written and cleared before
anything is changed, and a single byte is written or not; so a child may die anywhere in between, and no half-written
entry counts. What such a death loses is the note of a run whose claim was not sent yet, or whose end is stored.
"""

import struct
import threading
from typing import Final

from msgspec import Struct

Buffer = memoryview
"""Of the shared memory."""

ENTRY_SIZE: Final = 512
_HEAD_SIZE: Final = 64
_HEAD: Final = struct.Struct("=4sII52s")
_MAGIC: Final = b"JQF1"
_FIXED: Final = struct.Struct("=BxHIQ")
_TEXT_ROOM: Final = ENTRY_SIZE - _FIXED.size


class RunInFlight(Struct, frozen=True):
    """
    One run, as much of it as is needed to let its task run elsewhere.

    Attributes:
        task_id: The task.
        attempt, nonce: Of the run.
        queue: Where its item is.
        item: Sequence of that item.
        reply: Where the item is acknowledged; empty if that did not fit.
    """

    task_id: str
    attempt: int
    nonce: str
    queue: str
    item: int
    reply: str


def size_for(runs: int) -> int:
    """Return the bytes that so many runs need."""
    return _HEAD_SIZE + runs * ENTRY_SIZE


class RunsInFlight:
    """
    The writing end, for the child. Any thread may call it.

    Args:
        memory: All of it.
        worker: The worker's id, which stands before the entries.
    """

    def __init__(self, memory: Buffer, worker: str) -> None:
        self._memory = memory
        count = (len(memory) - _HEAD_SIZE) // ENTRY_SIZE
        self._free = [_HEAD_SIZE + number * ENTRY_SIZE for number in reversed(range(count))]
        self._changing = threading.Lock()
        _HEAD.pack_into(memory, 0, b"", count, ENTRY_SIZE, worker.encode()[:52])
        memory[:4] = _MAGIC

    def add(self, task_id: str, attempt: int, nonce: str, *, queue: str, item: int, reply: str) -> int:
        """Note a run and return its place; 0 if there is no room, and then its task waits for the lease."""
        with self._changing:
            if not self._free:
                return 0
            place = self._free.pop()
            if self._write(place, f"{task_id}\n{nonce}\n{queue}\n{reply}".encode(), attempt, item):
                return place
            if self._write(place, f"{task_id}\n{nonce}\n{queue}\n".encode(), attempt, item):
                return place
            self._free.append(place)
            return 0

    def _write(self, place: int, text: bytes, attempt: int, item: int) -> bool:
        length = len(text)
        if length > _TEXT_ROOM:
            return False
        memory, start = self._memory, place + _FIXED.size
        _FIXED.pack_into(memory, place, 0, length, attempt & 0xFFFFFFFF, item)
        memory[start : start + length] = text
        memory[place] = 1
        return True

    def remove(self, place: int) -> None:
        """Forget a run."""
        if place:
            with self._changing:
                self._memory[place] = 0
                self._free.append(place)

    def adopt(self, place: int, item: int, reply: str) -> None:
        """Note that a run goes on with another item of the same queue."""
        with self._changing:
            if place and self._memory[place]:
                run = _read(self._memory, place)
                self._memory[place] = 0
                self._write(place, f"{run.task_id}\n{run.nonce}\n{run.queue}\n{reply}".encode(), run.attempt, item)


def read_in_flight(memory: Buffer) -> tuple[str, list[RunInFlight]]:
    """Return the worker's id and its runs; no id if the child died before it wrote anything."""
    magic, count, size, worker = _HEAD.unpack_from(memory, 0)
    if magic != _MAGIC or size != ENTRY_SIZE:
        return "", []
    places = (_HEAD_SIZE + number * ENTRY_SIZE for number in range(count))
    return worker.rstrip(b"\0").decode(), [_read(memory, place) for place in places if memory[place]]


def _read(memory: Buffer, place: int) -> RunInFlight:
    _, length, attempt, item = _FIXED.unpack_from(memory, place)
    start = place + _FIXED.size
    task_id, nonce, queue, reply = bytes(memory[start : start + length]).decode().split("\n")
    return RunInFlight(task_id, attempt, nonce, queue, item, reply)
