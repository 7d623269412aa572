"""
Servers that a test may configure, restart, kill and freeze.

They run under the embedded server's lifeline, so none outlives the test process.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from jetq.jetstream.address import Address
from jetq.jetstream.server import ServerProcess, find_program


class TestServer:
    """
    A server on a port and a store that outlive its process.

    Args:
        extra: Configuration beside port and store.
        user_part: Of :attr:`url`.
        jetstream: Whether it has JetStream.
        scheme: Of :attr:`url`.
    """

    __test__ = False

    def __init__(self, extra: str, user_part: str, *, jetstream: bool, scheme: str) -> None:
        self.extra = extra
        self.user_part = user_part
        self.jetstream = jetstream
        self.scheme = scheme
        self.port = -1
        self.folder = Path(tempfile.mkdtemp(prefix="jetq-test-"))
        self.store = self.folder / "store"
        self.process: ServerProcess | None = None

    @classmethod
    def start(
        cls, extra: str | None = None, *, user_part: str | None = None, jetstream: bool = True, scheme: str = "nats"
    ) -> Self:
        """Start one; without configuration it asks for a random token."""
        if extra is None:
            user_part = secrets.token_hex(8)
            extra = f'authorization {{ token: "{user_part}" }}'
        server = cls(extra, user_part or "", jetstream=jetstream, scheme=scheme)
        try:
            server.run()
        except BaseException:
            shutil.rmtree(server.folder)
            raise
        return server

    def run(self) -> None:
        """Start the process; on the port and store of the last one, if there was one."""
        self.process = ServerProcess.start(find_program(), self.configuration)
        self.port = int(self.process.plain_url.rpartition(":")[2])

    def configuration(self, _folder: Path) -> str:
        """Return the text of the configuration."""
        jetstream = f"jetstream {{ store_dir: {json.dumps(str(self.store))} }}" if self.jetstream else ""
        return f'host: "127.0.0.1"\nport: {self.port}\n{jetstream}\n{self.extra}\n'

    @property
    def pid(self) -> int:
        """Of nats-server."""
        assert self.process is not None
        return self.process.pid

    @property
    def url(self) -> str:
        """Where it is."""
        user_part = f"{self.user_part}@" if self.user_part else ""
        return f"{self.scheme}://{user_part}127.0.0.1:{self.port}"

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address.of(self.url)

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End it in good order."""
        if self.process is not None:
            self.process.stop()

    def restart(self) -> None:
        """Stop it and start it again on the same port and store."""
        self.stop()
        self.run()

    def freeze(self) -> None:
        """Let it do nothing, with its connections open."""
        freeze(self.pid)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def reload(self, extra: str) -> None:
        """Change its configuration while it runs, and wait until that counts."""
        assert self.process is not None
        self.extra = extra
        before = self.process.log().count("Reloaded server configuration")
        folder = self.process.folder
        self.process.configuration.write_text(self.process.complete(folder, self.configuration(folder)))
        os.kill(self.pid, signal.SIGHUP)
        until = time.monotonic() + 10
        while self.process.log().count("Reloaded server configuration") == before:
            assert time.monotonic() < until, self.process.log()
            time.sleep(0.005)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
        self.stop()
        shutil.rmtree(self.folder)


class TestCluster:
    """
    Servers that form a cluster, each of which a test may stop, kill or freeze.

    Attributes:
        servers: They.
    """

    __test__ = False

    def __init__(self, servers: list[TestServer]) -> None:
        self.servers = servers

    @classmethod
    def start(cls, size: int = 3) -> Self:
        """Start one, and wait until its JetStream has a leader."""
        routes = [f"127.0.0.1:{free_port()}" for _ in range(size)]
        listed = ", ".join(f'"nats://{route}"' for route in routes)
        cluster = cls([])
        try:
            for number, route in enumerate(routes):
                extra = f'server_name: "n{number}"\ncluster {{ name: "c", listen: "{route}", routes: [{listed}] }}'
                cluster.servers.append(TestServer.start(extra))
            cluster.await_leader()
        except BaseException:
            cluster.__exit__(None, None, None)
            raise
        return cluster

    def await_leader(self, timeout: float = 20.0) -> None:
        """Wait until one of the servers says that it leads all of JetStream."""
        limit = time.monotonic() + timeout
        while not any("JetStream cluster new metadata leader" in log for log in self._logs()):
            assert time.monotonic() < limit, list(self._logs())
            time.sleep(0.02)

    def _logs(self) -> Iterator[str]:
        return (server.process.log() for server in self.servers if server.process is not None)

    @property
    def url(self) -> str:
        """Where all of them are."""
        return ",".join(server.url for server in self.servers)

    @property
    def address(self) -> Address:
        """Where all of them are."""
        return Address.of(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.__exit__(kind, error, traceback)


def freeze(pid: int) -> None:
    """Stop a process, and wait until all of its threads stand still: on a busy machine some run on for a while."""
    os.kill(pid, signal.SIGSTOP)
    if sys.platform != "linux":
        return
    limit = time.monotonic() + 10
    while not all(_state(thread) == "T" for thread in Path(f"/proc/{pid}/task").iterdir()):
        assert time.monotonic() < limit, f"{pid} does not stop"
        time.sleep(0.001)


def _state(thread: Path) -> str:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return "T"


async def until(condition: Callable[[], object], timeout: float = 10) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
