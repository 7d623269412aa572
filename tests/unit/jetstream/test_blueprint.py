import pytest

from jetq.errors import TopologyMismatchError
from jetq.jetstream.blueprint import (
    consumer_times,
    covers,
    number,
    queue_stream,
    read_number,
    shared_streams,
    task_store,
)
from jetq.jetstream.due_source import due_source, is_sourced, respelled
from jetq.settings import Queue, StoreSettings
from jetq.wire.names import Names

NAMES = Names("NS")


@pytest.mark.parametrize(
    ("pattern", "subject", "all_of_it"),
    [
        ("A.B", "A.B", True),
        ("A.*", "A.B", True),
        ("A.>", "A.B.C", True),
        (">", "A", True),
        ("A.*", "A.*", True),
        ("A.>", "A.*", True),
        ("A.>", "A.>", True),
        ("*.>", "A.>", True),
        ("A.B", "A.C", False),
        ("A.B", "A.*", False),
        ("A.*", "A.>", False),
        ("A.*", "A.B.C", False),
        ("A.>", "A", False),
        ("A.B.C", "A.B", False),
        ("A", "A.B", False),
    ],
)
def test_a_pattern_covers_a_subject_if_it_takes_all_that_the_subject_stands_for(
    pattern: str, subject: str, all_of_it: bool
) -> None:
    assert covers(pattern, subject) is all_of_it


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (15.0, "15"), (0.5, "0.5"), (3_600_000, "3600000"), (1e9, "1000000000"), (1 / 3, "0.333333333")],
)
def test_a_number_is_spelled_without_an_exponent_and_read_back(value: float, text: str) -> None:
    assert number(value) == text
    assert read_number("C", {"key": text}, "key") == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("text", ["", "ten", "-1", "inf", "nan", "1h", None])
def test_what_is_no_number_of_seconds_is_refused(text: str | None) -> None:
    with pytest.raises(TopologyMismatchError, match="jetq needs a number of 0 or more") as refused:
        read_number("C", {} if text is None else {"key": text}, "key")
    assert (refused.value.name, refused.value.field, refused.value.found) == ("C", "metadata key", text)


def test_every_plan_passes_its_own_rules_and_lacks_nothing() -> None:
    settings = StoreSettings()
    plans = [
        task_store(NAMES, settings),
        *shared_streams(NAMES, "file", 1),
        queue_stream(NAMES, Queue("EMAIL"), settings),
    ]
    for plan in plans:
        assert [rule.field for rule in plan.rules if not rule.works(plan.config.get(rule.field))] == []
        assert [addition.what for addition in plan.additions if addition.lacking(plan.config)] == []


def test_no_two_plans_claim_one_subject() -> None:
    plans = [task_store(NAMES, StoreSettings()), *shared_streams(NAMES, "file", 1)]
    subjects = [subject for plan in plans for subject in plan.config["subjects"]]

    assert [one for one in subjects for other in subjects if one is not other and covers(one, other)] == []


def test_a_source_with_another_target_is_not_the_queues_own() -> None:
    config = queue_stream(NAMES, Queue("EMAIL"), StoreSettings()).config

    assert is_sourced(NAMES, "EMAIL", config)
    assert not is_sourced(NAMES, "OTHER", config)
    assert not is_sourced(NAMES, "EMAIL", {"sources": None})


def test_a_source_in_other_words_is_the_queues_own_and_changes_back() -> None:
    config = queue_stream(NAMES, Queue("EMAIL"), StoreSettings()).config | {
        "sources": [{"name": "X"}, due_source(NAMES, "EMAIL")]
    }
    other = respelled(NAMES, "EMAIL", config)

    assert other is not None
    assert other["sources"] != config["sources"]
    assert other["sources"][0] == {"name": "X"}
    assert is_sourced(NAMES, "EMAIL", other)
    assert respelled(NAMES, "EMAIL", other) == config
    assert respelled(NAMES, "OTHER", config) is None


def test_queues_of_go_say_nothing_of_jetq() -> None:
    assert consumer_times(run_time=60, max_tries=0, lease=None) == {
        "ack_wait": 60_000_000_000,
        "max_deliver": -1,
        "metadata": {},
    }
