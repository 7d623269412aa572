"""
faults: what NATS says went wrong, as errors of jetq.

JetStream answers with a code of its own (``err_code``) beside an HTTP-like one. Only the former is decided on: a full
stream and a server without JetStream both come as 503.
"""

import asyncio
import errno
import os
import ssl
from collections.abc import Mapping
from typing import Any, Final

import nats.errors

from jetq.errors import (
    AuthenticationError,
    ConnectionFailedError,
    LimitReachedError,
    RequestRefusedError,
    SecureConnectionError,
    SequenceConflictError,
    StoreFullError,
    UnusableCredentialsError,
)

NO_RESPONDERS: Final = "503"
"""Status of a message that the server sends when nobody listens on the subject of a request."""

# Codes of the JetStream API
NO_SUITABLE_PEERS: Final = 10005
CLUSTER_NOT_AVAILABLE: Final = 10008
CONSUMER_NOT_FOUND: Final = 10014
NO_MESSAGE: Final = 10037
NOT_ENABLED_FOR_ACCOUNT: Final = 10039
ACCOUNT_RESOURCES_EXCEEDED: Final = 10002
INSUFFICIENT_RESOURCES: Final = 10023
STORAGE_RESOURCES_EXCEEDED: Final = 10047
MESSAGE_DELETE_FAILED: Final = 10057
STREAM_NAME_IN_USE: Final = 10058
STREAM_NOT_FOUND: Final = 10059
SUBJECT_OVERLAP: Final = 10065
WRONG_LAST_SEQUENCE: Final = 10071
REPLICAS_NOT_SUPPORTED: Final = 10074
NOT_ENABLED: Final = 10076
STORE_FAILED: Final = 10077
CONSUMER_EXISTS: Final = 10148
WRITE_IN_FLIGHT: Final = 10164
TTL_DISABLED: Final = 10166

_CONFLICTS: Final = frozenset({WRONG_LAST_SEQUENCE, WRITE_IN_FLIGHT})
_NO_SPACE: Final = frozenset({ACCOUNT_RESOURCES_EXCEEDED, INSUFFICIENT_RESOURCES, STORAGE_RESOURCES_EXCEEDED})
DISABLED: Final = frozenset({NOT_ENABLED_FOR_ACCOUNT, NOT_ENABLED})
"""Codes of a server, or account, without JetStream."""

_AUTHENTICATION: Final = ("authorization", "authentication", "jwt", "nkey", "signature", "credentials")


def refusal_of(what: str, error: Mapping[str, Any]) -> RequestRefusedError:
    """
    Return the error for the ``error`` object of an answer of the JetStream API.

    Args:
        what: The request, as the sentence names it.
        error: ``code``, ``err_code`` and ``description``.
    """
    code = int(error.get("err_code") or error.get("code") or 0)
    description = str(error.get("description") or "no description")
    if code in _CONFLICTS:
        return SequenceConflictError(what, code, description)
    if code == STORE_FAILED:
        return LimitReachedError(what, code, description)
    if code in _NO_SPACE:
        return StoreFullError(what, code, description)
    return RequestRefusedError(what, code, description)


def is_refused_login(text: str) -> bool:
    """Tell whether a server's ``-ERR`` says that it does not accept who we are."""
    text = text.lower()
    return any(word in text for word in _AUTHENTICATION) and "permissions violation" not in text


def failure_of(
    servers: str, error: Exception
) -> ConnectionFailedError | AuthenticationError | UnusableCredentialsError:
    """
    Return the error for a connection that did not come about.

    Args:
        servers: The address, without secrets.
        error: What nats-py, the system or the TLS library raised.
    """
    if isinstance(error, UnusableCredentialsError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return SecureConnectionError(servers, f"certificate verify failed: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return SecureConnectionError(servers, (getattr(error, "reason", None) or str(error)).lower().replace("_", " "))
    if isinstance(error, nats.errors.SecureConnWantedError):
        return SecureConnectionError(servers, "the server does not offer TLS")
    if isinstance(error, nats.errors.SecureConnRequiredError):
        return SecureConnectionError(servers, "the server asks for a certificate of ours")
    text = str(error).removeprefix("nats: ").strip("'")
    if isinstance(error, nats.errors.Error) and (
        isinstance(error, nats.errors.AuthorizationError) or is_refused_login(text)
    ):
        return AuthenticationError(servers, text.lower())
    return ConnectionFailedError(servers, _reason_of(error, text))


def _reason_of(error: Exception, text: str) -> str:
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(error, OSError):
        # a name with several addresses fails with one error for all, which has no number
        number = errno.ECONNREFUSED if f"[Errno {errno.ECONNREFUSED}]" in text else error.errno
        return os.strerror(number).lower() if number and number > 0 else (error.strerror or text).lower()
    if isinstance(error, nats.errors.Error):
        return text or "the connection was closed"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
