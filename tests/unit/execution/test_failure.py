import asyncio
from typing import Any

import pytest
from hypothesis import given, strategies as st

from jetq.execution import failure
from jetq.execution.failure import MAX_KIND, MAX_MESSAGE, MAX_TRACEBACK, describe, leaves, shorten


def caught(raise_it: Any) -> BaseException:
    try:
        raise_it()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("nothing was raised")


class ShopError(Exception):
    pass


def test_an_exception_is_told_by_type_message_and_traceback() -> None:
    def handle() -> None:
        secret = "the password"  # noqa: F841, S105 - locals must not be told
        raise ShopError("sold out")

    told = describe(caught(handle))

    assert told.type.endswith("test_failure.ShopError")
    assert told.message == "sold out"
    assert "in handle" in told.traceback
    assert told.traceback.rstrip().endswith("sold out")
    assert "secret =" not in told.traceback.replace('secret = "the password"', "")


def test_builtins_need_no_module() -> None:
    assert describe(ValueError("x")).type == "ValueError"
    assert describe(SystemExit(3)).message == "3"


def test_causes_and_contexts_are_told() -> None:
    def handle() -> None:
        try:
            _ = {}["first"]
        except KeyError as first:
            raise ShopError("second") from first

    traceback = describe(caught(handle)).traceback

    assert "KeyError: 'first'" in traceback
    assert "direct cause" in traceback


def test_the_frames_of_the_room_are_left_out() -> None:
    def handle() -> None:
        failure.shorten("x", None)  # type: ignore[arg-type]

    told = describe(caught(handle))

    assert told.type == "TypeError"
    assert "in handle" in told.traceback
    assert "in shorten" not in told.traceback


def test_a_group_names_its_parts() -> None:
    inner = ExceptionGroup("inner", [KeyError("b"), ShopError("c")])
    group = ExceptionGroup("two things", [ValueError("a"), inner, OSError("d")])

    told = describe(caught(lambda: (_ for _ in ()).throw(group)))

    assert told.message.startswith("two things (3 sub-exceptions): ValueError: a; KeyError: 'b'; ")
    assert told.message.endswith("; and 1 more")
    assert "Exception Group Traceback" in told.traceback
    assert [str(leaf) for leaf in leaves(group)] == ["a", "'b'", "c", "d"]
    assert leaves(inner.exceptions[0]) == [inner.exceptions[0]]


class Mute(Exception):  # noqa: N818 - not named for its looks
    def __str__(self) -> str:
        raise SystemExit("no words")


def test_an_exception_without_words_is_told_all_the_same() -> None:
    told = describe(caught(lambda: (_ for _ in ()).throw(Mute())))

    assert told.message == "<Mute without a readable text>"
    assert told.type.endswith("Mute")


class Liar(Exception):  # noqa: N818 - not named for its looks
    @property
    def __cause__(self) -> Any:
        raise RuntimeError("never")


def test_an_exception_that_lies_about_its_cause_is_told_all_the_same() -> None:
    assert describe(Liar("x")).message == "x"


def test_an_endless_recursion_is_told_in_few_words() -> None:
    def again() -> None:
        again()

    told = describe(caught(again))

    assert told.type == "RecursionError"
    assert len(told.traceback) < MAX_TRACEBACK


def test_long_texts_are_cut_and_the_end_of_the_traceback_is_kept() -> None:
    def handle() -> None:
        raise ShopError("é" * 100_000 + "the end")

    told = describe(caught(handle))

    assert len(told.message.encode()) <= MAX_MESSAGE
    assert len(told.traceback.encode()) <= MAX_TRACEBACK
    assert told.traceback.startswith("Traceback")
    assert "bytes left out" in told.traceback
    assert told.traceback.rstrip().endswith("the end")


def test_a_long_message_does_not_take_the_room_of_the_frames() -> None:
    def handle(depth: int = 60) -> None:
        if depth:
            pass_on(depth)
        raise ShopError("x" * 1_000_000)

    def pass_on(depth: int) -> None:
        handle(depth - 1)

    traceback = describe(caught(handle)).traceback

    frames = traceback.split("ShopError: ")[0]
    assert len(frames) > MAX_TRACEBACK / 2
    assert 'raise ShopError("x" * 1_000_000)' in frames


def test_a_long_name_of_a_class_is_cut() -> None:
    kind = type("K" * 10_000, (Exception,), {})

    assert len(describe(kind("x")).type) == MAX_KIND


def test_lone_surrogates_are_escaped() -> None:
    assert describe(ValueError("file \udcff")).message == "file \\udcff"


@given(st.text(st.characters()), st.integers(60, 200), st.integers(0, 15))
def test_shortened_texts_are_short_and_valid(text: str, limit: int, head: int) -> None:
    shortened = shorten(text * 5, limit, head)

    assert len(shortened.encode()) <= limit


def test_texts_that_fit_are_left_alone() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcdef", 5) == "ab..."


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt("x"), GeneratorExit()])
def test_base_exceptions_are_told_too(error: BaseException) -> None:
    assert describe(error).type.endswith(type(error).__name__)
