"""
options: what several commands take, spelled once.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from jetq.errors import InvalidSettingError

_WEIGHTED: Final = re.compile(r"(?P<name>.+?)(?::(?P<weight>\d{1,9}))?", re.ASCII)

Servers = Annotated[
    str | None,
    typer.Option("--servers", "-s", metavar="URL", help="NATS URLs, comma-separated."),
]
Context = Annotated[str | None, typer.Option("--context", metavar="NAME", help="A NATS context.")]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Prefix of all streams, else JETQ_NAMESPACE, else JETQ; CHORIA_AJ shares them with Go.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", "-j", help="Print JSON, and nothing else, on stdout.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")]

Target = Annotated[str, typer.Argument(metavar="MODULE:APP", help="Where the App is; MODULE alone means MODULE:app.")]
AppDir = Annotated[
    Path | None,
    typer.Option("--app-dir", metavar="DIR", help="Where the module is looked for first, else the working directory."),
]
Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queues",
        "-Q",
        metavar="NAME[:WEIGHT]",
        envvar="JETQ_QUEUES",
        help="Queues to serve, repeated or comma-separated, with their shares of the slots, as critical:6,low:1; "
        "all that the application knows if absent.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="With -Q: the order is the priority; a free slot goes to the first with work.")
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="NAME", help="Queues not to serve, repeated or comma-separated."),
]
Concurrency = Annotated[int, typer.Option("--concurrency", "-c", metavar="N", help="Tasks that run at one time.")]
Burst = Annotated[bool, typer.Option("--burst", help="Exit when the queues are empty, or paused.")]
Beat = Annotated[
    bool, typer.Option("--beat", help="Make the tasks of schedules as well, in turn with other schedulers.")
]
ShutdownTimeout = Annotated[
    str,
    typer.Option("--shutdown-timeout", metavar="TIME", help="What running tasks get to end once the worker stops."),
]
Embedded = Annotated[bool, typer.Option("--embedded", help="Run a nats-server as well.")]
Store = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Data of the embedded server, else a temporary folder."),
]
KeptStore = Annotated[Path, typer.Option("--store", metavar="DIR", help="Data of the server, kept for the next time.")]
Sign = Annotated[
    str | None,
    typer.Option(
        "--sign",
        metavar="KEY|FILE",
        help="Sign with this key, else JETQ_SIGNING_KEY or JETQ_SIGNING_KEY_FILE; a file keeps it out of ps.",
    ),
]
Verify = Annotated[
    list[str] | None,
    typer.Option(
        "--verify",
        metavar="KEY|FILE",
        help="Trust what this public key verifies, repeated for several, else JETQ_VERIFY_KEYS.",
    ),
]
SignaturesOptional = Annotated[
    bool, typer.Option("--signatures-optional", help="Run unsigned tasks too; a wrong signature is always refused.")
]
Metrics = Annotated[
    str | None,
    typer.Option("--metrics", metavar="[HOST:]PORT", help="Serve metrics for Prometheus; on 127.0.0.1 without a host."),
]
Health = Annotated[
    str | None,
    typer.Option(
        "--health",
        metavar="[HOST:]PORT",
        help="Serve /livez, /readyz and /metrics; on 127.0.0.1 without a host.",
    ),
]
Uvloop = Annotated[str, typer.Option("--uvloop", metavar="CHOICE", help="auto (where it is installed), on, off.")]
Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        "-p",
        metavar="N",
        help="Keep so many processes alive, each with its own slots; without it, one works that nobody restarts.",
    ),
]
MaxTasksPerChild = Annotated[
    int | None,
    typer.Option("--max-tasks-per-child", metavar="N", help="With -p: replace a process after so many tasks."),
]
MaxMemoryPerChild = Annotated[
    str | None,
    typer.Option("--max-memory-per-child", metavar="SIZE", help="With -p: replace one that holds more, such as 512M."),
]
ChildTimeout = Annotated[
    str | None,
    typer.Option(
        "--child-timeout",
        metavar="TIME",
        help="With -p: replace a process that gives no sign of life for so long; 30s.",
    ),
]
PoolProcesses = Annotated[
    int | None,
    typer.Option(
        "--pool-processes",
        metavar="N",
        help="Processes for handlers with pool='process', else JETQ_POOL_PROCESSES, else as many as processors.",
    ),
]
MaxTasksPerProcess = Annotated[
    int | None,
    typer.Option(
        "--max-tasks-per-process",
        metavar="N",
        help="Replace a process for handlers after so many tasks, else JETQ_MAX_TASKS_PER_PROCESS.",
    ),
]
MaxMemoryPerProcess = Annotated[
    str | None,
    typer.Option(
        "--max-memory-per-process",
        metavar="SIZE",
        help="Replace one that holds more after a task, such as 512M, else JETQ_MAX_MEMORY_PER_PROCESS.",
    ),
]
PidFile = Annotated[
    Path | None,
    typer.Option("--pidfile", metavar="FILE", help="With -p: hold this file with the supervisor's number."),
]
Reload = Annotated[bool, typer.Option("--reload", help="Restart process by process when a Python file changes.")]
Child = Annotated[str | None, typer.Option("--child", hidden=True)]
ParentPipe = Annotated[int | None, typer.Option("--parent-pipe", hidden=True)]
LogLevel = Annotated[str, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning, error, critical.")]
LogFormat = Annotated[
    str, typer.Option("--log-format", metavar="FORMAT", help="auto (console on a terminal, else json), console, json.")
]


def split_names(values: list[str] | None) -> tuple[str, ...]:
    """Return the names of a repeatable option whose values may hold commas, each once."""
    names = (name.strip() for value in values or () for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def split_weights(values: list[str] | None) -> Sequence[str] | Mapping[str, int]:
    """
    Return queues as ``--queues`` names them: names, or their weights by name if any has one.

    A number behind the last colon is a weight, so a queue whose own name ends in one needs another: ``mail:2:1``.

    Raises:
        InvalidSettingError: A queue is named twice.
    """
    found = [_WEIGHTED.fullmatch(name) for name in split_names(values)]
    names = [each["name"] for each in found if each is not None]
    if len(set(names)) < len(names):
        raise InvalidSettingError("--queues", ",".join(values or ()), "each queue once")
    weights = {each["name"]: int(each["weight"] or 1) for each in found if each is not None}
    return weights if any(each is not None and each["weight"] for each in found) else names
