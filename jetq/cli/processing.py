"""
processing: ``jetq tasks process``: a worker for one type of tasks whose handler is a program, or is elsewhere.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from jetq.cli import options
from jetq.cli.expanding import expanded
from jetq.errors import InvalidSettingError
from jetq.model.retry import NAMED
from jetq.settings import DEFAULT_CONCURRENCY, Settings, WorkerSettings


@dataclass(frozen=True, kw_only=True)
class Handling:
    """How a task is carried out, and what follows."""

    remote: Annotated[
        bool, typer.Option("--remote", help="Hand the tasks on to who listens for them, in any language.")
    ] = False
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="What a task may take; the queue's limit.")] = None
    output: Annotated[
        str, typer.Option(metavar="FORM", help="What the output is as a result: auto, json, text or base64.")
    ] = "auto"
    terminate_on: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="No further try after this status; repeated or comma-separated."),
    ] = None
    backoff: Annotated[
        str | None, typer.Option(metavar="NAME", help="Waits between tries: 1m, 10m, 1h or default, as in Go.")
    ] = None
    discard_complete: Annotated[bool, typer.Option("--discard-complete", help="Keep no task that succeeded.")] = False
    discard_expired: Annotated[bool, typer.Option("--discard-expired", help="Keep no task that expired.")] = False


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What the worker serves beside, how it logs and ends."""

    monitor: Annotated[
        str | None,
        typer.Option(
            "--monitor", "--metrics", metavar="[HOST:]PORT", help="Serve metrics; on 127.0.0.1 without a host."
        ),
    ] = None
    health: options.Health = None
    burst: options.Burst = False
    shutdown_timeout: options.ShutdownTimeout = "25s"
    log_level: options.LogLevel = "info"
    log_format: options.LogFormat = "auto"
    uvloop: options.Uvloop = "auto"


@dataclass(frozen=True, kw_only=True)
class Trusting:
    """Where the server is, and whose tasks run."""

    servers: options.Servers = None
    context: options.Context = None
    namespace: options.Namespace = None
    verify: options.Verify = None
    signatures_optional: options.SignaturesOptional = False


@expanded
def process(
    task_type: Annotated[str, typer.Argument(metavar="TYPE", help="The type, or a pattern such as webhook:*.")],
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="The queue to serve; made if it is not there.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="The program and its arguments, which no shell sees."),
    ] = None,
    *,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", "-c", metavar="N", help="Tasks at one time; as many as processors, --remote 50."),
    ] = None,
    handling: Handling,
    serving: Serving,
    trusting: Trusting,
) -> None:
    """
    Run tasks of one type by a program or a remote handler.

    The program finds its task as JSON in the file that CHORIA_AJ_TASK and JETQ_TASK name; what it writes is the result;
    another status than 0 is an error, which is tried again. Write -- before arguments of its own that begin with -.
    Give the type a queue of its own: tasks of other types find no handler here.
    """
    from jetq.cli.durations import parse_duration
    from jetq.cli.serving import choose_uvloop, configure_logs, parse_address
    from jetq.cli.signing import trust
    from jetq.model.name import check_name
    from jetq.runtime.worker_process import Place, run_worker

    slots = DEFAULT_CONCURRENCY if handling.remote else os.cpu_count() or 1
    patience = parse_duration("--shutdown-timeout", serving.shutdown_timeout)
    settings = replace(
        WorkerSettings.from_env(),
        concurrency=slots if concurrency is None else concurrency,
        shutdown_timeout=patience,
        burst=serving.burst,
    )
    place = Place(servers=trusting.servers, context=trusting.context, namespace=trusting.namespace)
    loop, page = choose_uvloop(serving.uvloop), parse_address("--monitor", serving.monitor)
    probes = parse_address("--health", serving.health)
    check_name("queue", queue)
    app = application_for(task_type, queue, command or (), handling)
    trust(app, trusting.verify, optional=trusting.signatures_optional)
    configure_logs(serving.log_level, serving.log_format, sys.stderr)
    run_worker(app, queues=(queue,), settings=settings, place=place, uvloop=loop, metrics=page, health=probes)


def application_for(task_type: str, queue: str, command: Sequence[str], handling: Handling) -> Any:
    """
    Return an application with the one handler.

    Raises:
        ConfigurationError: An option cannot be used.
    """
    from jetq.app.application import App
    from jetq.cli.durations import parse_duration

    if handling.backoff not in {None, *NAMED}:
        raise InvalidSettingError("--backoff", handling.backoff, f"one of {', '.join(NAMED)}")
    app = App("jetq", settings=Settings.from_env())
    said: dict[str, Any] = {
        "queue": queue,
        "retry": handling.backoff,
        "timeout": handling.timeout and parse_duration("--timeout", handling.timeout),
        "discard": [
            end
            for end, wanted in (("complete", handling.discard_complete), ("expired", handling.discard_expired))
            if wanted
        ],
    }
    if handling.remote:
        if command:
            raise InvalidSettingError("COMMAND", command[0], "absent with --remote: the handler is elsewhere")
        app.remote(task_type, **said)
    elif not command:
        raise InvalidSettingError("COMMAND", "nothing", "a program to run for each task, or --remote")
    elif shutil.which(command[0]) is None:
        raise InvalidSettingError("COMMAND", command[0], "a program that is there and can be run")
    else:
        statuses = [_status(text) for text in options.split_names(handling.terminate_on)]
        output: Any = handling.output
        app.command(task_type, list(command), output=output, terminate_on=statuses, **said)
    return app


def _status(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidSettingError("--terminate-on", text, "exit statuses, 1 to 255") from None
