"""What is a traceparent."""

import pytest

from jetq.errors import InvalidSettingError
from jetq.model.trace import check_trace

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("trace", [TRACE, TRACE.replace("00-", "cc-", 1), TRACE.replace("-01", "-00")])
def test_a_traceparent_is_taken_as_it_is(trace: str) -> None:
    assert check_trace(trace) == trace


@pytest.mark.parametrize(
    "trace",
    ["", TRACE.upper(), TRACE.replace("00-", "ff-", 1), f"{TRACE} ", f"{TRACE}-x", TRACE[:-1], TRACE.encode(), None],
    ids=["empty", "upper", "version", "blank", "long", "short", "bytes", "none"],
)
def test_anything_else_is_refused(trace: object) -> None:
    with pytest.raises(InvalidSettingError, match="a W3C traceparent, such as 00-"):
        check_trace(trace)
