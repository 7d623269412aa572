"""What a log and the numbers say of a server of remote handlers."""

import logging
from typing import Any, get_args

import pytest
from prometheus_client import CollectorRegistry

from jetq.model.answering import (
    AnsweringEvent,
    Refusal,
    RequestAnswered,
    RequestRefused,
    ResponderStarted,
    ResponderStopped,
)
from jetq.observe.answering_metrics import ANSWERING_METRICS, AnsweringMetrics
from jetq.observe.answering_words import ANSWERING_LINES
from jetq.observe.words import told

ANSWERED = RequestAnswered(
    task_id="T1", task_type="a:b", pattern="a:*", outcome="succeeded", error="", duration=0.0123456
)
FAILED = RequestAnswered(task_id="T1", task_type="a:b", pattern="a:*", outcome="failed", error="no\nluck", duration=0.1)
REFUSED = RequestRefused(subject="JETQ.H.T.x", reason=Refusal.UNROUTABLE, detail="no handler")
STARTED = ResponderStarted(responder="R1", service="shop", group="g", subjects=tuple("abcdefghijkl"), slots=7)


def test_there_are_words_for_each_event() -> None:
    assert set(ANSWERING_LINES) == set(get_args(AnsweringEvent))


@pytest.mark.parametrize(
    ("event", "level", "fields"),
    [
        (ANSWERED, logging.DEBUG, {"duration": 0.012346, "outcome": "succeeded"}),
        (FAILED, logging.WARNING, {"error": "no luck", "task_id": "T1"}),
        (REFUSED, logging.WARNING, {"reason": "unroutable", "detail": "no handler"}),
        (STARTED, logging.INFO, {"subjects": "a,b,c,d,e,f,g,h,i,j,...", "slots": 7}),
    ],
    ids=["answered", "failed", "refused", "started"],
)
def test_a_line_says_how_bad_it_is_and_what_it_is_about(event: Any, level: int, fields: dict[str, Any]) -> None:
    found, _, said = told(event)
    assert found == level
    assert fields.items() <= said.items()


def test_what_happens_is_counted_and_can_be_taken_out_again() -> None:
    registry = CollectorRegistry()
    metrics = AnsweringMetrics(running=lambda: 2, waiting=lambda: 3, registry=registry)
    for event in (STARTED, ANSWERED, ANSWERED, FAILED, REFUSED, ResponderStopped(responder="R1", interrupted=0)):
        metrics(event)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("jetq_requests_answered_total", type="a:*", outcome="succeeded") == 2
    assert value("jetq_requests_answered_total", type="a:*", outcome="failed") == 1
    assert value("jetq_requests_refused_total", reason="unroutable") == 1
    assert value("jetq_requests_refused_total", reason="late") == 0
    assert value("jetq_request_duration_seconds_count", type="a:*") == 3
    assert [value(f"jetq_{name}") for name in ("requests_running", "requests_waiting", "request_slots")] == [2, 3, 7]
    metrics.forget()
    assert list(registry.collect()) == []
    assert len({metric.name for metric in ANSWERING_METRICS}) == len(ANSWERING_METRICS)
