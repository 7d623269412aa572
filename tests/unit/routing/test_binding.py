import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given, strategies as st

from jetq.errors import HandlerSignatureError, InvalidPayloadError
from jetq.execution.context import Context
from jetq.routing.handler import Handler, make_handler
from jetq.routing.payload import Payload

TYPE = "shop:do"


def handler(function: Callable[..., Any]) -> Handler:
    return make_handler(function, TYPE)


def refusal(bound: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(InvalidPayloadError) as caught:
        bound(*args)
    assert caught.value.task_type == TYPE
    return caught.value.reason


def as_json_string(data: bytes) -> bytes:
    return json.dumps(data.decode()).encode()


def as_base64_string(data: bytes) -> bytes:
    return json.dumps(base64.b64encode(data).decode()).encode()


def send(to: str, subject: str = "none", count: int = 1) -> None: ...


SEND = handler(send)


# Named arguments


def test_arguments_travel_by_name() -> None:
    payload = SEND.encode_call(("a@b.c",), {"count": 2}, TYPE)

    assert json.loads(payload) == {"to": "a@b.c", "count": 2}
    assert SEND.bind(payload, TYPE) == ((), {"to": "a@b.c", "count": 2})


def test_the_worker_converts_as_json_does() -> None:
    assert SEND.bind(b'{"to":"x","count":"12"}', TYPE) == ((), {"to": "x", "count": 12})
    assert SEND.encode_call(("x",), {"count": "12"}, TYPE) == b'{"to":"x","count":"12"}'


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "argument 'to' is missing"),
        ((), {"subject": "x"}, "argument 'to' is missing"),
        (("a",), {"cc": "b"}, "unknown argument 'cc' (the handler takes to, subject, count)"),
        ((5,), {}, "argument 'to': input should be a valid string"),
        ((None,), {}, "argument 'to': input should be a valid string"),
        (
            ("a",),
            {"count": "many"},
            "argument 'count': input should be a valid integer, unable to parse string as an integer",
        ),
        (
            ("a",),
            {"count": 1.5},
            "argument 'count': input should be a valid integer, got a number with a fractional part",
        ),
        (("a", "b", 3, 4), {}, "4 arguments by position, and the handler takes 3 so"),
        (("a",), {"to": "b"}, "argument 'to' is given twice"),
        (("a",), {"subject": 1j}, "argument 'subject': a value of type complex cannot be written as JSON"),
        (
            ("a",),
            {"subject": [{"x": 1j}]},
            "argument 'subject': a value of type complex cannot be written as JSON (at [0].x)",
        ),
        (("a",), {"count": float("nan")}, "argument 'count': the number nan cannot be written as JSON"),
    ],
)
def test_a_call_that_the_handler_would_not_take_is_refused_in_the_caller(
    args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
) -> None:
    assert reason == refusal(SEND.encode_call, args, kwargs, TYPE)


def test_arguments_may_be_left_out_and_those_that_are_there_are_checked() -> None:
    def handle(ctx: Context, a: int, b: str, *, c: float = 1.0, d: list[int]) -> None: ...

    some = handler(handle)

    assert some.encode_some((), {"b": "x"}, TYPE) == (b'{"b":"x"}', ("b",))
    assert some.encode_some((1,), {"d": [2]}, TYPE) == (b'{"a":1,"d":[2]}', ("a", "d"))
    assert refusal(some.encode_some, ("x",), {}, TYPE).startswith("argument 'a': input should be a valid integer")
    assert refusal(some.encode_some, (), {"e": 1}, TYPE) == "unknown argument 'e' (the handler takes a, b, c, d)"
    assert (some.missing(("b",)), some.free(("a",)), some.free("abcd")) == (("a", "d"), "b", None)
    assert (some.takes("c"), some.takes("e"), some.takes("ctx"), some.takes_data) == (True, False, False, True)


