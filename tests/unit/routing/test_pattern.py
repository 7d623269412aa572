import itertools

import pytest
from hypothesis import given, strategies as st

from jetq.errors import InvalidPatternError
from jetq.routing.pattern import Pattern, parse

LETTERS = "ab:"
task_types = st.text(LETTERS, min_size=1, max_size=7)
patterns = st.text(LETTERS + "*", min_size=1, max_size=6)


def fits(pattern: str, task_type: str) -> bool:
    """Read the rule word by word: a star is any run of characters, everything else is itself."""
    if not pattern:
        return not task_type
    if pattern[0] == "*":
        return any(fits(pattern[1:], task_type[skipped:]) for skipped in range(len(task_type) + 1))
    return bool(task_type) and pattern[0] == task_type[0] and fits(pattern[1:], task_type[1:])


@given(patterns, task_types)
def test_a_star_is_any_run_of_characters(pattern: str, task_type: str) -> None:
    assert parse(pattern).matches(task_type) == fits(pattern, task_type)


@pytest.mark.parametrize(
    ("pattern", "task_type", "expected"),
    [
        ("email:new", "email:new", True),
        ("email:new", "email:news", False),
        ("email:*", "email:", True),
        ("email:*", "email:new", True),
        ("email:*", "mail:new", False),
        ("*", "x", True),
        ("**", "x", True),
        ("*:new", "email:new", True),
        ("a*b*c", "abc", True),
        ("a*bb*c", "abc", False),
        ("ab*ba", "aba", False),
        ("a*a", "a", False),
        ("*a*a*", "bab", False),
        ("*a*a*", "baba", True),
        ("*ab*ba*", "xabax", False),
        ("a*bc*bcd", "abcd", False),
        ("a*bc*bcd", "abcbcd", True),
    ],
)
def test_matching(pattern: str, task_type: str, expected: bool) -> None:
    assert expected == parse(pattern).matches(task_type)


def test_many_stars_stay_quick() -> None:
    pattern = parse("*a" * 30 + "*b")

    assert not pattern.matches("a" * 200)


@pytest.mark.parametrize("text", ["email new", "email.new", "email/>", "é", "a\n", "a?", "[a]"])
def test_illegal_characters_are_refused(text: str) -> None:
    with pytest.raises(InvalidPatternError, match="use letters") as caught:
        parse(text)

    assert caught.value.pattern == text


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(InvalidPatternError, match=r"it is empty; '\*' takes every task type"):
        parse("")


@pytest.mark.parametrize("text", [None, 3, b"email"])
def test_what_is_no_string_is_refused(text: object) -> None:
    with pytest.raises(InvalidPatternError, match="must be a string"):
        parse(text)


def test_a_pattern_longer_than_every_task_type_is_refused() -> None:
    assert parse("a" * 200 + "*").literals == 200
    with pytest.raises(InvalidPatternError, match="201 literal characters"):
        parse("a" * 201 + "*")


def words(longest: int) -> list[str]:
    return ["".join(letters) for size in range(1, longest + 1) for letters in itertools.product("ab", repeat=size)]


SHORT = words(8)


@given(st.text("ab*", min_size=1, max_size=4), st.text("ab*", min_size=1, max_size=4))
def test_overlap_is_a_task_type_that_fits_both(left: str, right: str) -> None:
    expected = any(fits(left, word) and fits(right, word) for word in SHORT)

    assert expected == parse(left).overlaps(parse(right))
    assert expected == parse(right).overlaps(parse(left))


@st.composite
def pattern_of(draw: st.DrawFn, word: str) -> str:
    """Put stars in place of some runs of a word."""
    start = draw(st.integers(0, len(word)))
    end = draw(st.integers(start, len(word)))
    text = f"{word[:start]}*{word[end:]}"
    return draw(pattern_of(text)) if draw(st.booleans()) else text


@given(st.data(), task_types)
def test_two_patterns_of_a_task_type_tie_when_they_have_the_same_rank(data: st.DataObject, task_type: str) -> None:
    left, right = parse(data.draw(pattern_of(task_type))), parse(data.draw(pattern_of(task_type)))
    assert left.matches(task_type)

    assert (left.specificity == right.specificity) == left.ties_with(right) == right.ties_with(left)


@pytest.mark.parametrize(
    ("left", "right"),
    [("email:*", "email:*"), ("a*b", "a*c"), ("a*", "b*"), ("a*bc", "a*c"), ("a*", "a*b"), ("a", "a*"), ("a*", "*a")],
)
def test_ties(left: str, right: str) -> None:
    expected = left == right

    assert expected == parse(left).ties_with(parse(right))


def test_a_tie_in_the_middle() -> None:
    assert parse("a*x*b").ties_with(parse("a*y*b"))


def test_patterns_are_values() -> None:
    assert parse("a*b") == parse("a*b")
    assert isinstance(parse("a"), Pattern)
    assert parse("a").is_exact
    assert not parse("a*").is_exact
