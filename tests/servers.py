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
from typing import Any, Self
from urllib.request import urlopen

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
        self.limits = ""
        self.process: ServerProcess | None = None

    @classmethod
    def start(
        cls,
        extra: str | None = None,
        *,
        user_part: str | None = None,
        jetstream: bool = True,
        scheme: str = "nats",
        store: Path | None = None,
        limits: str = "",
    ) -> Self:
        """Start one; without configuration it asks for a random token. The limits are JetStream's."""
        if extra is None:
            user_part = secrets.token_hex(8)
            extra = f'authorization {{ token: "{user_part}" }}'
        server = cls(extra, user_part or "", jetstream=jetstream, scheme=scheme)
        server.store, server.limits = store or server.store, limits
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
        jetstream = f"jetstream {{ store_dir: {json.dumps(str(self.store))}, {self.limits} }}" if self.jetstream else ""
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

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.is_running

    def monitored(self, path: str) -> dict[str, Any]:
        """Ask its monitoring, if its configuration has some; empty if it does not answer now."""
        assert self.process is not None
        for ports in self.process.folder.glob("*.ports"):
            with contextlib.suppress(OSError, ValueError):
                address = json.loads(ports.read_bytes())["monitoring"][0]
                with urlopen(f"{address}/{path}", timeout=5) as answer:  # noqa: S310 - the server says where
                    return dict(json.load(answer))
        return {}

    def streams(self) -> list[dict[str, Any]]:
        """Return what its monitoring says of the streams that it holds."""
        view = self.monitored("jsz?accounts=true&streams=true&consumers=true")
        return [stream for account in view.get("account_details", ()) for stream in account.get("stream_detail", ())]

    def is_healthy(self) -> bool:
        """Whether its monitoring says that it has all that it is to have."""
        return self.is_running and self.monitored("healthz").get("status") == "ok"

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
                routing = f'cluster {{ name: "c", listen: "{route}", routes: [{listed}] }}'
                extra = f'server_name: "n{number}"\nhttp: "127.0.0.1:-1"\n{routing}'
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

    def named(self, name: str) -> TestServer:
        """Return a server by its name."""
        return self.servers[int(name.removeprefix("n"))]

    def leaders(self) -> dict[str, str]:
        """
        Return the names of the servers that lead, by what they lead: ``meta``, each stream, and each consumer.

        Nobody leads what has no leader, or one that does not run. It is the servers' monitoring that says so.
        """
        running = [server for server in self.servers if server.is_running]
        names = {f"n{self.servers.index(server)}" for server in running}
        found: dict[str, str] = {}
        for server in running:
            found.setdefault("meta", server.monitored("jsz").get("meta_cluster", {}).get("leader", ""))
            for stream in server.streams():
                for led in (stream, *(stream.get("consumer_detail") or ())):
                    found[led["name"]] = led.get("cluster", {}).get("leader", "")
        return {what: leader if leader in names else "" for what, leader in found.items()}

    def fewest_copies(self) -> int:
        """Return of how many servers each stream has copies at least."""
        return min(1 + len(stream["cluster"].get("replicas") or ()) for stream in self.servers[0].streams())

    async def is_led(self, timeout: float = 60.0) -> None:
        """Wait until all that there is has a leader that runs."""
        limit = time.monotonic() + timeout
        while not all((leaders := await asyncio.to_thread(self.leaders)).values()):
            assert time.monotonic() < limit, leaders
            await asyncio.sleep(0.1)

    async def is_well(self, timeout: float = 60.0) -> None:
        """Wait until every server runs and has all that it is to have."""
        limit = time.monotonic() + timeout
        while not all(await asyncio.to_thread(lambda: [server.is_healthy() for server in self.servers])):
            assert time.monotonic() < limit, list(self._logs())
            await asyncio.sleep(0.1)

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
