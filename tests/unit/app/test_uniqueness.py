from collections.abc import Callable
from typing import Any

import pytest

from jetq.app.uniqueness import checked_unique, unique_key
from jetq.errors import InvalidPayloadError, InvalidSettingError
from jetq.model.unique import Unique, UniqueKey, UniqueLike, UniqueMode
from jetq.routing.handler import Handler, HandlerOptions, make_handler
from jetq.wire.keys import payload_digest

PAYLOAD = b'{"to":"ann","text":"hi"}'


def handler_of(unique: UniqueLike | None) -> Handler:
    def mail(to: str, text: str = "") -> str:
        return to + text

    return make_handler(mail, "mail", HandlerOptions(unique=checked_unique(unique)))


def by_addressee(to: str, **_rest: object) -> str | None:
    return to if to != "all" else None


@pytest.mark.parametrize(
    ("of_handler", "of_caller", "key"),
    [
        (None, None, None),
        (None, False, None),
        (True, False, None),
        (None, "k", "k"),
        (True, "k", "k"),
        ("h", None, "h"),
        (by_addressee, None, "ann"),
        (None, by_addressee, "ann"),
        (True, None, payload_digest(PAYLOAD)),
        (None, True, payload_digest(PAYLOAD)),
        ("h", True, payload_digest(PAYLOAD)),
    ],
    ids=range(11),
)
def test_the_callers_word_counts_before_the_handlers(of_handler: Any, of_caller: Any, key: str | None) -> None:
    found = unique_key("mail", PAYLOAD, of_caller, handler_of(of_handler))

    assert found == (None if key is None else UniqueKey(f"mail {key}", UniqueMode.UNFINISHED))


def test_a_task_whose_function_returns_none_is_one_among_many() -> None:
    assert unique_key("mail", b'{"to":"all"}', None, handler_of(by_addressee)) is None


@pytest.mark.parametrize(("period", "whole"), [(1, 1), (1.2, 2), (3600, 3600)])
def test_a_period_is_a_throttle_of_whole_seconds(period: float, whole: int) -> None:
    found = unique_key("mail", PAYLOAD, Unique("k", period=period), None)

    assert found == UniqueKey("mail k", UniqueMode.PERIOD, whole)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: unique_key("mail", PAYLOAD, by_addressee, None),
        lambda: unique_key("mail", PAYLOAD, lambda **_: 5, handler_of(None)),  # type: ignore[arg-type,return-value]
        lambda: unique_key("mail", PAYLOAD, lambda **_: "", handler_of(None)),
        lambda: checked_unique(Unique("k", period=0.5)),
        lambda: checked_unique(Unique("k", period=-1)),
        lambda: checked_unique(Unique("k", period=float("nan"))),
        lambda: checked_unique(5),  # type: ignore[arg-type]
    ],
    ids=range(7),
)
def test_what_cannot_be_meant_is_refused(ask: Callable[[], object]) -> None:
    with pytest.raises(InvalidSettingError, match="unique"):
        ask()


def test_a_payload_that_does_not_fit_the_function_of_the_arguments_is_refused() -> None:
    with pytest.raises(InvalidPayloadError, match="to"):
        unique_key("mail", b'{"from":"ann"}', None, handler_of(by_addressee))
