"""What ``jetq tasks process`` refuses before it connects."""

import pytest
import typer
from typer.testing import CliRunner

from jetq.app.application import App
from jetq.cli.processing import Handling, application_for, process
from jetq.errors import ConfigurationError
from jetq.model.retention import as_retention

app = typer.Typer()
app.command()(process)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "a program to run for each task, or --remote"),
        (["./nothing"], "a program that is there and can be run, got: './nothing'"),
        (["--remote", "true"], "absent with --remote"),
        (["true", "--backoff", "2m"], "--backoff to be one of default, 10m, 1m, 1h"),
        (["true", "--terminate-on", "x"], "--terminate-on to be exit statuses"),
        (["true", "--terminate-on", "1,300"], "from 1 to 255"),
        (["true", "-c", "0"], "concurrency"),
        (["true", "--output", "xml"], "output to be one of"),
        (["true", "--timeout", "soon"], "--timeout to be a duration"),
        (["true", "--monitor", "x:y"], "--monitor to be a port"),
        (["--remote", "--timeout", "1"], "timeout to be at least 5 s"),
    ],
    ids=str,
)
def test_bad_input_is_named(arguments: list[str], sentence: str) -> None:
    ended = CliRunner().invoke(app, ["call:me", "CALLS", *arguments])

    assert isinstance(ended.exception, ConfigurationError)
    assert sentence in str(ended.exception)


def test_the_options_are_those_of_the_handler() -> None:
    said = Handling(
        timeout="2m", backoff="1m", discard_complete=True, discard_expired=True, terminate_on=["3,4"], output="text"
    )
    app: App = application_for("call:*", "CALLS", ["true", "--fast"], said)
    (handler,) = app.router.handlers

    assert (handler.pattern, handler.name) == ("call:*", "command:true --fast")
    assert (handler.options.queue, handler.options.timeout, handler.options.retry) == ("CALLS", 120, "1m")
    assert handler.options.retention == as_retention(None, ["complete", "expired"])


def test_a_remote_handler_needs_no_program() -> None:
    (handler,) = application_for("*", "CALLS", [], Handling(remote=True)).router.handlers

    assert handler.name == "remote:*"
    assert handler.options.retention is None


@pytest.mark.parametrize(("place", "sentence"), [("a b Q", "legal pattern"), ("a Q. ", "legal queue")])
def test_bad_names_are_named(place: str, sentence: str) -> None:
    task_type, _, queue = place.strip().rpartition(" ")
    ended = CliRunner().invoke(app, [task_type, queue, "true"])

    assert isinstance(ended.exception, ConfigurationError)
    assert sentence in str(ended.exception)
