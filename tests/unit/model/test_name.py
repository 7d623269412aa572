"""What a name may be."""

import re
import string

import pytest
from hypothesis import given, strategies as st

from jetq.errors import InvalidNameError
from jetq.model.name import MAX_LENGTH, check_name, is_name

LEGAL = string.ascii_letters + string.digits + "_:-"


@given(st.text(LEGAL, min_size=1, max_size=MAX_LENGTH))
def test_names_of_asyncjobs_are_legal(name: str) -> None:
    assert is_name(name)
    assert check_name("task id", name) == name


@given(st.text(max_size=20))
def test_any_other_text_is_not(text: str) -> None:
    assert is_name(text) == (re.fullmatch(r"[a-zA-Z0-9_:-]+", text) is not None)


@pytest.mark.parametrize("name", ["", "a.b", "*", ">", "a b", "a\n", "\n", "é", "１", "ª", "a/b", "a\x00", "A" * 201])  # noqa: RUF001
def test_what_would_break_a_subject_is_refused_with_its_kind(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(InvalidNameError, match="is not a legal queue") as refused:
        check_name("queue", name)
    assert (refused.value.kind, refused.value.name) == ("queue", name)


def test_a_name_has_200_characters_at_most() -> None:
    assert MAX_LENGTH == 200
    assert is_name("a" * 200)
    assert check_name("queue", "-" * 200)
    with pytest.raises(InvalidNameError, match="it has 201 characters and the limit is 200"):
        check_name("queue", "-" * 201)


@pytest.mark.parametrize("name", [None, 7, b"bytes", ["a"]])
def test_what_is_no_text_is_refused(name: object) -> None:
    with pytest.raises(InvalidNameError, match="it must be a string"):
        check_name("task type", name)
