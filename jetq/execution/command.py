"""
command: programs as handlers: ``app.command("webhook:call", ["./call.sh"])``.

The program finds its task in the file that ``CHORIA_AJ_TASK`` and ``JETQ_TASK`` name (`execution.task_file`), as JSON
that any language reads. What it writes is the result (`execution.command_output`). Status 0 is success; any other, and
a signal that killed it, is an error like an exception: it uses a try, and its text ends with what the program wrote
last. (That does not count as a crash: the worker saw it, and it concerned this task alone.)

No status ends the task without another try by itself: 1 and 2 mean anything, and asyncjobs' workers know none. Who
writes the program may agree on some with himself (``terminate_on``).

The time limit, a cancel, a lost lease and the worker's stop end the program and all in its process group: TERM, and
KILL after a grace. At the soft limit it gets TERM alone: what it makes of that is its outcome, unless that is a
failure. What it writes beyond the limit is read and dropped, so that it runs to its end, and then the task ends as
``too_large``: half a result is none, and another try would write as much.
"""

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, cast

from jetq.errors import (
    CommandFailedError,
    CommandStartError,
    InvalidSettingError,
    OutputTooLargeError,
    SoftTimeout,
    Terminate,
)
from jetq.execution.command_output import FORMS, Form
from jetq.execution.command_process import CommandProcess
from jetq.execution.context import Context
from jetq.execution.handing_on import task_as_json
from jetq.execution.pools import GRACE
from jetq.execution.task_file import task_file
from jetq.model.quantity import Duration, seconds, whole
from jetq.routing.handler import Handler, HandlerOptions, make_delegate
from jetq.settings import COMMAND_GRACE, MAX_COMMAND_OUTPUT

TASK_VARIABLES: Final = ("CHORIA_AJ_TASK", "JETQ_TASK")
"""Where a program is told of its task: asyncjobs' name and our own."""
_LAST_STATUS: Final = 255
_LONGEST_NAME: Final = 80
"""Characters of a command that stand for it."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """
    A program, and how it is run.

    Attributes:
        arguments: The program and its arguments. No shell sees them.
        cwd: Its working directory; None is the worker's.
        env: Variables beside the worker's own; None takes one away.
        output: What its output is as a result; see `execution.command_output`.
        max_output: Bytes of output that a result may have.
        grace: Seconds between TERM and KILL.
        terminate_on: Statuses after which there is no further try.
    """

    arguments: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str | None] | None = None
    output: Form = "auto"
    max_output: int = MAX_COMMAND_OUTPUT
    grace: float = COMMAND_GRACE
    terminate_on: frozenset[int] = frozenset()

    @classmethod
    def checked(
        cls,
        arguments: Sequence[str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        output: str = "auto",
        max_output: int = MAX_COMMAND_OUTPUT,
        grace: Duration = COMMAND_GRACE,
        terminate_on: int | Iterable[int] = (),
    ) -> Self:
        """
        Return a command of what somebody said.

        Raises:
            InvalidSettingError: A value cannot be used.
        """
        if output not in FORMS:
            raise InvalidSettingError("output", output, f"one of {', '.join(map(repr, FORMS))}")
        grace = seconds("grace", grace)
        if grace > GRACE:
            raise InvalidSettingError("grace", grace, f"at most {GRACE:g} seconds: its lease is not kept for ever")
        statuses = [terminate_on] if isinstance(terminate_on, int) else list(terminate_on)
        return cls(
            arguments=_checked_arguments(arguments),
            cwd=None if cwd is None else Path(cwd),
            env=_checked_variables(env or {}),
            output=output,
            max_output=whole("max_output", max_output, least=1),
            grace=grace,
            terminate_on=frozenset(whole("terminate_on", each, least=1, most=_LAST_STATUS) for each in statuses),
        )

    @property
    def name(self) -> str:
        """The command in one line."""
        text = shlex.join(self.arguments)
        return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}..."

    def handler(self, pattern: str, options: HandlerOptions) -> Handler:
        """
        Return the handler that runs it.

        Raises:
            InvalidPatternError: The pattern cannot be used.
        """
        return make_delegate(_caller(self), pattern, options, name=f"command:{self.name}")

    def environment(self, task: Path) -> dict[str, str]:
        """Return its variables, of which two name the file with its task."""
        variables = {**os.environ, **(self.env or {}), **dict.fromkeys(TASK_VARIABLES, str(task))}
        return {name: value for name, value in variables.items() if value is not None}


def _checked_arguments(arguments: object) -> tuple[str, ...]:
    wanted = "a list of the program and its arguments, such as ['./call.sh', '--fast']; no shell takes a text apart"
    if isinstance(arguments, str) or not isinstance(arguments, Sequence):
        raise InvalidSettingError("command", arguments, wanted)
    listed = list(cast("Sequence[object]", arguments))
    texts = [each for each in listed if isinstance(each, str) and "\0" not in each]
    if not texts or len(texts) < len(listed):
        raise InvalidSettingError("command", listed, "texts without the character of code 0" if listed else wanted)
    if not texts[0]:
        raise InvalidSettingError("command", listed, wanted)
    return tuple(texts)


def _checked_variables(env: Mapping[str, str | None]) -> dict[str, str | None]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in f"{name}{value}":
            raise InvalidSettingError("env", name, "names without =, and no character of code 0")
        if name in TASK_VARIABLES:
            raise InvalidSettingError("env", name, "variables other than those that name the file with the task")
    return dict(env)


def _caller(command: Command) -> Callable[[Context], Any]:
    """Return the function that runs a command for a task."""

    async def run(ctx: Context) -> Any:
        if sys.platform == "win32":
            raise CommandStartError(command.name, "workers on Windows run no commands")
        with task_file(task_as_json(ctx)) as path:
            process = CommandProcess.start(
                command.arguments, command.environment(path), command.cwd, command.max_output
            )
            return await _outcome(command, process, ctx)

    return run


async def _outcome(command: Command, process: CommandProcess, ctx: Context) -> Any:
    """
    Wait for a command's end, and return its result.

    Raises:
        CommandFailedError: It was no success, or its output is not what it is to be.
        OutputTooLargeError: It wrote more than a result may have.
        SoftTimeout: It ended so since it was asked to.
        Terminate: It ended with a status that says so.
    """
    soft = ctx.soft_limit
    if soft is not None:
        soft.interrupt = process.terminate
    try:
        death = await process.ended()
    except asyncio.CancelledError:
        await process.stop(command.grace)
        raise
    finally:
        if soft is not None:
            soft.interrupt = None
        process.close()
    output = process.output
    if death.status in command.terminate_on:
        raise Terminate(str(CommandFailedError(command.name, death.status, death.text, output.tail)))
    if death.status:
        if soft is not None and soft.reached:
            raise SoftTimeout
        raise CommandFailedError(command.name, death.status, death.text, output.tail)
    if not output.is_whole:
        raise OutputTooLargeError(command.name, output.size, command.max_output, output.tail)
    try:
        return output.value(command.output)
    except ValueError as error:
        raise CommandFailedError(command.name, 0, f"wrote what is no JSON ({error})", output.tail) from None
