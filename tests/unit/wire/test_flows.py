"""Flows and markers as JSON."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from jetq.errors import MalformedFlowError
from jetq.model.flow import FlowState
from jetq.wire.flows import (
    FlowDocument,
    NodeEntry,
    NodeKind,
    assembled,
    decode_flow,
    encode_flow,
    encode_marker,
    flow_of_marker,
)

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
FLOW = FlowDocument(
    id="F1",
    name="nightly",
    state=FlowState.BUILDING,
    created=NOW,
    nodes=(NodeEntry("A", "extract"), NodeEntry("B", "load", 1), NodeEntry("C", "audit")),
    kinds=(NodeKind("add", "DEFAULT"), NodeKind("load:all", "BULK", each=True)),
    leaves=(1, 2),
    result=[1, [2, 0]],
    nonce="abc",
)
WRITTEN = (
    b'{"id":"F1","state":"building","created":"2026-11-24T03:00:00Z",'
    b'"nodes":[["A","extract",0],["B","load",1],["C","audit",0]],'
    b'"kinds":[["add","DEFAULT",false],["load:all","BULK",true]],'
    b'"name":"nightly","leaves":[1,2],"result":[1,[2,0]],"nonce":"abc"}'
)


def test_a_flow_is_written_as_the_protocol_says_and_read_again() -> None:
    assert encode_flow(FLOW) == WRITTEN
    assert decode_flow(WRITTEN) == FLOW
    assert FLOW.kind_of(1).queue == "BULK"
    assert FLOW.label == "'nightly' (F1)"


def test_the_tasks_of_the_result_are_named_once_in_order() -> None:
    assert FLOW.wanted == [1, 2, 0]
    assert replace(FLOW, keyed=True).wanted == [1, 2]
    assert replace(FLOW, result=[0, 0, 1]).wanted == [0, 1]


def test_a_result_is_put_together() -> None:
    assert assembled([1, [2, 0]], {0: "a", 1: "b", 2: "c"}) == ["b", ["c", "a"]]
    assert assembled(1, {1: "b"}) == "b"
    assert assembled([], {}) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"F1"', b'"F 1"'),
        (b'"A"', b'"a.b"'),
        (b'"extract",0', b'"extract",2'),
        (b'"leaves":[1,2]', b'"leaves":[1,3]'),
        (b'"leaves":[1,2]', b'"leaves":[-1]'),
        (b"[1,[2,0]]", b"[1,[3]]"),
        (b"[1,[2,0]]", b'[1,"a"]'),
        (b"[1,[2,0]]", b"true"),
        (b"[1,[2,0]]", b"null"),
        (b"building", b"thought of"),
        (b"Z", b""),
        (WRITTEN, b"[]"),
        (WRITTEN, b"\xff"),
    ],
    ids=lambda value: value.decode("utf-8", "replace")[:20],
)
def test_what_is_no_flow_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(MalformedFlowError, match="malformed flow"):
        decode_flow(WRITTEN.replace(old, new))


def test_keys_of_others_are_passed_over() -> None:
    assert decode_flow(WRITTEN.replace(b'{"id"', b'{"later":1,"id"')) == FLOW


def test_a_marker_names_its_flow() -> None:
    assert flow_of_marker(encode_marker("F1")) == "F1"


@pytest.mark.parametrize("data", [b"{}", b"", b"[]", b'{"flow":7}', b'{"flow":"a.b"}', b"\xff"])
def test_another_marker_names_none(data: bytes) -> None:
    assert flow_of_marker(data) == ""
