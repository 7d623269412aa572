"""
reloading: a worker that starts anew whenever the code changes, beside a server that stays.

The worker is a child process, so that new code starts from nothing. It has a process group of its own: a Ctrl-C reaches
this process alone, which hands it on. If this process is killed, the child notices that a pipe closed, and stops.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from jetq.jetstream.server import EmbeddedServer
from jetq.observe.logs import Log
from jetq.runtime.file_watch import watch
from jetq.runtime.stopping import StopSignals
from jetq.runtime.worker_process import ANNOUNCEMENT

_PATIENCE: Final = 5.0
"""Seconds that tasks of the old code may take to end."""
_SHOWN: Final = 3


@dataclass(frozen=True)
class _Changed:
    """Files were written."""

    paths: list[Path]


@dataclass(frozen=True)
class _Ended:
    """The child ended."""

    status: int


@dataclass(frozen=True)
class _Stop:
    """Somebody wants this process to stop."""

    signal: str


class Reloader:
    """
    Runs ``jetq worker`` as a child and starts it anew when a file changes.

    Args:
        arguments: Of ``jetq worker``.
        folder: Whose Python files are watched.
    """

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self._arguments = list(arguments)
        self._folder = folder.resolve()
        self._log = Log("jetq.dev")
        self._events: SimpleQueue[_Changed | _Ended | _Stop] = SimpleQueue()
        self._child: _Child | None = None
        self._stale = False
        self._stopping = False

    def run(self, store: Path) -> None:
        """
        Run the server and the worker until TERM or INT. In the main thread.

        Args:
            store: Folder of the server's data.

        Raises:
            ServerError: The server does not start.
        """
        unwatched = threading.Event()
        with (
            StopSignals(lambda name, _count: self._events.put(_Stop(name))),
            EmbeddedServer.start(store=store, announce=ANNOUNCEMENT) as server,
        ):
            self._log.info("server started", pid=server.pid, store=str(store), announced=str(ANNOUNCEMENT))
            watching = (self._folder, self._on_change, unwatched)
            threading.Thread(target=watch, args=watching, name="jetq-watch", daemon=True).start()
            try:
                self._keep_running()
            finally:
                unwatched.set()
                if self._child is not None:
                    self._child.kill()

    def _on_change(self, paths: list[Path]) -> None:
        self._events.put(_Changed(paths))

    def _keep_running(self) -> None:
        self._child = _Child(self._arguments, self._events)
        while not self._is_done:
            try:
                event = self._events.get(timeout=_PATIENCE if self._stale and not self._stopping else None)
            except Empty:
                self._ask_to_stop()
            else:
                self._obey(event)

    @property
    def _is_done(self) -> bool:
        return self._stopping and self._child is None

    def _obey(self, event: "_Changed | _Ended | _Stop") -> None:
        match event:
            case _Stop():
                self._log.info("stop", signal=event.signal)
                self._stopping = True
                self._ask_to_stop()
            case _Changed():
                self._renew(event.paths)
            case _Ended():
                self._child = None
                if self._stale and not self._stopping:
                    self._stale = False
                    self._child = _Child(self._arguments, self._events)
                elif not self._stopping:
                    self._log.warning("worker ended; it starts again when the code changes", status=event.status)

    def _renew(self, paths: list[Path]) -> None:
        if self._stopping:
            return
        files = ", ".join(self._spelled(path) for path in paths[:_SHOWN])
        self._log.info("code changed; the worker starts anew", files=files)
        if self._child is None:
            self._child = _Child(self._arguments, self._events)
        elif not self._stale:
            self._stale = True
            self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        """Let the worker stop: in order when asked once, at once when asked again."""
        if self._child is not None:
            self._child.ask_to_stop()

    def _spelled(self, path: Path) -> str:
        with contextlib.suppress(ValueError):
            return str(path.resolve().relative_to(self._folder))
        return str(path)


class _Child:
    """A running ``jetq worker``."""

    def __init__(self, arguments: Sequence[str], events: "SimpleQueue[_Changed | _Ended | _Stop]") -> None:
        reading, self._writing = os.pipe()
        # -B: bytecode is dated to the second, and would hide a second change within it.
        command = [sys.executable, "-B", "-m", "jetq", "worker", *arguments, "--parent-pipe", str(reading)]
        self._process = subprocess.Popen(command, pass_fds=(reading,), start_new_session=True)  # noqa: S603 - ourselves
        os.close(reading)
        self._events = events
        threading.Thread(target=self._wait, name="jetq-child", daemon=True).start()

    def _wait(self) -> None:
        status = self._process.wait()
        os.close(self._writing)
        self._events.put(_Ended(status))

    def ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
