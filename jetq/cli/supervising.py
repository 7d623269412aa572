"""
supervising: ``jetq worker`` with a supervisor: which options bring one, and the command of its children.

What a supervisor needs is imported when there is one: Windows has half of it not, and runs workers all the same.
"""

import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import NoReturn

from jetq.cli.durations import parse_duration
from jetq.cli.serving import configure_logs
from jetq.cli.sizes import parse_size
from jetq.errors import InvalidSettingError
from jetq.runtime.worker_process import Place
from jetq.settings import SupervisorSettings, WorkerSettings


@dataclass(frozen=True, kw_only=True)
class ChildOptions:
    """The options that are a supervisor's alone, as they were given; each of them brings one."""

    processes: int | None
    max_tasks_per_child: int | None
    max_memory_per_child: str | None
    child_timeout: str | None
    pidfile: Path | None
    watched: Path | None

    @property
    def ask_for_supervisor(self) -> bool:
        """Whether any of them was given."""
        return any(value is not None for value in astuple(self))

    def settings(self) -> SupervisorSettings:
        """
        Return what they say.

        Raises:
            InvalidSettingError: One cannot be used.
        """
        given = {
            "processes": self.processes,
            "max_tasks_per_child": self.max_tasks_per_child,
            "max_memory_per_child": parse_size("--max-memory-per-child", self.max_memory_per_child),
            "child_timeout": self.child_timeout and parse_duration("--child-timeout", self.child_timeout),
        }
        return SupervisorSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # each is what its name says


def supervise(
    children: ChildOptions,
    worker: WorkerSettings,
    place: Place,
    *,
    metrics: tuple[str, int] | None,
    health: tuple[str, int] | None,
    parent_pipe: int | None,
    log_level: str,
    log_format: str,
) -> NoReturn:
    """
    Run a supervisor, whose children get the same command line, and exit with its status.

    Raises:
        InvalidSettingError: An option cannot be used, or this is Windows.
    """
    if sys.platform == "win32":
        raise InvalidSettingError("processes", children.processes, "absent on Windows, where one process works")
    from jetq.observe.line_stream import shared_log
    from jetq.runtime.supervising import Surroundings, new_log_lock, run_supervisor

    settings, lock = children.settings(), new_log_lock()
    surroundings = Surroundings(
        place=place,
        metrics=metrics,
        health=health,
        pid_file=children.pidfile,
        watched=children.watched,
        parent_pipe=parent_pipe,
    )
    configure_logs(log_level, log_format, shared_log(sys.stderr.fileno(), lock))
    sys.exit(run_supervisor(command_of_child, settings, worker, surroundings, log_lock=lock))


def command_of_child(inherited: str) -> list[str]:
    """Return the command of this process with a word for the child; with --reload, bytecode might hide a change."""
    arguments = sys.argv[1:]
    program = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]
    unwritten = ["-B"] if "--reload" in arguments else []
    return [sys.executable, *unwritten, *program, arguments[0], "--child", inherited, *arguments[1:]]
