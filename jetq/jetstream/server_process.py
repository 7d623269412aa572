"""
server_process: a nats-server under its lifeline, from a configuration to the end.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from jetq.errors import ServerStartError
from jetq.jetstream import lifeline

_START_TIMEOUT: Final = 15.0
_POLL: Final = 0.002

_running: "weakref.WeakSet[ServerProcess]" = weakref.WeakSet()


class ServerProcess:
    """
    A running nats-server. Start one with :meth:`start`.

    Attributes:
        folder: Private to us; removed at the end, also when we are killed.
        configuration: The file in it.
        pid: Of nats-server.
        plain_url: Where it listens, as it says itself.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self._process = process
        self.folder = folder
        self.configuration = folder / "server.conf"
        self.pid = 0
        self.plain_url = ""

    @classmethod
    def start(
        cls,
        program: str,
        configuration: Callable[[Path], str],
        *,
        announcement: Path | None = None,
        inherited: Sequence[int] = (),
    ) -> Self:
        """
        Start a server and wait until it takes connections.

        Args:
            program: Path of nats-server.
            configuration: Returns the text, given the folder.
            announcement: A file that is removed at the end if it names the server's process.
            inherited: File descriptors that the server keeps open.

        Raises:
            ServerStartError: It did not come up.
        """
        folder = Path(tempfile.mkdtemp(prefix="jetq-server-"))
        try:
            write_private(folder / "server.conf", cls.complete(folder, configuration(folder)))
            launched = _launch(program, folder, announcement, inherited)
        except BaseException:
            shutil.rmtree(folder)
            raise
        server = cls(launched, folder)
        _running.add(server)
        try:
            server._await_ready(program)
        except BaseException:
            server.stop()
            raise
        return server

    @staticmethod
    def complete(folder: Path, configuration: str) -> str:
        """Return a configuration with what every server here needs."""
        log = quoted(folder / "server.log")
        return f"{configuration}\nports_file_dir: {quoted(folder)}\nlog_file: {log}\nlogtime: false\n"

    def _await_ready(self, program: str) -> None:
        until = time.monotonic() + _START_TIMEOUT
        while not self._read_ports():
            if not self.is_running:
                raise ServerStartError(program, self._last_words())
            if time.monotonic() > until:
                raise ServerStartError(program, f"no answer within {_START_TIMEOUT:g} s; {self._last_words()}")
            time.sleep(_POLL)

    def _read_ports(self) -> bool:
        """Read the file that the server leaves once it listens; it may be there and not be written yet."""
        for file in self.folder.glob("*.ports"):
            with contextlib.suppress(OSError, ValueError):
                self.plain_url = str(json.loads(file.read_bytes())["nats"][0])
                self.pid = int(file.stem.rpartition("_")[2])
                return True
        return False

    def log(self) -> str:
        """Return what the server has logged so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "server.log").read_text(errors="replace")
        return ""

    def _last_words(self) -> str:
        lines = self.log().strip().splitlines()
        return lines[-1].partition("] ")[2] or lines[-1] if lines else "it said nothing"

    @property
    def is_running(self) -> bool:
        """Whether the server runs."""
        return self._process.poll() is None and not (self.folder / "ended").exists()

    def stop(self) -> None:
        """Stop the server and remove its folder. Idempotent."""
        self.let_go()
        self._process.wait()

    def let_go(self) -> None:
        """Let the server end, without waiting for it."""
        if self._process.stdin is not None:
            self._process.stdin.close()


def quoted(path: Path) -> str:
    """Return a path as a string of the server's configuration language."""
    return json.dumps(str(path), ensure_ascii=False)


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _launch(
    program: str, folder: Path, announcement: Path | None, inherited: Sequence[int]
) -> "subprocess.Popen[bytes]":
    own = [sys.executable, "-I", "-S", lifeline.__file__, str(folder), str(announcement or "")]
    return subprocess.Popen(  # noqa: S603 - found by `server.find_program`
        [*own, program, "-c", str(folder / "server.conf")],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=inherited,
        start_new_session=True,  # Ctrl-C is for us: the server must outlast our own clean stop
    )


def _forget_in_child() -> None:
    """A forked child must not hold the pipe: it would keep the server alive."""
    for server in _running:
        server.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
