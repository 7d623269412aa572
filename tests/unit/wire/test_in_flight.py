"""What a process had in flight can be read after its death, and nothing that was half written."""

import mmap
import os
import subprocess
import sys
import tempfile
import time

import pytest

from jetq.wire.in_flight import ENTRY_SIZE, RunInFlight, RunsInFlight, read_in_flight, size_for

WORKER = "01K0000000000000000000000W"
REPLY = "$JS.ACK.JETQ_Q_DEFAULT.WORKERS.1.7.7.1764000000000000000.0"

WRITER = """
import mmap, os, sys
from jetq.wire.in_flight import RunsInFlight
file = int(sys.argv[1])
notes = RunsInFlight(memoryview(mmap.mmap(file, os.fstat(file).st_size)), "01K0000000000000000000000W")
while True:
    places = [
        notes.add(f"T{n}", n, "abcd0123", queue="DEFAULT", item=n * 10, reply=f"{n}" * 40) for n in range(50)
    ]
    for place in places:
        notes.remove(place)
"""


def memory(runs: int) -> memoryview:
    return memoryview(mmap.mmap(-1, size_for(runs)))


def add(notes: RunsInFlight, number: int, *, reply: str = REPLY) -> int:
    return notes.add(f"T{number}", number, "abcd0123", queue="DEFAULT", item=number * 10, reply=reply)


def run(number: int, reply: str = REPLY) -> RunInFlight:
    return RunInFlight(f"T{number}", number, "abcd0123", "DEFAULT", number * 10, reply)


def test_runs_are_read_until_they_are_removed() -> None:
    shared = memory(3)
    notes = RunsInFlight(shared, WORKER)
    places = [add(notes, number) for number in (1, 2, 3)]
    assert read_in_flight(shared) == (WORKER, [run(1), run(2), run(3)])

    notes.remove(places[1])
    assert read_in_flight(shared) == (WORKER, [run(1), run(3)])
    add(notes, 4)
    assert read_in_flight(shared)[1] == [run(1), run(4), run(3)]


def test_memory_that_nobody_wrote_says_nothing() -> None:
    assert read_in_flight(memory(3)) == ("", [])


def test_more_runs_than_there_is_room_for_are_not_noted() -> None:
    shared = memory(1)
    notes = RunsInFlight(shared, WORKER)
    add(notes, 1)

    assert add(notes, 2) == 0
    notes.remove(0)
    assert read_in_flight(shared)[1] == [run(1)]


def test_a_reply_that_does_not_fit_is_left_out_and_a_task_that_does_not_is_not_noted() -> None:
    shared = memory(2)
    notes = RunsInFlight(shared, WORKER)
    add(notes, 1, reply="r" * ENTRY_SIZE)
    assert read_in_flight(shared)[1] == [run(1, reply="")]

    assert notes.add("T" * ENTRY_SIZE, 1, "n", queue="Q", item=1, reply="") == 0
    assert add(notes, 2) > 0


def test_a_run_goes_on_with_another_item() -> None:
    shared = memory(2)
    notes = RunsInFlight(shared, WORKER)
    place = add(notes, 1)
    notes.adopt(place, 77, "elsewhere")
    assert read_in_flight(shared)[1] == [RunInFlight("T1", 1, "abcd0123", "DEFAULT", 77, "elsewhere")]

    notes.remove(place)
    notes.adopt(place, 78, "nowhere")
    assert read_in_flight(shared)[1] == []


@pytest.mark.timeout(60)
def test_a_process_that_dies_amid_its_notes_leaves_none_half_written() -> None:
    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), size_for(50))
        shared = memoryview(mmap.mmap(file.fileno(), size_for(50)))
        for number in range(6):
            command = [sys.executable, "-c", WRITER, str(file.fileno())]
            with subprocess.Popen(command, pass_fds=[file.fileno()]) as writer:
                while not read_in_flight(shared)[1]:
                    time.sleep(0.01)
                time.sleep(number / 100)
                writer.kill()

            worker, runs = read_in_flight(shared)
            assert worker == WORKER
            assert all(each == run(each.attempt, reply=f"{each.attempt}" * 40) for each in runs)
            shared[:] = bytes(len(shared))
