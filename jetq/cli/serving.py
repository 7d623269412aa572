"""
serving: what ``jetq worker`` and ``jetq dev`` need before they begin.
"""

import re
import sys
from dataclasses import replace
from typing import Any, Final, TextIO, cast

from jetq.app.application import App
from jetq.cli.sizes import parse_size
from jetq.cli.terminal import wants_colors
from jetq.errors import InvalidSettingError
from jetq.observe.log_setup import LogFormat
from jetq.observe.logs import LEVELS, Log, configure
from jetq.runtime.worker_process import UvloopChoice
from jetq.settings import WorkerSettings

_FORMATS: Final = ("auto", "console", "json")
_CHOICES: Final = ("auto", "on", "off")
_ADDRESS: Final = re.compile(r"(?:(?P<host>\[[^\[\]]+\]|[^:\[\]]*):)?(?P<port>\d{1,5})", re.ASCII)
_LOOPBACK: Final = "127.0.0.1"
_LAST_PORT: Final = 65_535


def configure_logs(level: str, log_format: str, stream: TextIO) -> None:
    """
    Let this process log as the options say, unless the application configured its logging.

    Raises:
        InvalidSettingError: An unknown level or format.
    """
    chosen = _one_of("--log-level", level.lower(), LEVELS)
    form = _one_of("--log-format", log_format.lower(), _FORMATS)
    if form == "auto":
        form = "console" if stream.isatty() else "json"
    if not configure(chosen, cast("LogFormat", form), stream=stream, colors=wants_colors(stream)):
        Log("jetq.runtime").info("the application configured logging; --log-level and --log-format do not count")


def log_stream(app: App) -> TextIO:
    """Return where a worker logs; lines of its processes for handlers, where it will have some, stay whole."""
    if any(handler.kind == "process" for handler in app.router.handlers) and sys.platform != "win32":
        from jetq.observe.line_stream import shared_log
        from jetq.runtime.supervising import new_log_lock

        return shared_log(sys.stderr.fileno(), new_log_lock())
    return sys.stderr


def with_processes(
    settings: WorkerSettings, processes: int | None, max_tasks: int | None, max_memory: str | None
) -> WorkerSettings:
    """
    Return settings with what the options say of processes for handlers, where they say something.

    Raises:
        InvalidSettingError: One cannot be used.
    """
    given: dict[str, Any] = {
        "pool_processes": processes,
        "max_tasks_per_process": max_tasks,
        "max_memory_per_process": parse_size("--max-memory-per-process", max_memory),
    }
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def choose_uvloop(choice: str) -> UvloopChoice:
    """
    Return the value of ``--uvloop``.

    Raises:
        InvalidSettingError: It is none.
    """
    return cast("UvloopChoice", _one_of("--uvloop", choice.lower(), _CHOICES))


def parse_address(option: str, text: str | None) -> tuple[str, int] | None:
    """
    Return host and port of ``[HOST:]PORT``; without a host nobody else's machine gets an answer.

    Raises:
        InvalidSettingError: It is none.
    """
    if text is None:
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > _LAST_PORT:
        raise InvalidSettingError(option, text, "a port, or HOST:PORT, such as 9100, 0.0.0.0:9100 or [::1]:9100")
    return (found["host"] or _LOOPBACK).strip("[]"), int(found["port"])


def _one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InvalidSettingError(option, value, f"one of {', '.join(known)}")
    return value