def test_a_handler_of_any_arguments_takes_any_name_but_the_contexts() -> None:
    def handle(ctx: Context, **others: int) -> None: ...

    some = handler(handle)

    assert (some.takes("a"), some.takes("ctx"), some.free(()), some.missing(())) == (True, False, None, ())


def test_several_problems_are_told_at_once_up_to_three() -> None:
    def many(a: int, b: int, c: int, d: int, e: int) -> None: ...

    reason = refusal(handler(many).bind, b'{"a":"x"}', TYPE)

    assert reason.startswith("argument 'a': input should be a valid integer")
    assert reason.endswith("argument 'b' is missing; argument 'c' is missing; and 2 more")


def test_a_problem_says_its_place_but_not_its_value() -> None:
    def order(lines: list[dict[str, int]]) -> None: ...

    reason = refusal(handler(order).bind, b'{"lines":[{"n":1},{"n":"secret"}]}', TYPE)

    assert "argument 'lines': input should be a valid integer" in reason
    assert reason.endswith("(at [1].n)")
    assert "secret" not in reason


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"to":', "it is no JSON (EOF while parsing a value at line 1 column 6)"),
        (b"garbage", "it is no JSON (expected value at line 1 column 1)"),
        (b"\xff\xfe", "it is no JSON (expected value at line 1 column 1)"),
        (b"[1]", "it is no object of arguments"),
        (b"5", "it is no object of arguments"),
        (b'"text"', "it is no object of arguments"),
        (b'{"to":"a","to2":1}', "unknown argument 'to2' (the handler takes to, subject, count)"),
    ],
)
def test_a_payload_that_the_handler_does_not_take_is_refused_at_the_worker(payload: bytes, reason: str) -> None:
    assert reason == refusal(SEND.bind, payload, TYPE)


def test_keyword_only_parameters_are_not_filled_by_position() -> None:
    def handle(a: int, *, b: int) -> None: ...

    assert handler(handle).encode_call((1,), {"b": 2}, TYPE) == b'{"a":1,"b":2}'
    assert "2 arguments by position, and the handler takes 1 so" in refusal(
        handler(handle).encode_call, (1, 2), {}, TYPE
    )

    def named(*, b: int) -> None: ...

    assert "the handler takes none so" in refusal(handler(named).encode_call, (1,), {}, TYPE)


def test_unannotated_parameters_take_any_json() -> None:
    def handle(a, b=None) -> None: ...

    assert handler(handle).bind(b'{"a":[1,{"x":null}]}', TYPE) == ((), {"a": [1, {"x": None}]})


def test_kwargs_get_the_unknown_arguments() -> None:
    def handle(a: int, **rest: Any) -> None: ...

    assert handler(handle).bind(b'{"a":"1","b":"2"}', TYPE) == ((), {"a": 1, "b": "2"})


def test_annotated_kwargs_are_checked() -> None:
    def handle(**counts: int) -> None: ...

    assert handler(handle).bind(b'{"a":"1"}', TYPE) == ((), {"a": 1})
    assert refusal(handler(handle).bind, b'{"a":"x"}', TYPE).startswith("argument 'a': input should be a valid integer")


def test_no_argument_takes_the_contexts_place() -> None:
    def handle(ctx: Context, **rest: Any) -> None: ...
    def strict(ctx: Context, a: int = 1) -> None: ...

    assert "handler's context has this name" in refusal(handler(handle).bind, b'{"ctx":1}', TYPE)
    assert "unknown argument 'ctx'" in refusal(handler(strict).bind, b'{"ctx":1}', TYPE)
    assert handler(handle).bind(b'{"":1}', TYPE) == ((), {"": 1})


def test_names_of_parameters_are_free() -> None:
    def handle(self: int, schema: int, model_config: int, _hidden: int, copy: int, json: int) -> None: ...

    kwargs = {"self": 1, "schema": 2, "model_config": 3, "_hidden": 4, "copy": 5, "json": 6}

    assert handler(handle).bind(handler(handle).encode_call((), kwargs, TYPE), TYPE) == ((), kwargs)


