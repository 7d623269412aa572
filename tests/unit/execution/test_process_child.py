"""The inside of a process for handlers, without a process: what is said to the worker, and for whom."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from jetq.execution.context import Context
from jetq.execution.interrupts import Interrupts
from jetq.execution.process_child import Line, Reports, memory_held
from jetq.model.record import TaskRecord
from jetq.wire.process_call import (
    HEADER_SIZE,
    Finish,
    FromProcess,
    Prolonged,
    Said,
    body_size,
    frame,
    read_from_process,
)

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


class Wire:
    """Both ends of a socket."""

    def __init__(self) -> None:
        self.near, far = socket.socketpair()
        self.near.settimeout(5)
        self.line = Line(far, Interrupts())
        self.reports = Reports(self.line, Interrupts())
        self._reader = self.near.makefile("rb")
        self._far = far

    def begin(self, number: int) -> Context:
        """Return the context of a call that begins."""
        task = TaskRecord(id=f"T{number}", type="a", created=CREATED)
        self.reports.begin(number, task)
        return Context(task, reporter=self.reports)

    def hear(self) -> FromProcess:
        """Return the next thing that was said."""
        return read_from_process(self._reader.read(body_size(self._reader.read(HEADER_SIZE))))

    def close(self) -> None:
        self._reader.close()
        self.near.close()
        self._far.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Give a socket."""
    made = Wire()
    yield made
    made.close()


def test_what_is_said_quickly_ends_with_the_last_word(wire: Wire) -> None:
    ctx = wire.begin(1)
    for number in range(1, 1001):
        ctx.progress(number)
    wire.reports.finish()
    wire.line.say(Prolonged(1, 1.0))
    said: list[float] = []
    while isinstance(message := wire.hear(), Said):
        said.append(message.current)

    assert said == sorted(said)
    assert (said[0], said[-1]) == (1, 1000)
    assert len(said) < 100


def test_what_is_held_back_is_said_soon_though_the_handler_says_no_more(wire: Wire) -> None:
    ctx = wire.begin(1)
    ctx.progress(1)
    ctx.progress(2)
    begun = time.monotonic()

    assert [wire.hear(), wire.hear()] == [Said(1, 1, None, ""), Said(1, 2, None, "")]
    assert time.monotonic() - begun < 3


def test_what_an_earlier_call_left_behind_is_not_heard(wire: Wire) -> None:
    before, now = wire.begin(1), wire.begin(2)
    before.progress(50)
    before.extend(60)
    now.progress(1)

    assert wire.hear() == Said(2, 1, None, "")


def test_messages_of_several_threads_stay_whole(wire: Wire) -> None:
    text = "x" * 100_000
    threads = [threading.Thread(target=wire.line.say, args=(Said(number, 0, None, text),)) for number in range(20)]
    for thread in threads:
        thread.start()
    heard = [wire.hear() for _ in threads]
    for thread in threads:
        thread.join()

    assert {message.number for message in heard if isinstance(message, Said)} == set(range(20))


def test_a_worker_that_is_gone_ends_the_conversation(wire: Wire) -> None:
    wire.near.sendall(frame(Finish()) + b"\0\0")
    heard = wire.line.hear()
    wire.near.shutdown(socket.SHUT_RDWR)

    assert heard == Finish()
    assert wire.line.hear() is None
    wire.line.say(Prolonged(1, 1.0))


def test_the_memory_of_this_process_is_known() -> None:
    assert 10 * 2**20 < memory_held() < 2**34
