"""The exit status says whose turn it is."""

import pytest

from jetq import errors
from jetq.cli.exits import status_of
from jetq.errors import JetqError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.AppLoadError("x", "y"), 2),
        (errors.InvalidNameError("queue", "a b"), 2),
        (errors.NatsContextError("x", "y"), 2),
        (errors.InvalidPayloadError("x", "y"), 2),
        (errors.PayloadTooLargeError("x", 2, 1), 2),
        (errors.ConnectionFailedError("x", "y"), 3),
        (errors.SecureConnectionError("x", "y"), 3),
        (errors.AuthenticationError("x", "y"), 3),
        (errors.JetStreamDisabledError("x"), 3),
        (errors.ServerTooOldError("x", "1", "2"), 3),
        (errors.ServerNotFoundError("x"), 3),
        (errors.UnknownQueueError("x"), 1),
        (errors.QueueFullError("x"), 1),
        (errors.TaskNotFoundError("x"), 1),
        (errors.ServerTimeoutError("x", 1), 1),
    ],
)
def test_an_error_has_its_exit_status(error: JetqError, status: int) -> None:
    assert status_of(error) == status
