"""
span: lengths of time as people read them: ``1m30s``, ``2d``.
"""

from typing import Final

_SHOWN: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units, as ``1h30m``."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    if seconds < 10:  # noqa: PLR2004 - where tenths still count
        return f"{round(seconds, 1):g}s"
    left = round(seconds)
    parts: list[str] = []
    for unit, size in _SHOWN:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == 2:  # noqa: PLR2004 - the two largest
            break
    return "".join(parts) or "0s"
