"""
floor: what jetq asks of a server before it works with it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from jetq import settings
from jetq.errors import ServerTooOldError

API_FLOOR: Final = 4
"""The level of the JetStream API that the oldest server has; behind a leaf node, JetStream may be another server's."""
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def check_version(servers: str, info: Mapping[str, Any]) -> None:
    """
    See that a server is not older than `settings.SERVER_FLOOR`.

    Args:
        servers: As the error names it.
        info: What the server says about itself.

    Raises:
        ServerTooOldError: It is.
    """
    found = str(info.get("version", "of unknown version"))
    match = _VERSION.match(found)
    if match is None or tuple(map(int, match.groups())) < settings.SERVER_FLOOR:
        raise ServerTooOldError(servers, found, ".".join(map(str, settings.SERVER_FLOOR)))


def check_api_level(servers: str, level: int) -> None:
    """
    See that the JetStream which answers is not older than ours must be.

    Args:
        servers: As the error names it.
        level: Of its API; 0 is unknown, and let pass.

    Raises:
        ServerTooOldError: It is.
    """
    if 0 < level < API_FLOOR:
        wanted = ".".join(map(str, settings.SERVER_FLOOR))
        raise ServerTooOldError(servers, f"with JetStream API level {level}", f"{wanted} (level {API_FLOOR})")
