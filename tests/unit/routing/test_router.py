from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from jetq.errors import DuplicateHandlerError
from jetq.routing import router as module
from jetq.routing.handler import Handler, make_handler
from jetq.routing.router import Router


def handler(pattern: str) -> Handler:
    def handle() -> None: ...

    return make_handler(handle, pattern)


def routed(*patterns: str) -> Router:
    router = Router()
    for pattern in patterns:
        router.add(handler(pattern))
    return router


def chosen(router: Router, task_type: str) -> str | None:
    found = router.match(task_type)
    return None if found is None else found.pattern


def fits(pattern: str, task_type: str) -> bool:
    if not pattern:
        return not task_type
    if pattern[0] == "*":
        return any(fits(pattern[1:], task_type[skipped:]) for skipped in range(len(task_type) + 1))
    return bool(task_type) and pattern[0] == task_type[0] and fits(pattern[1:], task_type[1:])


def by_the_rule(patterns: Sequence[str], task_type: str) -> str | None:
    """Exact, else the longest literal prefix, else the most literal characters."""
    if task_type in patterns:
        return task_type
    fitting = [pattern for pattern in patterns if "*" in pattern and fits(pattern, task_type)]
    return max(fitting, key=lambda text: (text.index("*"), len(text.replace("*", ""))), default=None)


@given(
    st.lists(st.text("ab*", min_size=1, max_size=5), max_size=12),
    st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=12),
)
def test_the_chosen_handler_is_the_one_that_the_rule_names(patterns: list[str], task_types: list[str]) -> None:
    router, registered = Router(), list[str]()
    for pattern in patterns:
        try:
            router.add(handler(pattern))
            registered.append(pattern)
        except DuplicateHandlerError:
            continue

    for task_type in [*task_types, *task_types]:
        assert by_the_rule(registered, task_type) == chosen(router, task_type)


@given(st.permutations(["*", "a*", "a*b", "ab*", "*b", "ab", "aab"]), st.text("ab", min_size=1, max_size=4))
def test_the_order_of_registration_does_not_matter(patterns: list[str], task_type: str) -> None:
    expected = chosen(routed("*", "*b", "a*", "a*b", "ab*", "ab", "aab"), task_type)

    assert expected == chosen(routed(*patterns), task_type)


def test_the_exact_type_wins() -> None:
    router = routed("email:*", "email:new", "*")

    assert chosen(router, "email:new") == "email:new"
    assert chosen(router, "email:old") == "email:*"
    assert chosen(router, "sms:new") == "*"


def test_no_handler_is_none_and_stays_none_until_one_is_added() -> None:
    router = routed("a")
    assert router.match("b") is None

    router.add(handler("b*"))

    assert chosen(router, "b") == "b*"


def test_a_more_specific_handler_that_comes_later_takes_over() -> None:
    router = routed("b*")
    assert chosen(router, "bc") == "b*"

    router.add(handler("bc"))

    assert chosen(router, "bc") == "bc"


@pytest.mark.parametrize("pattern", ["email:new", "email:*"])
def test_an_equal_pattern_is_refused_and_says_where_the_other_one_is(pattern: str) -> None:
    router = routed(pattern)

    with pytest.raises(DuplicateHandlerError, match="is registered already") as caught:
        router.add(handler(pattern))

    assert caught.value.other == pattern
    assert "test_router" in caught.value.where
    assert __file__ in str(caught.value)
    assert router.patterns == (pattern,)


def test_a_tie_is_refused() -> None:
    router = routed("a*x*b")

    with pytest.raises(DuplicateHandlerError, match=r"'a\*y\*b' ties with 'a\*x\*b'"):
        router.add(handler("a*y*b"))


def test_the_same_rank_without_overlap_is_no_tie() -> None:
    router = routed("a*x", "a*y", "b*x")

    assert chosen(router, "a1y") == "a*y"
    assert chosen(router, "b1x") == "b*x"


def test_remembered_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHED", 10)
    router = routed("a*")

    for number in range(100):
        assert chosen(router, f"a{number}") == "a*"
        assert router.match(f"b{number}") is None

    assert len(router._answers) <= 10


def test_handlers_and_patterns_are_listed() -> None:
    router = routed("*", "b", "a*", "a")

    assert router.patterns == ("b", "a", "a*", "*")
    assert [one.pattern for one in router.handlers] == list(router.patterns)
