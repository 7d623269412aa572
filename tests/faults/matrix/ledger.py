"""
ledger: the file in which everybody notes what happened, and what must hold of it.

Producers, handlers and whoever injects the fault append to one file, each line with one write, so that none is torn and
none is lost with its process: ``WORD WHEN FIELD...``, where WHEN is of the monotonic clock, which all processes of a
machine share and which no step of the wall clock moves.

=================================  ====================================================================================
offered TASK                       a producer is about to enqueue it
acknowledged TASK DELAY            the server has it; it is due after so many seconds
refused TASK ERROR                 the producer got this error
start TASK ATTEMPT WORKER          a handler begins; WORKER is the process whose lease it is, or WORKER+PROCESS
end, failed, cut                   it returned, raised as it was told to, was cancelled; fields as of start
died WORKER                        somebody killed this process, or froze it until it was given up
lost TASK                          a worker said that this run was taken from it
fault NAME                         something was broken at one blow
down NAME, up NAME                 from then to then something was away
=================================  ====================================================================================
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from jetq.model.record import TaskRecord
from jetq.model.state import State
from tests.faults.program import LEASE

PATIENCE = LEASE + 10.0
"""Seconds that nothing may hang, once nothing is broken any more."""
RUN_WORDS = ("start", "end", "failed", "cut")


class Entry(NamedTuple):
    """A line."""

    word: str
    when: float
    fields: tuple[str, ...]

    @classmethod
    def of(cls, line: str) -> "Entry":
        word, when, *fields = line.split()
        return cls(word, float(when), tuple(fields))


class Ledger:
    """The file, to write and to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC)

    def note(self, word: str, *fields: object) -> None:
        """Append a line, whole."""
        os.write(self._stream, f"{word} {time.monotonic():.6f} {' '.join(map(str, fields))}\n".encode())

    def size(self) -> int:
        """Return how many bytes were written so far."""
        return self.path.stat().st_size

    def entries(self, begin: int = 0) -> list[Entry]:
        """Read all of it, or what was written behind so many bytes."""
        with self.path.open() as file:
            file.seek(begin)
            return [Entry.of(line) for line in file]

    def close(self) -> None:
        """Close the file."""
        os.close(self._stream)


class Run(NamedTuple):
    """What was noted of one attempt; the words that followed its start."""

    when: float
    attempt: str
    worker: str
    words: frozenset[str]


class Verdict(NamedTuple):
    """
    A row of the matrix, and what is wrong with it.

    Attributes:
        acknowledged: Tasks that the server acknowledged.
        completed: Those of them that completed.
        otherwise: Those that ended in another way; a task whose worker dies three times is ended.
        unacknowledged: Enqueues that raised.
        stored: Those of them that are there all the same.
        lost: Acknowledged tasks without a final state, or said to be complete without a run that ended.
        doubled: Runs beyond those that were needed, over all tasks.
        stall: Longest time in seconds without any task's end while there was work.
        recovery: Longest time in seconds from a fault, or the end of one, to the next end of a task.
        wait: Longest time in seconds that one task waited and ran while nothing was broken.
        errors: Kinds of errors that producers got.
        problems: What must not be, in words; empty if all is well.
    """

    acknowledged: int
    completed: int
    otherwise: int
    unacknowledged: int
    stored: int
    lost: int
    doubled: int
    stall: float
    recovery: float
    wait: float
    errors: tuple[str, ...]
    problems: tuple[str, ...]


