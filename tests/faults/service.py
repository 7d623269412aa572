"""Workers under a supervisor, as processes, and what they log."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from tests.faults.conftest import ROOT
from tests.integration.watching import eventually

PATIENCE = 60.0


class Service:
    """
    A supervisor with its children.

    Attributes:
        told: What they logged in JSON so far, line by line.
    """

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
        self.told: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{"):
                self.told.append(json.loads(line))

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the lines that say so."""
        return [line for line in list(self.told) if line["event"] == event]

    def children(self) -> list[int]:
        """Return the processes that are ready and not gone."""
        gone = {event["pid"] for event in self.events("child ended")}
        return [event["pid"] for event in self.events("child ready") if event["pid"] not in gone]

    async def ready(self, count: int) -> None:
        """Wait until so many processes are there."""

        async def are_ready() -> bool:
            return len(self.children()) >= count

        await eventually(are_ready, within=PATIENCE)

    async def stop(self) -> int:
        """Let it end in order, and return its exit status."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, PATIENCE)

    def kill(self) -> None:
        """End all of it."""
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        if self.process.stderr is not None:
            self.process.stderr.close()
