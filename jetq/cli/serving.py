"""
serving: what ``jetq worker`` and ``jetq dev`` need before they begin.
"""

from typing import Final, TextIO, cast

from jetq.cli.terminal import wants_colors
from jetq.errors import InvalidSettingError
from jetq.observe.logs import LEVELS, Log, LogFormat, configure
from jetq.runtime.worker_process import UvloopChoice

_FORMATS: Final = ("auto", "console", "json")
_CHOICES: Final = ("auto", "on", "off")


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


def choose_uvloop(choice: str) -> UvloopChoice:
    """
    Return the value of ``--uvloop``.

    Raises:
        InvalidSettingError: It is none.
    """
    return cast("UvloopChoice", _one_of("--uvloop", choice.lower(), _CHOICES))


def _one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InvalidSettingError(option, value, f"one of {', '.join(known)}")
    return value
