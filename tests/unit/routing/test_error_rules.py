from typing import Any, cast

import pytest

from jetq.errors import InvalidSettingError, Retry, Signal, Terminate
from jetq.routing.error_rules import ErrorRules


def decide(_error: Exception, _ctx: object) -> None: ...


class Decider:
    def __call__(self, _error: Exception, _ctx: object) -> None: ...


class AsyncDecider:
    async def __call__(self, _error: Exception, _ctx: object) -> None: ...


async def decide_later(_error: Exception, _ctx: object) -> None: ...


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, None),
        (ValueError, (ValueError,)),
        ((ValueError, KeyError), (ValueError, KeyError)),
        ([OSError], (OSError,)),
        ({TimeoutError}, (TimeoutError,)),
        ((), ()),
        (BaseException, (BaseException,)),
    ],
)
def test_one_class_or_several_are_kept_as_several(given: Any, kept: Any) -> None:
    rules = ErrorRules.checked(given, given)

    assert (rules.retry_on, rules.give_up_on) == (kept, kept)


@pytest.mark.parametrize("setting", ["retry_on", "give_up_on"])
@pytest.mark.parametrize(
    "wrong",
    ["ValueError", ValueError("made"), int, 5, [ValueError, "x"], Retry, (OSError, Terminate), Signal, [None]],
    ids=str,
)
def test_what_is_no_exception_class_is_refused_and_named(setting: str, wrong: Any) -> None:
    with pytest.raises(InvalidSettingError, match=f"expected {setting} to be an exception class"):
        ErrorRules.checked(**{setting: wrong})


def test_a_text_is_named_as_a_whole() -> None:
    with pytest.raises(InvalidSettingError, match="got: 'ValueError'"):
        ErrorRules.checked(retry_on=cast("Any", "ValueError"))


@pytest.mark.parametrize("function", [decide, Decider(), None], ids=["function", "object", "none"])
def test_a_function_may_decide(function: Any) -> None:
    assert ErrorRules.checked(on_error=function).on_error is function


@pytest.mark.parametrize(
    "wrong",
    [decide_later, AsyncDecider(), Decider, "decide", 5],
    ids=["async function", "async object", "class", "name", "number"],
)
def test_what_could_not_decide_at_once_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidSettingError, match="expected on_error to be a plain function"):
        ErrorRules.checked(on_error=wrong)


def test_what_is_not_said_is_taken_from_outside() -> None:
    outer = ErrorRules(retry_on=(OSError,), give_up_on=(KeyError,), on_error=decide)

    assert ErrorRules().within(outer) == outer
    assert outer.within(ErrorRules(retry_on=(), give_up_on=())) == outer
    assert ErrorRules(give_up_on=()).within(outer) == ErrorRules(retry_on=(OSError,), give_up_on=(), on_error=decide)
