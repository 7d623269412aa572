"""
trace: the trace that a task is part of, as W3C's Trace Context spells it (``traceparent``, version 00). Pure.

jetq carries it from a task to those that its handler enqueues, and makes nothing of it.
"""

import re
from typing import Final

from jetq.errors import InvalidSettingError

_PARENT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_FORBIDDEN_VERSION: Final = "ff"


def check_trace(value: object) -> str:
    """
    Return a traceparent.

    Raises:
        InvalidSettingError: It is none.
    """
    if not isinstance(value, str) or value.startswith(_FORBIDDEN_VERSION) or _PARENT.fullmatch(value) is None:
        wanted = "a W3C traceparent, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        raise InvalidSettingError("trace", value, wanted)
    return value
