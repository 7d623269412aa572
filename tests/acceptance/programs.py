"""
The ``jetq`` command as a program of its own: run to its end, or started, watched and signalled.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tests.acceptance.warm import COLD, Warm
from tests.house.inspection import ROOT

PATIENCE = 60.0
JETQ = ("-m", "jetq")
OF_PYTHON = re.compile("PYTHON|LD_|MALLOC")
"""Variables that Python and the system read when a program starts."""


@dataclass(frozen=True)
class Ended:
    """A program that ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Folder:
    """A working directory with an environment of nothing but what a test says."""

    path: Path
    variables: dict[str, str] = field(default_factory=dict)
    warm: Warm | None = None
    """What runs its commands; None starts Python for each."""

    def using(self, **variables: str) -> "Folder":
        return replace(self, variables=self.variables | variables)

    @property
    def shared(self) -> Path:
        """The folder of the run; each of its processes has one of its own in it, if they are many."""
        parent = self.path.parent
        return parent.parent if parent.name.startswith("popen-") else parent

    @property
    def environment(self) -> dict[str, str]:
        foreign = ("JETQ_", "NATS_", "XDG_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(foreign) or name == "JETQ_NATS_SERVER"
        }
        own = {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self.shared / "pycache"),  # compiled once for all tests of a run
            "XDG_CONFIG_HOME": str(self.path / "config"),
        }
        return inherited | own | self.variables

    def run(self, *arguments: str, stdin: str = "", command: tuple[str, ...] = JETQ) -> Ended:
        """Run ``jetq`` to its end."""
        if self.warm is not None and command == JETQ and self.may_be_warm(arguments):
            return self._run_warm(self.warm, arguments, stdin)
        ended = subprocess.run(
            [sys.executable, *command, *arguments],
            cwd=self.path,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def may_be_warm(self, arguments: Sequence[str]) -> bool:
        """Whether a command ends by itself, and begins as any other."""
        return COLD.isdisjoint(arguments[:1]) and not any(map(OF_PYTHON.match, self.variables))

    def _run_warm(self, warm: Warm, arguments: tuple[str, ...], stdin: str) -> Ended:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            files = [given.fileno(), out.fileno(), err.fileno()]
            status = warm.run(arguments, self.path, self.environment, files, PATIENCE)
            out.seek(0)
            err.seek(0)
            return Ended(status, out.read().decode(), err.read().decode())

    def start(self, *arguments: str) -> "Program":
        """Start ``jetq``."""
        return Program.start(self, *arguments)


class Program:
    """A running ``jetq`` that logs to us."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, folder: Folder, *arguments: str) -> Self:
        command = [sys.executable, "-m", "jetq", *arguments]
        return cls(
            subprocess.Popen(
                command,
                cwd=folder.path,
                env=folder.environment,
                stderr=subprocess.STDOUT,
                stdout=subprocess.PIPE,
                text=True,
            )
        )

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.lines.append("")
            self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def await_line(self, pattern: str, *, count: int = 1) -> str:
        """Wait until so many lines match, and return the last of them."""

        def found() -> list[str]:
            return [line for line in self.lines if re.search(pattern, line)]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, PATIENCE), f"no {pattern!r} in:\n{self.output}"
            return found()[count - 1]

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the log that tell an event."""
        told = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [line for line in told if line["event"] == event]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def await_end(self) -> int:
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.await_end()

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
