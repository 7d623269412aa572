"""
warm: runs ``jetq`` commands as processes that need not import it first.

A command of a test is over in a tenth of the time that Python needs to import what it is made of, and there are more
than a thousand. So a process imports all of that once, and forks itself for each command: into a process with a
working directory, an environment, arguments and files of its own, which ends as Python ends. Workers and all else that
starts processes or serves, and what a test runs through a shell, begin from nothing as they do at users.
"""

import array
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_HEADER: Final = 8
"""Bytes that tell the length of a request."""
_ROOMS: Final = ("cli", "admin", "client", "app", "runtime")


COLD: Final = frozenset({"beat", "dev", "serve", "server", "worker"})
"""Commands that are not run so."""


class Warm:
    """
    The process that forks.

    Args:
        folder: An empty one, for its socket.
        environment: Of the process; commands get their own.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._path = str(folder / "warm")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.warm", self._path], env=environment, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def run(
        self, arguments: Sequence[str], folder: Path, environment: dict[str, str], files: list[int], patience: float
    ) -> int:
        """Run ``jetq`` with files for its input, output and errors, and return its exit status."""
        asked = {"arguments": arguments, "folder": str(folder), "environment": environment}
        request = json.dumps(asked).encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience)
            connection.connect(self._path)
            connection.sendmsg(
                [len(request).to_bytes(_HEADER, "big")],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))],
            )
            connection.sendall(request)
            pid = int.from_bytes(_read(connection, _HEADER), "big")
            try:
                return int.from_bytes(_read(connection, _HEADER), "big", signed=True)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError("the process that runs commands is gone")
        data += part
    return data


def _serve(path: str) -> tuple[dict[str, Any], list[int]]:
    """Fork for each request; only the command itself returns, with what was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that wait for commands are waited for by nobody
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listening.accept()
            if os.fork():
                connection.close()
                continue
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            size, files, _, _ = socket.recv_fds(connection, _HEADER, 3)
            asked = json.loads(_read(connection, int.from_bytes(size, "big")))
            pid = os.fork()
            if not pid:
                connection.close()
                return asked, files
            for file in files:
                os.close(file)
            connection.sendall(pid.to_bytes(_HEADER, "big"))
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with contextlib.suppress(BrokenPipeError):  # who asked had no patience
                connection.sendall(status.to_bytes(_HEADER, "big", signed=True))
            os._exit(0)


def _become(asked: dict[str, Any], files: list[int]) -> None:
    """Be the process of a command."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    sys.argv = ["jetq", *asked["arguments"]]
    sys.path[0] = asked["folder"]


if __name__ == "__main__":
    for room in _ROOMS:
        package = importlib.import_module(f"jetq.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"jetq.{room}."):
            importlib.import_module(module.name)
    importlib.import_module("pydantic")  # typer imports it when a command begins
    gc.collect()
    gc.freeze()  # what the collector does not touch need not be copied for a fork
    _become(*_serve(sys.argv[1]))
    importlib.import_module("jetq.cli.main").main()
