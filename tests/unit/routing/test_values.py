import json
import math
import types
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given, strategies as st

from jetq.errors import ValueNotJsonError
from jetq.routing.values import decode_value, encode_value

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Colour(Enum):
    RED = "red"
    MIX = (1, 2)


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    YES = "yes"


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Count(int):
    def __int__(self) -> int:
        return 99


class Ratio(float):
    def __float__(self) -> float:
        return 99.0


@dataclass
class Point:
    x: Any
    y: Any = 0


class Line(msgspec.Struct):
    start: Point
    colour: Any = None


class Model(pydantic.BaseModel):
    when: datetime
    price: Decimal = Decimal("1.50")
    name: str = pydantic.Field(default="n", alias="label")

    @pydantic.computed_field
    def double(self) -> str:
        return self.name * 2


class Strange:
    pass


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the untyped kind is what is tested


@given(plain)
def test_json_comes_back_as_it_was(value: Any) -> None:
    data = encode_value(value)

    assert decode_value(data) == value
    assert json.loads(data) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC), "2026-01-02T03:04:05.600000Z"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),  # noqa: DTZ001 - naive ones are legal values
        (date(2026, 1, 2), "2026-01-02"),
        (time(1, 2), "01:02:00"),
        (timedelta(days=1, seconds=5), "P1DT5S"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.50"), "1.50"),
        (Colour.RED, "red"),
        (Colour.MIX, [1, 2]),
        (Level.HIGH, 3),
        (Word.YES, "yes"),
        (Path("/a/b"), "/a/b"),
        (ip_address("::1"), "::1"),
        (b"\xff\xfe", "//4="),
        ({1}, [1]),
        (frozenset([1]), [1]),
        ((1, 2), [1, 2]),
        (Pair(1, 2), [1, 2]),
        (deque([1, 2]), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        ({1: "a", UUID(int=0): "b"}, {"1": "a", "00000000-0000-0000-0000-000000000000": "b"}),
        (Point(1, {Point(2).x}), {"x": 1, "y": [2]}),
        (Line(Point(Path("p"))), {"start": {"x": "p", "y": 0}, "colour": None}),
        (
            Model(when=datetime(2026, 1, 1, tzinfo=UTC), label="x"),
            {"when": "2026-01-01T00:00:00Z", "price": "1.50", "label": "x"},
        ),
        (Loud("quiet"), "quiet"),
        (Count(5), 5),
        (Ratio(0.5), 0.5),
        (2**70, 2**70),
        (msgspec.Raw(b'{"a":1}'), {"a": 1}),
    ],
)
def test_what_has_a_form_in_json(value: Any, expected: Any) -> None:
    assert decode_value(encode_value(value)) == expected
    assert decode_value(encode_value({"deep": [value]})) == {"deep": [expected]}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("place", "path"),
    [
        (lambda n: n, ()),
        (lambda n: [None, n], (1,)),
        (lambda n: {"a": {"b": [0, n]}}, ("a", "b", 1)),
        (lambda n: Point(1, Point(n)), ("y", "x")),
        (lambda n: Line(Point(1), colour=n), ("colour",)),
        (Ratio, ()),
    ],
)
def test_numbers_that_json_does_not_have_are_refused(number: float, place: Any, path: tuple[Any, ...]) -> None:
    with pytest.raises(ValueNotJsonError, match=r"the number (nan|-?inf) cannot be written") as caught:
        encode_value(place(number))

    assert caught.value.path == path


class Priced(pydantic.BaseModel):
    price: float


def test_a_models_nan_is_found() -> None:
    with pytest.raises(ValueNotJsonError, match=r"nan cannot be written as JSON \(at order.price\)"):
        encode_value({"order": Priced(price=math.nan)})


@pytest.mark.parametrize("value", [{"note": "null", "n": None, "x": 1.5}, "null", [None], {"null": 0.0}])
def test_null_alone_is_no_reason_to_refuse(value: Any) -> None:
    assert decode_value(encode_value(value)) == value


class Broken(pydantic.BaseModel):
    x: int = 0

    @pydantic.model_serializer
    def fail(self) -> Any:
        raise ZeroDivisionError("no form")


@pytest.mark.parametrize(
    ("value", "what", "path"),
    [
        (Strange(), r"a value of type .*Strange cannot", ()),
        (1j, "a value of type complex cannot", ()),
        (int, "a value of type type cannot", ()),
        (Model, "ModelMetaclass cannot", ()),
        (Point, "a value of type type cannot", ()),
        ((x for x in ()), "a value of type generator cannot", ()),
        ({"a": [0, {"b": Strange()}]}, r"Strange cannot be written as JSON \(at a\[1\]\.b\)", ("a", 1, "b")),
        ([Line(Point(Strange()))], "Strange", (0, "start", "x")),
        ({"a": {Strange()}}, "Strange", ("a", 0)),
        ({"k": deque([1, Strange()])}, "Strange", ("k", 1)),
        ({"a": {(1, 2): 3}}, "a key of type tuple", ("a",)),
        ({None: 1}, "a key of type NoneType", ()),
        ({True: 1}, "a key of type bool", ()),
        ({"a": "\ud800"}, "a text with a lone surrogate", ("a",)),
        ({"a": msgspec.Raw(b"{broken")}, "a Raw that is no JSON", ("a",)),
        ({"m": [Broken()]}, r"Broken \(.*no form\)", ("m", 0)),
    ],
)
def test_what_has_none_is_refused_by_type_and_place(value: Any, what: str, path: tuple[Any, ...]) -> None:
    with pytest.raises(ValueNotJsonError, match=what) as caught:
        encode_value(value)

    assert caught.value.path == path
    assert isinstance(caught.value, ValueError)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = [1]
    value.append(value)

    with pytest.raises(ValueNotJsonError, match="holds itself, or is nested too deeply"):
        encode_value({"a": value})


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [202, 900])
def test_nesting_that_not_every_reader_could_follow_is_refused(levels: int) -> None:
    deep = nested(levels)
    msgspec.json.encode(deep)

    with pytest.raises(ValueNotJsonError, match="nested too deeply"):
        encode_value({"a": [{}] * 200, "b": deep})


def test_nesting_that_every_reader_can_follow_is_not() -> None:
    value = {"a": [{}] * 200, "b": nested(190)}

    assert decode_value(encode_value(value)) == value


def test_brackets_in_strings_do_not_hide_nesting() -> None:
    closing = ["]" * 300, '"]' * 300, "{}[]"]

    with pytest.raises(ValueNotJsonError, match="nested too deeply"):
        encode_value([closing, nested(300), closing])
    assert decode_value(encode_value([closing, [[]] * 300])) == [closing, [[]] * 300]


def wide(levels: int, text: str) -> Any:
    value: Any = text
    for level in range(levels - 1):
        value = [text, value] if level % 2 else {"a": text, "b": value, "c": [text]}
    return value


@pytest.mark.parametrize("text", ["plain", 'quote " and \\ and ]'])
def test_a_wide_value_is_measured_by_its_depth(text: str) -> None:
    deep = [wide(190, text)] * 3

    assert decode_value(encode_value(deep)) == deep
    with pytest.raises(ValueNotJsonError, match="nested too deeply"):
        encode_value([wide(210, text)] * 3)


def test_a_long_list_is_not_deep() -> None:
    value = [[number] for number in range(2000)]

    assert decode_value(encode_value(value)) == value


@pytest.mark.parametrize("data", [b"", b"{", b"nan", b"[1,]", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused_when_read(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the sentence is the reader's
        decode_value(data)
