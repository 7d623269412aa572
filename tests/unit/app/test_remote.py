"""What may be said of a remote handler, and where it is called."""

from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.group import Tasks
from jetq.errors import (
    DuplicateHandlerError,
    InvalidNameError,
    InvalidPatternError,
    InvalidPayloadError,
    InvalidSettingError,
)
from jetq.execution.remote_call import RemoteCall
from jetq.jetstream.backend import Backend


@pytest.fixture
def app() -> App:
    """Give an application without a server."""
    return App("shop")


async def nowhere() -> Backend:
    raise AssertionError


@pytest.mark.parametrize(
    ("pattern", "endpoint", "called"),
    [
        pytest.param("audit:new", None, ("audit:new",), id="type"),
        pytest.param("audit:*", None, ("audit:new", "audit:"), id="prefix"),
        pytest.param("audit:*:x*", None, ("audit:new", "audit:"), id="two-stars"),
        pytest.param("*:new", None, ("audit:new",), id="suffix"),
        pytest.param("audit:new*", None, ("audit:new",), id="the-prefix-is-the-type"),
        pytest.param("*", None, ("catchall",), id="catch-all"),
        pytest.param("**", None, ("audit:new",), id="two-stars-alone"),
        pytest.param("*", "auditor", ("auditor",), id="endpoint"),
    ],
)
def test_what_is_called_follows_from_the_pattern(pattern: str, endpoint: str | None, called: tuple[str, ...]) -> None:
    assert RemoteCall(pattern, endpoint, nowhere).endpoints("audit:new") == called


@pytest.mark.parametrize(
    ("pattern", "options", "error", "words"),
    [
        pytest.param("audit:new", {"timeout": 4}, InvalidSettingError, "timeout", id="short-timeout"),
        pytest.param("audit:new", {"endpoint": "a.b"}, InvalidNameError, "endpoint", id="endpoint-of-two-tokens"),
        pytest.param("audit:new", {"endpoint": "*"}, InvalidNameError, "endpoint", id="endpoint-with-star"),
        pytest.param("audit new", {}, InvalidPatternError, "audit new", id="blank"),
        pytest.param("audit:new", {"retry_on": ()}, TypeError, "retry_on", id="no-such-option"),
        pytest.param("audit:new", {"retry": "nope"}, InvalidSettingError, "nope", id="no-such-policy"),
        pytest.param("audit:log", {}, DuplicateHandlerError, "remote:audit:log", id="second-handler"),
    ],
)
def test_what_a_remote_handler_cannot_be_is_refused(
    app: App, pattern: str, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    app.remote("audit:log")
    with pytest.raises(error, match=words):
        app.remote(pattern, **options)


def test_a_remote_handler_takes_arguments_by_name_alone(app: App) -> None:
    audit = app.remote("audit:log")
    assert audit.s(user="ann", rows=[1]).payload == b'{"user":"ann","rows":[1]}'
    with pytest.raises(InvalidPayloadError, match="give every argument by name"):
        audit.s("ann")


def test_many_calls_in_one_task_are_no_task_for_another_program(app: App) -> None:
    audit = app.remote("audit:log")
    with pytest.raises(InvalidPayloadError, match="enqueue a task for each call"):
        audit.starmap([()])


def test_its_options_are_those_of_its_tasks(app: App) -> None:
    audit = app.remote("audit:log", queue="AUDIT", max_tries=3, retry=5, timeout=60, discard=["complete"])
    options = audit.handler.options
    assert (options.queue, options.max_tries, options.timeout) == ("AUDIT", 3, 60)
    assert repr(audit) == "<Task audit:log remote:audit:log>"


def test_a_group_of_tasks_may_hold_one() -> None:
    tasks = Tasks()
    tasks.remote("audit:log")
    app = App("shop", include=[tasks])
    assert app.router.patterns == ("audit:log",)