class Colour(Enum):
    RED = "red"


class Point(msgspec.Struct):
    x: int
    y: int = 0


class Size(TypedDict):
    width: int


class Buyer(pydantic.BaseModel):
    name: str
    friends: list["Buyer"] = []


@dataclass
class Photo:
    data: bytes
    at: Point | None = None


@dataclass
class Plain:
    a: int
    b: "Plain | None" = None


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)),
        (date, date(2026, 1, 2)),
        (UUID, UUID(int=5)),
        (Decimal, Decimal("0.10")),
        (Colour, Colour.RED),
        (Path, Path("/a")),
        (set[int], {1, 2}),
        (tuple[int, str], (1, "a")),
        (bytes, b"\xff\xfb\x00"),
        (list[bytes], [b"\xff"]),
        (dict[int, str], {1: "a"}),
        (Literal["a", "b"], "a"),
        (int | None, None),
        (Annotated[int, pydantic.Field(gt=0)], 1),
        (Buyer, Buyer(name="a", friends=[Buyer(name="b")])),
        (list[Buyer], [Buyer(name="a")]),
        (Plain, Plain(1, Plain(2))),
        (Photo, Photo(b"\xff", Point(1))),
        (Point, Point(1)),
        (Point | None, Point(1)),
        (dict[str, list[Point]], {"a": [Point(1, 2)]}),
        (Size, {"width": 1}),
        (list[Size], [{"width": 1}]),
        (Any, {"any": [1, None]}),
    ],
)
def test_values_of_these_types_arrive_as_they_were(annotation: Any, value: Any) -> None:
    def named(value: Any) -> None: ...
    def whole(value: Any) -> None: ...

    named.__annotations__["value"] = annotation
    whole.__annotations__["value"] = Payload[annotation]

    one, other = handler(named), handler(whole)

    assert one.bind(one.encode_call((value,), {}, TYPE), TYPE) == ((), {"value": value})
    assert other.bind(other.encode_call((value,), {}, TYPE), TYPE) == ((value,), {})


def test_attrs_classes_arrive_as_they_were() -> None:
    attrs = pytest.importorskip("attrs")
    box = attrs.make_class("Box", {"size": attrs.field(type=int), "inner": attrs.field(type=list[int])})

    def handle(box: Any) -> None: ...

    handle.__annotations__["box"] = box
    one = handler(handle)

    assert one.bind(one.encode_call((box(1, [2]),), {}, TYPE), TYPE) == ((), {"box": box(1, [2])})


def test_constraints_hold() -> None:
    def handle(count: Annotated[int, pydantic.Field(gt=0)]) -> None: ...

    assert refusal(handler(handle).encode_call, (0,), {}, TYPE) == "argument 'count': input should be greater than 0"


def test_what_msgspec_converts_is_checked_too() -> None:
    def handle(points: list[Point]) -> None: ...

    reason = refusal(handler(handle).bind, b'{"points":[{"x":1},{"x":"far"}]}', TYPE)

    assert reason == "argument 'points': Expected int, got str (at [1].x)"
    assert handler(handle).bind(b'{"points":[{"x":"1"}]}', TYPE) == ((), {"points": [Point(1)]})


class Unreadable:
    pass


@pytest.mark.parametrize("annotation", [Unreadable, list[Unreadable], dict[str, Unreadable | None]])
def test_an_annotation_that_json_cannot_be_read_as_is_found_before_the_first_task(annotation: Any) -> None:
    def handle(value: Any) -> None: ...

    handle.__annotations__["value"] = annotation

    with pytest.raises(HandlerSignatureError, match=r"parameter 'value' cannot be read from JSON as .*Unreadable"):
        handler(handle).prepare()


def test_a_validators_own_words_are_told() -> None:
    class Even(pydantic.BaseModel):
        number: int

        @pydantic.field_validator("number")
        @classmethod
        def even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("must be even")
            return value

    def handle(even: Payload[Even]) -> None: ...

    assert refusal(handler(handle).bind, b'{"number":1}', TYPE) == "must be even (at number)"


