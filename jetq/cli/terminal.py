"""
terminal: who reads what we print: a person at a terminal, or another program.
"""

import os
import sys
from typing import TextIO

import typer

from jetq.cli.exits import FAILED


def wants_colors(stream: TextIO) -> bool:
    """Whether to print in colours: on a terminal, unless NO_COLOR or FORCE_COLOR say otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def say(text: str) -> None:
    """Tell a person something that is no result, on stderr."""
    typer.echo(text, err=True)


def confirm(question: str, *, force: bool) -> None:
    """
    Ask before something is destroyed.

    Raises:
        Exit: Nobody is there to be asked, and *force* is off.
        Abort: The answer is no.
    """
    if force:
        return
    if not sys.stdin.isatty():
        say(f"jetq: not done, since nobody can be asked: {question} Use --force to do it unasked.")
        raise typer.Exit(FAILED)
    typer.confirm(question, abort=True, err=True)
