"""The ``task`` decorator, as it is written by mistake."""

import pytest

from jetq.app.application import App
from jetq.errors import InvalidPatternError


def add(a: int, b: int) -> int:
    return a + b


def test_a_decorator_without_a_pattern_is_refused_at_once() -> None:
    with pytest.raises(InvalidPatternError, match=r"@app\.task\('email:new'\)"):
        App("calc").task(add)  # type: ignore[arg-type]  # the mistake
