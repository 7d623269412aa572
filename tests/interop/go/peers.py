"""
peers: programs of asyncjobs beside jetq: `peer` of this module, and ``ajc``.

They run in asyncio, since jetq works in the same process meanwhile.
"""

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from jetq.cli.main import app as cli
from tests.house.inspection import ROOT

NAMESPACE = "CHORIA_AJ"
PATIENCE = 20.0


@dataclass
class Running:
    """
    A program that runs.

    Attributes:
        lines: What it has printed.
    """

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list[str])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _reader: "asyncio.Task[None] | None" = None
    _ended: bool = False

    @classmethod
    async def start(
        cls, *words: str | Path, environment: dict[str, str], folder: Path, new_session: bool = False
    ) -> "Running":
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=new_session,
        )
        running = cls(process)
        running._reader = asyncio.create_task(running._read())
        return running

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().rstrip("\n"))
            self._changed.set()
        self._ended = True
        self._changed.set()

    async def _until(self, found: Callable[[], Any]) -> Any:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not found() and not self._ended:
                    self._changed.clear()
                    await self._changed.wait()
        seen = found()
        assert seen, "\n".join(self.lines)
        return seen

    def told(self, key: str) -> list[dict[str, Any]]:
        """Return the values that it has printed which have a key."""
        values = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [value for value in values if key in value]

    async def until(self, key: str, value: Any = None, *, count: int = 1) -> dict[str, Any]:
        """Wait until so many values have a key, and this value if one is given; return the last of them."""

        def found() -> list[dict[str, Any]]:
            return [told for told in self.told(key) if value is None or told[key] == value][count - 1 : count]

        return (await self._until(found))[0]

    async def until_count(self, key: str, wanted: Callable[[Any], bool], count: int) -> list[Any]:
        """Wait until so many of the values under a key are wanted, and return them."""

        def found() -> list[Any]:
            seen = [told[key] for told in self.told(key) if wanted(told[key])]
            return seen if len(seen) >= count else []

        return list(await self._until(found))

    async def until_line(self, pattern: str) -> str:
        """Wait for a line, and return it."""
        return (await self._until(lambda: [line for line in self.lines if re.search(pattern, line)]))[0]

    async def stop(self) -> None:
        """Let it end in its own way: its stdin ends."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            await self.process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End it as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        if self._reader is not None:
            await self._reader


@dataclass
class Go:
    """
    What Go programs do.

    Attributes:
        programs: Folder of the programs.
        url: Of the server.
        folder: Where they run; ``ajc`` finds its NATS context there.
    """

    programs: Path
    url: str
    folder: Path
    started: list[Running] = field(default_factory=list[Running])

    @property
    def environment(self) -> dict[str, str]:
        context = self.folder / "config" / "nats" / "context" / "AJC.json"
        if not context.exists():
            context.parent.mkdir(parents=True)
            context.write_text(json.dumps({"url": self.url}))
        foreign = ("JETQ_", "NATS_", "XDG_", "AJC_", "CONTEXT", "HOME")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | {
            "INTEROP_URL": self.url,
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "HOME": str(self.folder),
            "TZ": "UTC",
        }

    @property
    def for_jetq(self) -> dict[str, str]:
        """What `jetq` needs in its environment besides."""
        return {
            "JETQ_NATS_URL": self.url,
            "JETQ_NAMESPACE": NAMESPACE,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self.programs / "pycache"),  # compiled once for all tests of a run
        }

    async def start(self, *words: str) -> Running:
        """Start a program that stays."""
        program, *arguments = words
        running = await Running.start(
            self.programs / program, *arguments, environment=self.environment, folder=self.folder
        )
        self.started.append(running)
        return running

    async def _run(self, *words: str | Path, stdin: str = "", more: dict[str, str] | None = None) -> tuple[int, str]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environment | (more or {}),
            cwd=self.folder,
        )
        async with asyncio.timeout(PATIENCE):
            out, _ = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def peer(self, *words: str, stdin: str = "") -> list[Any]:
        """Run a verb of `peer` to its end, and return what it printed."""
        status, out = await self._run(self.programs / "peer", *words, stdin=stdin)
        assert status == 0, out
        return [json.loads(line) for line in out.splitlines()]

    async def ajc(self, *words: str, fails: bool = False) -> str:
        """Run ``ajc`` to its end, and return what it printed."""
        status, out = await self._run(self.programs / "ajc", *words)
        assert (status != 0) == fails, out
        return out

    async def jetq(self, *words: str) -> str:
        """Let the ``jetq`` command work in the same namespace, in this process, and return what it printed."""
        arguments = [*words, f"--servers={self.url}", f"--namespace={NAMESPACE}"]
        ended = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
        assert ended.exit_code == 0, (ended.output, ended.exception)
        return ended.stdout

    # what tests say most

    async def enqueue(self, queue: str, task_type: str, payload: Any = None, *flags: str, **more: Any) -> Any:
        """Let `peer` enqueue a task, and return it as Go stored it."""
        line = json.dumps({"type": task_type, "payload": payload} | more)
        return (await self.peer("enqueue", *flags, queue, stdin=line))[0]

    async def view(self, queue: str, task_id: str, *flags: str) -> Any:
        """Return a task as Go reads it."""
        return (await self.peer("view", *flags, queue, task_id))[0]

    async def worker(self, queue: str, *flags: str) -> Running:
        """Start a worker, which takes tasks when this returns."""
        running = await self.start("peer", "work", *flags, queue)
        await running.until("works")
        return running
