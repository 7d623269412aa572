"""What signals raise in a process for handlers: in the handler, once, and nowhere else."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jetq.errors import SoftTimeout
from jetq.execution.interrupts import SOFTEN, STOP, Interrupts
from jetq.execution.pools import HandlerStopped
from jetq.execution.soft_limit import SoftLimit


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Give the interrupts of this process, and take them back."""
    names: tuple[Any, ...] = (SOFTEN, STOP, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: dict[Any, Any] = {number: signal.getsignal(number) for number in names}
    made = Interrupts()
    made.install()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int | None) -> None:
    assert number is not None
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [SOFTEN, STOP, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_between_calls_nothing_is_raised(interrupts: Interrupts, number: int) -> None:
    send(number)

    assert interrupts.is_over


def test_a_soft_limit_is_raised_once_and_noted(interrupts: Interrupts) -> None:
    soft = SoftLimit(0.0, 0.0)
    interrupts.open(soft)
    with pytest.raises(SoftTimeout):
        send(SOFTEN)
    send(SOFTEN)

    assert soft.reached
    assert not interrupts.is_over


def test_the_end_is_raised_once_also_after_the_soft_limit(interrupts: Interrupts) -> None:
    interrupts.open(SoftLimit(0.0, 0.0))
    with pytest.raises(SoftTimeout):
        send(SOFTEN)
    with pytest.raises(HandlerStopped):
        send(STOP)
    send(STOP)

    assert interrupts.is_over


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_of_the_worker_do_nothing_to_a_handler(interrupts: Interrupts, number: int) -> None:
    interrupts.open(SoftLimit(0.0, 0.0))
    send(number)

    assert not interrupts.is_over


def test_after_the_end_of_a_call_nothing_is_raised(interrupts: Interrupts) -> None:
    interrupts.open(SoftLimit(0.0, 0.0))
    interrupts.close()
    send(SOFTEN)
    send(STOP)


def test_what_is_shielded_is_done_before_the_signal_is_raised(interrupts: Interrupts) -> None:
    interrupts.open(SoftLimit(0.0, 0.0))
    done: list[str] = []

    def protected() -> None:
        with interrupts.shielded():
            with interrupts.shielded():
                send(STOP)
                done.append("inner")
            done.append("outer")

    with pytest.raises(HandlerStopped):
        protected()

    assert done == ["inner", "outer"]


def test_a_shield_of_another_thread_holds_nothing_back(interrupts: Interrupts) -> None:
    interrupts.open(SoftLimit(0.0, 0.0))
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with interrupts.shielded():
            held.set()
            free.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with pytest.raises(HandlerStopped):
        send(STOP)
    free.set()
    thread.join()
