"""
examples: records, documents and moves drawn at random.
"""

import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import Raw

from jetq.model.record import ABSENT, CancelRequest, ErrorInfo, Result, Run, StoredOptions, TaskRecord
from jetq.model.state import State
from jetq.model.transition import claimed, closed, refused, renewed, retried, waiting
from jetq.model.verdict import Verdict
from jetq.wire.codec import Document, decode_record, new_document

FIELDS = TaskRecord.__struct_fields__

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.text(string.ascii_letters + string.digits + "_:-", min_size=1, max_size=30)
counts = st.integers(0, 2**50)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=11))])
moments = st.datetimes(datetime(1970, 1, 2), datetime(9998, 1, 1), timezones=zones)  # noqa: DTZ001 - a bound has no zone
numbers: st.SearchStrategy[float] = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))


raws = values.map(_raw)
errors = st.builds(ErrorInfo, texts, texts, texts)
runs = st.builds(Run, names, counts, texts)

records: st.SearchStrategy[TaskRecord] = st.builds(
    TaskRecord,
    id=names,
    type=texts,
    queue=names | st.just(""),
    dependencies=st.lists(names, max_size=3),
    dependency_results=raws | st.just(ABSENT),
    load_dependencies=st.booleans(),
    payload=st.none() | st.binary(max_size=30),
    deadline=st.none() | moments,
    max_tries=st.integers(-(2**63), 2**63 - 1),
    result=st.none() | st.builds(Result, raws, moments),
    state=st.sampled_from(State),
    created=moments,
    tried=st.none() | moments,
    tries=counts,
    last_err=texts,
    signature=texts,
    run=st.none() | runs,
    due=st.none() | moments,
    end=texts,
    error=st.none() | errors,
    crashes=counts,
    runs=counts,
    cancel_requested=st.none() | st.builds(CancelRequest, texts, st.none() | moments),
    options=st.none() | st.builds(StoredOptions, timeout=st.none() | st.floats(0, 1e9), retry=raws | st.just(ABSENT)),
    progress=raws | st.just(ABSENT),
    schedule=texts,
    scheduled_for=st.none() | moments,
    nonce=texts,
    pending=st.lists(names, max_size=3).map(tuple),
    satisfied=raws | st.just(ABSENT),
    dependents=st.lists(names, max_size=3).map(tuple),
    on_failure=raws | st.just(ABSENT),
    flow=texts,
)

strangers = st.dictionaries(texts.filter(lambda key: key not in FIELDS), raws, max_size=4)
"""Keys that this version of jetq does not know."""


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Draw a record as another program, or a newer jetq, may have stored it."""
    document = new_document(draw(records))
    keys = list((document.fields | draw(strangers)).items())
    return decode_record(msgspec.json.encode(dict(draw(st.permutations(keys)))))


Move = Callable[[TaskRecord], TaskRecord]
waits = st.none() | moments
verdicts = st.builds(
    Verdict,
    state=st.sampled_from([State.COMPLETE, State.RETRY, State.EXPIRED, State.TERMINATED]),
    due=waits,
    end=texts,
    refund=st.booleans(),
    crashed=st.booleans(),
    result=st.none() | raws.map(bytes),
    last_err=texts,
    error=st.none() | errors,
)


def _claim(run: Run, now: datetime, crashed: bool) -> Move:
    return lambda record: claimed(record, run, now, crashed=crashed)


def _close(verdict: Verdict, now: datetime) -> Move:
    return lambda record: closed(record, verdict, now)


def _wait(due: datetime) -> Move:
    return lambda record: waiting(record, due)


def _refuse(reason: str) -> Move:
    return lambda record: refused(record, reason)


def _renew(wanted: TaskRecord) -> Move:
    return lambda record: renewed(record, wanted)


moves: st.SearchStrategy[Move] = st.one_of(
    st.builds(_claim, runs, moments, st.booleans()),
    st.builds(_close, verdicts, moments),
    st.builds(_wait, moments),
    st.builds(_refuse, texts),
    st.builds(_renew, records),
    st.just(retried),
)
"""The named moves with arguments drawn at random."""
