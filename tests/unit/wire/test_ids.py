"""Ids: unique, and sorted by the time of their making, come what may."""

import json
import os
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest
import ulid

from jetq.model.name import is_name
from jetq.wire import ids
from jetq.wire.ids import new_id, new_nonce

FORKING = """
import json, os, time
now = time.time_ns()
time.time_ns = lambda: now
from jetq.wire.ids import new_id
before = [new_id() for _ in range(100)]
children = []
for _ in range(3):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, json.dumps([new_id() for _ in range(100)]).encode())
        os._exit(0)
    os.close(writing)
    children.append(reading)
after = [new_id() for _ in range(100)]
found = [json.loads(os.fdopen(child).read()) for child in children]
for _ in found:
    os.wait()
print(json.dumps([before, after, *found]))
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test's clock reach into another test."""
    monkeypatch.setattr(ids, "_last", 0)


def rising(made: list[str]) -> bool:
    return all(one < another for one, another in pairwise(made))


def test_an_id_is_a_legal_name_and_tells_its_time() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()

    assert len(made) == 26
    assert is_name(made)
    assert before <= ulid.from_str(made).timestamp().int <= time.time_ns() // 1_000_000 + 1


@pytest.mark.parametrize("bits", [2, 10, 20, 25, 40, 79])
def test_an_id_is_spelled_as_its_library_spells_it(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    last = (now // 1_000_000 << 80) + (1 << bits) - 3
    monkeypatch.setattr(time, "time_ns", lambda: now)
    monkeypatch.setattr(ids, "_last", last)

    made = [new_id() for _ in range(5)]

    assert made == [str(ulid.from_bytes((last + count).to_bytes(16, "big"))) for count in range(1, 6)]


def test_ids_rise_within_a_millisecond() -> None:
    assert rising([new_id() for _ in range(20_000)])


def test_ids_rise_in_every_thread_and_are_unique_over_all() -> None:
    start = threading.Barrier(8)
    made: list[list[str]] = [[] for _ in range(8)]

    def make(mine: list[str]) -> None:
        start.wait()
        mine.extend(new_id() for _ in range(3000))

    threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(rising(mine) for mine in made)
    assert len({each for mine in made for each in mine}) == 8 * 3000


def test_ids_rise_while_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter([0, 50, 49, 10, -3_600_000, 51, 51, 52])
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + next(steps) * 1_000_000)

    assert rising([new_id() for _ in range(8)])


def test_ids_rise_over_the_end_of_a_milliseconds_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    monkeypatch.setattr(ids, "_last", (now // 1_000_000 << 80) + (1 << 80) - 2)

    made = [new_id() for _ in range(3)]

    assert rising(made)
    assert made[0].endswith("Z" * 16)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_ids_of_forked_children_are_their_own_and_follow_their_parents() -> None:
    ran = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, check=True, text=True, timeout=20)
    before, *later = json.loads(ran.stdout)

    assert all(rising([before[-1], *made]) for made in later)
    assert len({each for made in (before, *later) for each in made}) == 500


def test_nonces_differ() -> None:
    assert len({new_nonce() for _ in range(100)}) == 100
    assert all(len(bytes.fromhex(new_nonce())) == 4 for _ in range(10))


def test_an_id_is_spelled_as_ulid_py_spells_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    first = (now // 1_000_000 << 80) + (7 << 40) - 2000
    monkeypatch.setattr(ids, "_last", first)

    made = [new_id() for _ in range(4000)]

    assert made == [str(ulid.from_bytes((first + step).to_bytes(16, "big"))) for step in range(1, 4001)]
