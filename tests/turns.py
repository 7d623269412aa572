"""
turns: many tests at once, but for those that measure time.

`pytest -n auto` runs tests in several processes. Every test of such a run holds a shared lock while it runs; one that
is marked ``alone`` has it for itself, so that no other test uses the processors meanwhile. Who waits for its turn
closes the gate: nobody overtakes it. The time-out of a test begins with its turn.
"""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Run:
    """The process that starts the others, and gives them a folder in common."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="jetq-turns-"))

    def pytest_configure_node(self, node: Any) -> None:
        """Tell a process that is about to start."""
        node.workerinput["turns"] = str(self._folder)

    def pytest_unconfigure(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._folder)


class Turns:
    """
    The turns in one of the processes.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = (folder / "gate").open("w")
        self._room = (folder / "room").open("w")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Wait for the turn of a test, and keep it until its fixtures are gone."""
        alone = item.get_closest_marker("alone") is not None
        with _locked(self._gate.fileno(), fcntl.LOCK_EX):
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            return (yield)
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)  # in words: a child that inherited the file must not keep it

    def pytest_unconfigure(self) -> None:
        """Close the files."""
        self._gate.close()
        self._room.close()


@contextlib.contextmanager
def _locked(descriptor: int, kind: int) -> Iterator[None]:
    fcntl.flock(descriptor, kind)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
