from datetime import timedelta
from typing import Any

import pytest

from jetq.errors import Retry, Signal, Snooze, Terminate
from jetq.execution.ending import after_error, after_return
from jetq.execution.failure import MAX_MESSAGE
from jetq.model.outcome import Failed, Outcome, Retried, Snoozed, Succeeded, Terminated, Unstorable

SIGNALS: list[tuple[Signal, Outcome]] = [
    (Terminate("sold out"), Terminated("sold out")),
    (Terminate(), Terminated("terminated by the handler")),
    (Retry(), Retried(None, "the handler asked for a retry")),
    (Retry(5, "later"), Retried(5.0, "later")),
    (Retry(timedelta(minutes=1)), Retried(60.0, "the handler asked for a retry")),
    (Retry(0), Retried(0.0, "the handler asked for a retry")),
    (Retry(queue="BULK"), Retried(None, "the handler asked for a retry", "BULK")),
    (Retry(1, "busy", "BULK"), Retried(1.0, "busy", "BULK")),
    (Snooze(2), Snoozed(2.0)),
    (Snooze(timedelta(hours=1)), Snoozed(3600.0)),
]


@pytest.mark.parametrize(("signal", "expected"), SIGNALS)
def test_signals_mean_the_same_raised_and_returned(signal: Signal, expected: Outcome) -> None:
    assert expected == after_error(signal)
    assert expected == after_return(signal)


class OwnTerminate(Terminate):
    pass


def test_a_subclass_of_a_signal_is_one() -> None:
    assert after_error(OwnTerminate("x")) == Terminated("x")


def test_another_signal_is_a_failure() -> None:
    outcome = after_error(Signal("what?"))

    assert isinstance(outcome, Failed)
    assert outcome.error.message == "what?"


def changed(signal: Signal, **attributes: Any) -> Signal:
    for name, value in attributes.items():
        setattr(signal, name, value)
    return signal


@pytest.mark.parametrize(
    "signal",
    [
        Retry(-1),
        Retry(float("nan")),
        Retry(float("inf")),
        Retry(1e12),
        Snooze(-0.1),
        Snooze(float("inf")),
        Snooze(10**10),
        changed(Retry(1), delay="soon"),
        changed(Snooze(1), delay=True),
    ],
)
def test_a_delay_that_cannot_be_waited_is_a_failure(signal: Signal) -> None:
    for outcome in (after_error(signal), after_return(signal)):
        assert isinstance(outcome, Failed)
        assert outcome.error.type == "jetq.errors.InvalidSettingError"
        assert f"the delay of {type(signal).__name__}" in outcome.error.message


@pytest.mark.parametrize("queue", ["", "two words", "x" * 1000, 5])
def test_a_queue_that_cannot_exist_is_a_failure(queue: Any) -> None:
    for outcome in (after_error(Retry(queue=queue)), after_return(Retry(queue=queue))):
        assert isinstance(outcome, Failed)
        assert outcome.error.type == "jetq.errors.InvalidNameError"
        assert "is not a legal queue" in outcome.error.message


def test_reasons_are_bounded_texts() -> None:
    long = after_error(Terminate("x" * 100_000))
    odd = after_error(Terminate("\udcff"))
    number = after_error(changed(Terminate(), reason=5))

    assert isinstance(long, Terminated)
    assert len(long.reason) <= MAX_MESSAGE
    assert odd == Terminated("\\udcff")
    assert number == Terminated("5")


def test_a_group_of_signals_is_the_strongest_of_them() -> None:
    inner = ExceptionGroup("children", [Snooze(1), Retry(2, "x")])

    assert after_error(inner) == Retried(2.0, "x")
    assert after_error(ExceptionGroup("all", [inner, Terminate("y")])) == Terminated("y")
    assert after_error(ExceptionGroup("one", [Snooze(3)])) == Snoozed(3.0)


def test_a_group_with_an_error_is_a_failure() -> None:
    outcome = after_error(ExceptionGroup("children", [Retry(), ValueError("bad")]))

    assert isinstance(outcome, Failed)
    assert "ValueError: bad" in outcome.error.message


def test_a_value_is_a_result() -> None:
    assert after_return(None) == Succeeded(b"null")
    assert after_return({"a": (1, 2)}) == Succeeded(b'{"a":[1,2]}')


def test_a_value_that_is_not_json_cannot_be_stored() -> None:
    outcome = after_return({"a": [object()]})

    assert isinstance(outcome, Unstorable)
    assert outcome.error.message == (
        "the handler's result cannot be stored: a value of type object cannot be written as JSON (at a[0])"
    )


def test_a_forgotten_coroutine_is_explained_and_closed() -> None:
    async def forgotten() -> None: ...

    coroutine = forgotten()

    outcome = after_return(coroutine)

    assert isinstance(outcome, Failed)
    assert "returned a coroutine; make it async def" in outcome.error.message
    assert coroutine.cr_frame is None