# The shapes of payloads


wrapped = st.lists(st.sampled_from([as_json_string, as_base64_string]), max_size=3)


@given(st.fixed_dictionaries({"to": st.text()}, optional={"subject": st.text(), "count": st.integers()}), wrapped)
def test_a_payload_is_unwrapped_however_go_wrapped_it(arguments: dict[str, Any], wraps: list[Any]) -> None:
    payload = json.dumps(arguments).encode()
    for wrap in wraps:
        payload = wrap(payload)

    assert SEND.bind(payload, TYPE) == ((), arguments)


@given(st.fixed_dictionaries({"a": st.integers()}), wrapped)
def test_a_whole_payload_is_unwrapped_as_well(arguments: dict[str, Any], wraps: list[Any]) -> None:
    payload = json.dumps(arguments).encode()
    for wrap in wraps:
        payload = wrap(payload)

    assert WHOLE.bind(payload, TYPE) == ((Plain(**arguments),), {})


def whole(plain: Payload[Plain]) -> None: ...


WHOLE = handler(whole)


def test_white_space_around_a_payload_does_not_matter() -> None:
    assert SEND.bind(b' \n{"to":"x"} ', TYPE) == ((), {"to": "x"})
    assert SEND.bind(as_json_string(b' {"to":"x"}\n'), TYPE) == ((), {"to": "x"})


@given(st.text())
def test_a_handler_of_one_str_gets_the_string_itself(text: str) -> None:
    def handle(text: str) -> None: ...

    payload = json.dumps(text).encode()

    assert handler(handle).bind(payload, TYPE) == ((), {"text": text})


@pytest.mark.parametrize("text", ['{"text":"x"}', "eyJ0ZXh0IjoieCJ9"])
def test_a_handler_of_one_str_gets_a_string_that_holds_an_object_as_it_is(text: str) -> None:
    def handle(ctx: Context, text: Annotated[str, "any"]) -> None: ...
    def whole(text: Payload[str]) -> None: ...

    payload = json.dumps(text).encode()

    assert handler(handle).bind(payload, TYPE) == ((), {"text": text})
    assert handler(whole).bind(payload, TYPE) == ((text,), {})
    assert handler(handle).bind(b'{"text":"x"}', TYPE) == ((), {"text": "x"})


@pytest.mark.parametrize(
    "payload",
    [b'"{broken"', b'"{1:2}"', b'"abc"', b'"=="', b'"eyJ0byI6!IngifQ=="', as_json_string(as_json_string(b"x"))],
)
def test_a_string_that_holds_no_object_stays_one(payload: bytes) -> None:
    def handle(anything: Payload[Any]) -> None: ...

    assert handler(handle).bind(payload, TYPE) == ((json.loads(payload),), {})
    assert refusal(SEND.bind, payload, TYPE) == "it is no object of arguments"


@pytest.mark.parametrize("payload", [None, b"", b"null", b" null\n", b'""'])
def test_no_payload_is_a_call_without_arguments(payload: bytes | None) -> None:
    def handle(a: int = 1, **rest: Any) -> None: ...

    assert handler(handle).bind(payload, TYPE) == ((), {})
    assert refusal(SEND.bind, payload, TYPE) == "argument 'to' is missing"


def test_endless_wrapping_is_given_up() -> None:
    payload = b'{"to":"x"}'
    for _ in range(12):
        payload = as_base64_string(payload)

    assert refusal(SEND.bind, payload, TYPE) == "it is no object of arguments"


# The whole payload


