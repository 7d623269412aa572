"""
choosing: the options that say which tasks a command means, and how it goes over them.

What they come to is in `jetq.cli.chosen`, which a command imports when it runs.
"""

from dataclasses import dataclass
from typing import Annotated

import typer

from jetq.cli import options


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What tasks must be like; None and empty for no matter what."""

    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Only these; repeated or comma-separated.")
    ] = None
    queue: Annotated[str | None, typer.Option("--queue", "-q", metavar="NAME", help="Only this queue's.")] = None
    task_type: Annotated[
        str | None, typer.Option("--type", "-t", metavar="TYPE", help="Only this type's; * stands for anything.")
    ] = None
    end: Annotated[
        str | None, typer.Option("--end", metavar="REASON", help="Only those that ended so, such as max_tries.")
    ] = None
    error: Annotated[
        str | None, typer.Option("--error", metavar="TEXT", help="Only those whose last error holds this; * as above.")
    ] = None
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Only those created longer ago.")
    ] = None
    newer_than: Annotated[
        str | None,
        typer.Option("--newer-than", "--since", metavar="TIME", help="Only those created in the last TIME."),
    ] = None
    unchanged_for: Annotated[
        str | None, typer.Option("--unchanged-for", metavar="TIME", help="Only those that did not change for TIME.")
    ] = None

    @property
    def given(self) -> list[str]:
        """The options that are used."""
        return ["--" + name.replace("task_", "").replace("_", "-") for name, value in vars(self).items() if value]


TaskIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Tasks' ids, if not chosen by options.")]


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """How an operation goes over many tasks."""

    everything: Annotated[bool, typer.Option("--all", help="All tasks.")] = False
    rate: Annotated[float | None, typer.Option("--rate", metavar="N", help="So many tasks a second at most.")] = None
    limit: Annotated[int | None, typer.Option("--limit", "-l", metavar="N", min=1, help="So many tasks at most.")] = (
        None
    )
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the tasks and show some; change nothing.")] = False


@dataclass(frozen=True, kw_only=True)
class Where:
    """The server and the namespace, and how to print."""

    servers: options.Servers = None
    context: options.Context = None
    namespace: options.Namespace = None
    as_json: options.AsJson = False


Unasked = Annotated[bool, typer.Option("--yes", "-y", "--force", "-f", help="Do not ask.")]


@dataclass(frozen=True, kw_only=True)
class Tries:
    """How often a task is tried, and with which waits."""

    max_tries: Annotated[int | None, typer.Option(metavar="N", help="How often it may run; 0 is unlimited.")] = None
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="Waits between its tries: a name (1m, 10m, 1h, or of the worker's application), seconds, or JSON.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Once:
    """Of which tasks there is to be one only."""

    unique: Annotated[
        str | None, typer.Option("--unique", metavar="KEY", help="Only if no unfinished task of the type has this key.")
    ] = None
    unique_mode: Annotated[
        str | None,
        typer.Option("--unique-mode", metavar="MODE", help="With --unique: unfinished, period, replace or latest."),
    ] = None
    unique_period: Annotated[
        str | None,
        typer.Option("--unique-period", metavar="TIME", help="With --unique: one in this time, even if it has ended."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Parents:
    """The tasks that a new one waits for."""

    depends: Annotated[
        list[str] | None,
        typer.Option("--depends", metavar="ID", help="Runs when that task is done; repeated or comma-separated."),
    ] = None
    load: Annotated[bool, typer.Option("--load", help="With --depends: its handler gets their results.")] = False
