"""What NATS says went wrong, as errors of jetq."""

import errno
import ssl

import nats.errors
import pytest

from jetq.errors import (
    AuthenticationError,
    ConnectionFailedError,
    JetqError,
    LimitReachedError,
    RequestRefusedError,
    SecureConnectionError,
    SequenceConflictError,
    StoreFullError,
    UnusableCredentialsError,
)
from jetq.jetstream.faults import failure_of, refusal_of


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (10071, SequenceConflictError),
        (10164, SequenceConflictError),
        (10077, LimitReachedError),
        (10002, StoreFullError),
        (10023, StoreFullError),
        (10047, StoreFullError),
        (10059, RequestRefusedError),
        (10039, RequestRefusedError),
    ],
)
def test_the_code_of_jetstream_decides_not_the_http_one(code: int, expected: type[RequestRefusedError]) -> None:
    refused = refusal_of("STREAM.X", {"code": 503, "err_code": code, "description": "why"})

    assert type(refused) is expected
    assert (refused.what, refused.code, refused.description) == ("STREAM.X", code, "why")


def test_a_refusal_without_a_code_is_still_one() -> None:
    assert refusal_of("X", {}).code == 0


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 4222)"), None, "connection refused"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), None, "connection refused"),
        (OSError(-2, "Name or service not known"), None, "name or service not known"),
        (TimeoutError(), None, "no answer in time"),
        (nats.errors.TimeoutError(), None, "no answer in time"),
        (nats.errors.Error("nats: empty response from server"), None, "empty response from server"),
        (UnicodeError("label too long"), None, "label too long"),
        (nats.errors.Error("nats: 'Authorization Violation'"), AuthenticationError, "authorization violation"),
        (nats.errors.Error("nats: 'User Authentication Expired'"), AuthenticationError, "user authentication expired"),
        (nats.errors.AuthorizationError(), AuthenticationError, "authorization failed"),
        (nats.errors.SecureConnWantedError(), SecureConnectionError, "does not offer TLS"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), SecureConnectionError, "wrong version"),
    ],
)
def test_a_failed_connection_says_why(error: Exception, expected: type[JetqError] | None, words: str) -> None:
    failure = failure_of("nats://a:4222", error)

    assert type(failure) is (expected or ConnectionFailedError)
    assert words in str(failure).lower() or words in str(failure)
    assert "nats://a:4222" in str(failure)


def test_unusable_credentials_stay_what_they_are() -> None:
    error = UnusableCredentialsError("/a.creds", "no such file")

    assert failure_of("nats://a:4222", error) is error
