from typing import Annotated, get_args

from jetq.routing.payload import Payload, is_payload, mentions_payload, without_mark


def test_a_payload_is_what_stands_in_its_brackets() -> None:
    assert is_payload(Payload[int])
    assert without_mark(Payload[int]) is int
    assert repr(get_args(Payload[int])[1]) == "Payload"


def test_other_annotations_are_none() -> None:
    assert not is_payload(int)
    assert not is_payload(Annotated[int, "Payload"])
    assert not mentions_payload(list[int])


def test_constraints_stay() -> None:
    marked = Payload[Annotated[int, "positive"]]

    assert is_payload(marked)
    assert without_mark(marked) == Annotated[int, "positive"]


def test_a_hidden_payload_is_seen() -> None:
    assert not is_payload(Payload[int] | None)
    assert mentions_payload(Payload[int] | None)
    assert mentions_payload(list[Payload[int]])