class Account:
    """
    What a ledger and the records at its end say together.

    Args:
        entries: The ledger.
        records: Of all tasks that were offered and that exist.

    Attributes:
        lines: Of the ledger.
        offered: All tasks that producers were to enqueue.
        acknowledged: When each was to be run, by task.
        runs: Of each task, in order.
        ended: When a run of a task first ended well, by task.
    """

    def __init__(self, entries: Iterable[Entry], records: Mapping[str, TaskRecord]) -> None:
        self._entries = sorted(entries, key=lambda entry: entry.when)
        self._records = records
        self.lines = len(self._entries)
        self.offered = {entry.fields[0] for entry in self._named("offered")}
        self._last = self._entries[-1].when if self._entries else 0.0
        self.acknowledged = {
            entry.fields[0]: entry.when + float(entry.fields[1]) for entry in self._named("acknowledged")
        }
        self._refused = {entry.fields[0]: entry.fields[1] for entry in self._named("refused")}
        self._dead = {entry.fields[0] for entry in self._named("died")}
        self._robbed = {entry.fields[0] for entry in self._named("lost")}
        self._outages = self._read_outages()
        self._cuts = sorted({*(entry.when for entry in self._named("fault")), *_flat(self._outages)})
        self.runs = self._read_runs()
        self.ended = {entry.fields[0]: entry.when for entry in reversed(self._named("end"))}

    def _named(self, *words: str) -> list[Entry]:
        return [entry for entry in self._entries if entry.word in words]

    def _read_runs(self) -> dict[str, list[Run]]:
        words: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for entry in self._named(*RUN_WORDS[1:]):
            task, attempt, worker = entry.fields
            words[task, attempt, worker].add(entry.word)
        runs: dict[str, list[Run]] = defaultdict(list)
        for entry in self._named("start"):
            task, attempt, worker = entry.fields
            runs[task].append(Run(entry.when, attempt, worker, frozenset(words[task, attempt, worker])))
        return runs

    # What may not be

    def lost(self) -> Iterator[str]:
        """Name the acknowledged tasks that did not reach their end."""
        for task in self.acknowledged:
            record = self._records.get(task)
            if record is None:
                yield f"{task} is gone"
            elif not record.is_final:
                yield f"{task} is {record.display_state} at the end"
            elif record.state is State.COMPLETE and task not in self.ended:
                yield f"{task} is complete, and no run of it ended"

    def _extra(self, task: str) -> list[Run]:
        """Return the runs of a task after which there was another that no failure explains."""
        return [run for run in self.runs.get(task, ())[:-1] if "failed" not in run.words]

    def _died(self, run: Run) -> bool:
        return not self._dead.isdisjoint(run.worker.split("+"))

    def doubled(self) -> int:
        """Count the runs beyond those that were needed."""
        return sum(len(self._extra(task)) for task in self.runs)

    def unexcused(self) -> Iterator[str]:
        """Name the runs that were repeated though nobody died or lost its lease."""
        for task in self.runs:
            for run in self._extra(task):
                if not self._died(run) and "cut" not in run.words and task not in self._robbed:
                    yield f"{task} ran again, and attempt {run.attempt} in {run.worker} was neither killed nor robbed"

    def uncounted(self) -> Iterator[str]:
        """Name the tasks whose records count fewer deaths of workers than made them run again."""
        for task, record in self._records.items():
            died = sum(map(self._died, self._extra(task)))
            if record.crashes < died:
                yield f"{task} ran again after {died} deaths, and its record counts {record.crashes}"

    def unfounded(self) -> Iterator[str]:
        """Name the tasks that ended without success though no worker died three times under them."""
        for task in self.acknowledged:
            record = self._records.get(task)
            if record is not None and record.is_final and record.state is not State.COMPLETE:
                died = sum(map(self._died, self.runs.get(task, ())))
                if record.end != "crash" or died < record.crashes:
                    yield f"{task} is {record.display_state} ({record.end}), and its workers died {died} times"

    # Times

    def _read_outages(self) -> list[tuple[float, float]]:
        """Return from when to when something was away."""
        spans: list[tuple[float, float]] = []
        down: dict[str, float] = {}
        for entry in self._named("down", "up"):
            name = entry.fields[0]
            if entry.word == "down":
                down.setdefault(name, entry.when)
            elif name in down:
                spans.append((down.pop(name), entry.when))
        return [*spans, *((since, self._last) for since in down.values())]

    def _calm(self, begin: float, end: float) -> float:
        """Return the longest part of a time in which nothing was broken or mended."""
        inside = [begin, *(cut for cut in self._cuts if begin < cut < end), end]
        calm = [
            until - since
            for since, until in pairwise(inside)
            if not any(down <= since and until <= up for down, up in self._outages)
        ]
        return max(calm, default=0.0)

    def waits(self) -> dict[str, float]:
        """Return for each acknowledged task how long it took while nothing was broken."""
        return {
            task: self._calm(due, self._end_of(task)) for task, due in self.acknowledged.items() if due < self._last
        }

    def _end_of(self, task: str) -> float:
        """Return when a task was done with: its first end, or the last word of one that was ended."""
        if task in self.ended:
            return self.ended[task]
        record = self._records.get(task)
        if record is not None and record.is_final and task in self.runs:
            return self.runs[task][-1].when
        return self._last

    def gaps(self) -> list[tuple[float, float]]:
        """Return each time without any task's end while there was work."""
        steps = [(due, 1) for task, due in self.acknowledged.items() if due < self._end_of(task)]
        steps += [(self._end_of(task), -1) for task, due in self.acknowledged.items() if due < self._end_of(task)]
        gaps: list[tuple[float, float]] = []
        work, since = 0, 0.0
        for when, step in sorted(steps):
            if work == 0 or step < 0:
                if work:
                    gaps.append((since, when))
                since = when
            work += step
        return gaps

    def recovery(self) -> float:
        """Return the longest time from a fault, or the end of one, to the next end of a task."""
        marks = [entry.when for entry in self._named("fault", "up")]
        gaps = self.gaps()
        return max((end - mark for mark in marks for begin, end in gaps if begin <= mark < end), default=0.0)

    # All of it

    def verdict(self) -> Verdict:
        """Judge."""
        lost, waits = list(self.lost()), self.waits()
        hung = [f"{task} took {wait:.1f} s with nothing broken" for task, wait in waits.items() if wait > PATIENCE]
        recovery = self.recovery()
        stalled = [f"nothing ended for {recovery:.1f} s after a fault"] if recovery > PATIENCE else []
        silent = [] if self.acknowledged else ["nothing was acknowledged"]
        states = [self._records[task].state for task in self.acknowledged if task in self._records]
        final = sum(self._records[task].is_final for task in self.acknowledged if task in self._records)
        completed = states.count(State.COMPLETE)
        return Verdict(
            acknowledged=len(self.acknowledged),
            completed=completed,
            otherwise=final - completed,
            unacknowledged=len(self._refused),
            stored=sum(task in self._records for task in self._refused),
            lost=len(lost),
            doubled=self.doubled(),
            stall=max((end - begin for begin, end in self.gaps()), default=0.0),
            recovery=recovery,
            wait=max(waits.values(), default=0.0),
            errors=tuple(sorted(set(self._refused.values()))),
            problems=(*silent, *lost, *self.unexcused(), *self.uncounted(), *self.unfounded(), *hung, *stalled),
        )


def _flat(spans: Iterable[tuple[float, float]]) -> Iterator[float]:
    for begin, end in spans:
        yield begin
        yield end
