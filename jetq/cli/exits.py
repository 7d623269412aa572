"""
exits: what the exit status says: 0 all well, 1 it failed, 2 wrong usage or configuration, 3 no usable server.
"""

from typing import Final

from jetq.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DelayTooLongError,
    InvalidPayloadError,
    JetqError,
    JetStreamDisabledError,
    PayloadTooLargeError,
    ServerNotFoundError,
    ServerStartError,
    ServerTooOldError,
    StoreInUseError,
)

FAILED: Final = 1
USAGE: Final = 2
NO_SERVER: Final = 3

_USAGE: Final = (ConfigurationError, DelayTooLongError, InvalidPayloadError, PayloadTooLargeError)
_NO_SERVER: Final = (
    AuthenticationError,
    ConnectionFailedError,
    JetStreamDisabledError,
    ServerNotFoundError,
    ServerStartError,
    ServerTooOldError,
    StoreInUseError,
)


def status_of(error: JetqError) -> int:
    """Return the exit status that an error asks for."""
    if isinstance(error, _USAGE):
        return USAGE
    return NO_SERVER if isinstance(error, _NO_SERVER) else FAILED