def test_the_whole_payload_is_one_value() -> None:
    assert WHOLE.encode_call((Plain(1),), {}, TYPE) == b'{"a":1,"b":null}'
    assert WHOLE.encode_call((), {"plain": Plain(1)}, TYPE) == b'{"a":1,"b":null}'
    assert WHOLE.bind(b'{"a":"1"}', TYPE) == ((Plain(1),), {})


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "argument 'plain' is missing"),
        ((Plain(1), 2), {}, "the handler takes one argument and 2 were given"),
        ((Plain(1),), {"plain": 2}, "the handler takes one argument and 2 were given"),
        ((), {"other": 2}, "unknown argument 'other' (the handler takes plain)"),
        (({"a": "x"},), {}, "input should be a valid integer, unable to parse string as an integer (at a)"),
        (({},), {}, "a is missing"),
        (({"a": 1j},), {}, "a value of type complex cannot be written as JSON (at a)"),
    ],
)
def test_a_call_with_another_payload_is_refused(args: tuple[Any, ...], kwargs: dict[str, Any], reason: str) -> None:
    assert reason == refusal(WHOLE.encode_call, args, kwargs, TYPE)


def test_a_keyword_only_payload_is_passed_by_name() -> None:
    def handle(*, plain: Payload[Plain]) -> None: ...

    assert handler(handle).bind(b'{"a":1}', TYPE) == ((), {"plain": Plain(1)})
    assert "give it by name" in refusal(handler(handle).encode_call, (Plain(1),), {}, TYPE)


def test_a_payload_may_be_absent_where_there_is_a_default_or_none_is_allowed() -> None:
    def default(plain: Payload[Plain] = Plain(9)) -> None: ...  # noqa: B008 - a default is a default
    def optional(plain: Payload[Plain | None]) -> None: ...

    assert handler(default).bind(None, TYPE) == ((), {})
    assert handler(default).bind(handler(default).encode_call((), {}, TYPE), TYPE) == ((), {})
    assert handler(optional).bind(None, TYPE) == ((None,), {})
    assert "input should be" in refusal(WHOLE.bind, None, TYPE)


# No data


@pytest.mark.parametrize("payload", [None, b"", b"{}", b'{"a":1}', b"[1]", b'"x"', b"\xff garbage"])
def test_without_data_parameters_any_payload_will_do(payload: bytes | None) -> None:
    def handle(ctx: Context) -> None: ...

    assert handler(handle).bind(payload, TYPE) == ((), {})


def test_without_data_parameters_a_call_has_no_arguments() -> None:
    def handle(ctx: Context) -> None: ...

    assert handler(handle).encode_call((), {}, TYPE) == b"{}"
    assert refusal(handler(handle).encode_call, (), {"a": 1}, TYPE).startswith(
        "unknown argument 'a'; the handler takes none"
    )
    assert refusal(handler(handle).encode_call, (1,), {}, TYPE).startswith(
        "an argument was given; the handler takes none"
    )


# A payload given as a value


def test_a_whole_payload_given_as_a_value_is_checked_the_same_way() -> None:
    assert SEND.encode_payload({"to": "x"}, TYPE) == b'{"to":"x"}'
    assert refusal(SEND.encode_payload, {"to": 1}, TYPE) == "argument 'to': input should be a valid string"
    assert (
        refusal(SEND.encode_payload, {"to": 1j}, TYPE)
        == "argument 'to': a value of type complex cannot be written as JSON"
    )
    assert refusal(SEND.encode_payload, None, TYPE) == "argument 'to' is missing"
    assert WHOLE.encode_payload(Plain(1), TYPE) == b'{"a":1,"b":null}'
    assert "(at a)" in refusal(WHOLE.encode_payload, {"a": 1j}, TYPE)


def test_a_whole_payload_may_be_left_out() -> None:
    assert WHOLE.encode_some((), {}, TYPE) == (b"null", ())
    assert WHOLE.encode_some((Plain(1),), {}, TYPE) == (b'{"a":1,"b":null}', ("plain",))
    assert (WHOLE.missing(()), WHOLE.free(()), WHOLE.takes("plain"), WHOLE.takes("x")) == (
        ("plain",),
        "plain",
        True,
        False,
    )
