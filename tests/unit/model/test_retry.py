"""Waits: within their bounds for every chance, and growing where that is promised."""

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from jetq.errors import InvalidSettingError
from jetq.model.retry import (
    MAX_WAIT,
    NAMED,
    Custom,
    Exponential,
    Fixed,
    Linear,
    RetryPolicy,
    Steps,
    as_policy,
    next_wait,
)

retries = st.integers(-2, 2**53)
chances = st.floats(0, 1, exclude_max=True)
waits = st.floats(0, 1e9)
jitters = st.floats(0, 1)
exponentials = st.builds(Exponential, first=waits, max=waits, factor=st.floats(1, 1000), jitter=jitters)
linears = st.builds(Linear, first=waits, step=waits, max=waits, jitter=jitters)
fixed = st.builds(Fixed, seconds=waits, jitter=jitters)
growing = exponentials | linears | fixed


def longest(policy: Exponential | Linear | Fixed) -> float:
    bound = policy.seconds if isinstance(policy, Fixed) else policy.max
    assert isinstance(bound, float)
    return bound


@given(growing, retries, chances)
def test_a_wait_is_never_longer_than_the_longest_nor_shorter_than_its_jitter(
    policy: Exponential | Linear | Fixed, retry: int, chance: float
) -> None:
    whole = policy.delay(retry, 0.0)
    wait = policy.delay(retry, chance)

    assert 0 <= wait <= whole <= longest(policy)
    assert wait >= whole * (1 - policy.jitter) - 1e-9 * whole


@given(growing, retries, st.integers(0, 1000), chances)
def test_waits_do_not_shrink(policy: RetryPolicy, retry: int, more: int, chance: float) -> None:
    assert policy.delay(retry, chance) <= policy.delay(retry + more, chance)


@given(exponentials, chances)
def test_without_a_first_wait_there_is_none(policy: Exponential, chance: float) -> None:
    none = Exponential(first=0, max=policy.max, factor=policy.factor)

    assert none.delay(10_000, chance) == 0


def test_exponential_doubles_up_to_its_longest() -> None:
    policy = Exponential(first=2, max=600, jitter=0)

    assert [policy.delay(retry, 0.9) for retry in (0, 1, 2, 3, 9, 10, 11, 10**9)] == [2, 2, 4, 8, 512, 600, 600, 600]


def test_the_defaults_are_those_of_the_reference() -> None:
    assert Exponential() == Exponential(first=2, max=600, factor=2, jitter=1)
    assert Linear() == Linear(first=1, step=1, max=600, jitter=0)
    assert Fixed() == Fixed(seconds=10, jitter=0)
    assert Steps((1.0,)) == Steps((1.0,), jitter=0)
    assert timedelta(seconds=MAX_WAIT) == timedelta(days=3650)


def test_a_small_factor_grows_to_the_longest_too() -> None:
    assert Exponential(first=1, max=600, factor=1.001, jitter=0).delay(100_000, 0) == 600


def test_full_jitter_takes_any_part_of_the_wait() -> None:
    policy = Exponential(first=10, max=600)

    assert (policy.delay(1, 0.0), policy.delay(1, 0.25)) == (10, 7.5)
    assert 0 < policy.delay(1, math.nextafter(1, 0)) < 1e-9


def test_linear_grows_by_its_step() -> None:
    policy = Linear(first=timedelta(seconds=5), step=10, max=timedelta(minutes=1))

    assert [policy.delay(retry, 0.5) for retry in (1, 2, 6, 7, 100)] == [5, 15, 55, 60, 60]


def test_fixed_is_the_same_each_time() -> None:
    assert [Fixed(timedelta(minutes=1)).delay(retry, 0.5) for retry in (1, 50)] == [60, 60]


@given(st.sampled_from(sorted(NAMED)), retries, chances)
def test_the_waits_of_go_are_within_what_go_draws(name: str, retry: int, chance: float) -> None:
    policy = NAMED[name]
    assert isinstance(policy, Steps)
    interval = policy.intervals[min(max(retry, 0), len(policy.intervals) - 1)]

    wait = policy.delay(retry, chance)

    assert interval * policy.jitter - 0.001 <= wait <= interval * (policy.jitter + 1) + 0.001
    assert wait == round(wait, 3)


