from __future__ import annotations

import pytest

from jetq.errors import HandlerSignatureError
from jetq.execution.context import Context
from jetq.routing.handler import make_handler
from jetq.routing.payload import Payload


def test_annotations_are_resolved() -> None:
    async def handle(ctx: Context, to: str, count: int = 1) -> list[int]: ...

    handler = make_handler(handle, "a")

    assert handler.takes_context
    assert handler.bind(b'{"to":"x","count":"2"}', "a") == ((), {"to": "x", "count": 2})
    assert handler.decode_result(b'["1"]') == [1]


def test_payloads_are_resolved() -> None:
    def handle(numbers: Payload[list[int]]) -> None: ...

    assert make_handler(handle, "a").bind(b'["1"]', "a") == (([1],), {})


def test_a_class_of_a_function_body_is_not_found() -> None:
    class Local:
        pass

    def handle(local: Local) -> None: ...

    with pytest.raises(HandlerSignatureError, match=r"'Local'.*at the top of the module"):
        make_handler(handle, "a")
