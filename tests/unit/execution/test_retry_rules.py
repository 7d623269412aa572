"""Whose policy counts for a run."""

import pytest
from msgspec import Raw

from jetq.execution.retry_rules import RetryRules
from jetq.model.record import StoredOptions
from jetq.model.retry import NAMED, Exponential, Fixed, RetryPolicy
from jetq.routing.handler import Handler, HandlerOptions, make_handler
from jetq.settings import Settings
from tests.unit.execution.samples import record

SETTINGS = Settings(retry=Fixed(1), retry_policies={"gentle": Fixed(2), "1m": Fixed(3)})


def handle() -> None: ...


def handler(retry: RetryPolicy | str | None) -> Handler:
    return make_handler(handle, "shop:*", HandlerOptions(retry=retry))


@pytest.mark.parametrize(
    ("own", "handlers", "policy"),
    [
        (b"", None, Fixed(1)),
        (b"null", None, Fixed(1)),
        (b"", Fixed(9), Fixed(9)),
        (b"", "gentle", Fixed(2)),
        (b"", "1m", Fixed(3)),
        (b"", "1h", NAMED["1h"]),
        (b'"gentle"', Fixed(9), Fixed(2)),
        (b'"1m"', Fixed(9), Fixed(3)),
        (b'"10m"', Fixed(9), NAMED["10m"]),
        (b'{"kind":"fixed","seconds":7}', Fixed(9), Fixed(7)),
    ],
)
def test_the_tasks_policy_wins_over_the_handlers_and_that_over_the_applications(
    own: bytes, handlers: RetryPolicy | str | None, policy: RetryPolicy
) -> None:
    task = record(options=StoredOptions(retry=Raw(own)), max_tries=5)

    rules = RetryRules(SETTINGS).of(task, handler(handlers), queue_max_tries=3)

    assert (rules.retry, rules.max_tries, rules.complaint) == (policy, 3, "")


def test_without_a_word_the_default_of_the_settings_counts() -> None:
    assert RetryRules(Settings()).of(record(), handler(None), queue_max_tries=0).retry == Exponential()


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (b'"2m"', "expected retry to be one of 10m, 1h, 1m, default, gentle"),
        (b"5", "Expected `str | object`, got `int`"),
        (b'"' + b"x" * 10_000 + b'"', "expected retry to be one of"),
    ],
    ids=["unknown", "number", "long"],
)
def test_a_policy_that_cannot_be_used_is_replaced_and_told(own: bytes, why: str) -> None:
    task = record(options=StoredOptions(retry=Raw(own)))

    rules = RetryRules(SETTINGS).of(task, handler("gentle"), queue_max_tries=0)

    assert rules.retry == Fixed(2)
    assert rules.complaint.startswith(" (and the task's own retry policy cannot be used: ")
    assert why in rules.complaint
    assert len(rules.complaint) < 400