def test_the_first_retry_of_go_takes_the_second_interval() -> None:
    assert NAMED["1m"].delay(1, 0.0) == round(3.95 * 0.5, 3)


def test_a_step_of_no_length_is_the_first_instead_as_in_go() -> None:
    assert Steps((5.0, 0.0), 0.5).delay(1, 0.9) == 5


def test_a_custom_policy_is_asked_for_each_retry() -> None:
    policy = Custom(lambda retry: timedelta(minutes=retry))

    assert [policy.delay(retry, 0.5) for retry in (1, 3)] == [60, 180]


def test_the_next_wait_is_the_policys_or_the_longest_there_is() -> None:
    assert next_wait(Fixed(7), 1, 0.5) == (7, "")
    assert next_wait(Custom(lambda _: 1e300), 1, 0.5) == (MAX_WAIT, "")


@pytest.mark.parametrize(
    ("kind", "values", "setting"),
    [
        (Exponential, {"first": -1}, "Exponential.first"),
        (Exponential, {"first": math.nan}, "Exponential.first"),
        (Exponential, {"first": "10"}, "Exponential.first"),
        (Exponential, {"max": math.inf}, "Exponential.max"),
        (Exponential, {"max": 10**400}, "Exponential.max"),
        (Exponential, {"factor": 0.5}, "Exponential.factor"),
        (Exponential, {"factor": math.nan}, "Exponential.factor"),
        (Exponential, {"factor": None}, "Exponential.factor"),
        (Exponential, {"jitter": 1.5}, "Exponential.jitter"),
        (Linear, {"first": timedelta(seconds=-1)}, "Linear.first"),
        (Linear, {"step": True}, "Linear.step"),
        (Linear, {"max": -1}, "Linear.max"),
        (Linear, {"jitter": math.nan}, "Linear.jitter"),
        (Linear, {"jitter": 1.1}, "Linear.jitter"),
        (Fixed, {"seconds": -1}, "Fixed.seconds"),
        (Fixed, {"jitter": -0.1}, "Fixed.jitter"),
        (Fixed, {"jitter": 1.1}, "Fixed.jitter"),
        (Steps, {"intervals": ()}, "Steps.intervals"),
        (Steps, {"intervals": (1.0, -1.0)}, "Steps.intervals"),
        (Steps, {"intervals": (1.0,), "jitter": 2}, "Steps.jitter"),
    ],
)
def test_a_bad_value_names_its_setting(kind: Any, values: dict[str, Any], setting: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"expected {setting} to be ") as refused:
        kind(**values)
    assert refused.value.setting == setting


def own_policy(retry: int) -> float:
    return retry * 2.0


class Duck:
    def delay(self, retry: int, chance: float) -> float:
        return retry + chance


@pytest.mark.parametrize(
    ("given_", "waited"),
    [
        (Fixed(3), 3),
        (3, 3),
        (3.5, 3.5),
        (timedelta(minutes=1), 60),
        pytest.param(own_policy, 4, id="function"),
        pytest.param(Duck(), 2.5, id="object"),
        ("1m", round(6.9 * 0.5 + 6.9 * 0.5, 3)),
    ],
    ids=str,
)
def test_what_may_be_given_as_a_policy(given_: Any, waited: float) -> None:
    assert as_policy(given_).delay(2, 0.5) == waited


@pytest.mark.parametrize("bad", ["2m", "", None, True, [1], Exponential, Duck, -1, math.nan], ids=str)
def test_what_may_not_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidSettingError):
        as_policy(bad)


def test_an_applications_own_names_come_before_those_of_asyncjobs() -> None:
    own = {"gentle": Fixed(1), "1m": Fixed(2)}

    assert [as_policy(name, own) for name in ("gentle", "1m", "1h")] == [Fixed(1), Fixed(2), NAMED["1h"]]
    with pytest.raises(InvalidSettingError, match="one of 10m, 1h, 1m, default, gentle "):
        as_policy("2m", own)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidSettingError, match="one of 10m, 1h, 1m, default"):
        as_policy("2m")
