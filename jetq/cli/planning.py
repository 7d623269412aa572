"""
planning: what the options of ``jetq cron add`` say of a schedule.
"""

from dataclasses import dataclass
from typing import Annotated

import typer

DEFAULT_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where the tasks of a schedule go, and what becomes of them."""

    queue: Annotated[str, typer.Option("--queue", "-q", metavar="NAME", help="Their queue.")] = "DEFAULT"
    timezone: Annotated[str | None, typer.Option(metavar="ZONE", help="Such as Europe/Malta; UTC if absent.")] = None
    deadline: Annotated[
        str | None, typer.Option(metavar="TIME", help="They are not started any more after that; at least 30s.")
    ] = None
    tries: Annotated[int, typer.Option(metavar="N", help="How often each may run; 0 is unlimited.")] = DEFAULT_TRIES
    misfire: Annotated[
        str, typer.Option(metavar="POLICY", help="What becomes of missed ones: skip, latest or all.")
    ] = "latest"
    max_late: Annotated[
        str | None, typer.Option(metavar="TIME", help="What is missed for longer is not made up for; 10m.")
    ] = None
    limit: Annotated[int | None, typer.Option(metavar="N", help="With all: so many at most; 100.")] = None
    jitter: Annotated[str | None, typer.Option(metavar="TIME", help="Spread the starts over so much time.")] = None
    start: Annotated[str | None, typer.Option(metavar="TIME", help="Nothing before, such as 2026-11-24T03:00Z.")] = None
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Nothing from then on.")] = None
    disabled: Annotated[bool, typer.Option("--disabled", help="Make no tasks until it is enabled.")] = False
