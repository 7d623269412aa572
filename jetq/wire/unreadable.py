"""
unreadable: what decoding raises where bytes are not what they should be.
"""

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""No JSON, or JSON of another shape; no UTF-8 within it; or so deep that nobody can read it."""
