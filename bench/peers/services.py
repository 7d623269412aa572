"""
services: brokers of our own, on free ports of loopback, with empty stores in temporary folders.

What each promises is what the comparison must say: Redis keeps all in memory here and writes nothing to disk,
nats-server writes to files and syncs them every two minutes, its default, and PostgreSQL syncs every commit.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from bench.peers.environments import UnavailableError
from bench.processes import cpu_seconds, tree
from jetq.jetstream.server import EmbeddedServer

DURABILITY: Final = {
    "nats": "nats-server: JetStream on files, synced every 2 min (default), one copy",
    "redis": "redis-server: in memory, nothing on disk",
    "postgres": "PostgreSQL: defaults, every commit synced",
}
_PATIENCE: Final = 30.0
_POLL: Final = 0.02


class Service(Struct):
    """A broker that runs: its process, and where it is."""

    pid: int
    environ: dict[str, str]

    def cpu_seconds(self) -> float:
        """Return what it spent so far, with the processes that it has now."""
        return sum(map(cpu_seconds, tree(self.pid)))


@contextmanager
def service(name: str) -> Generator[Service, None, None]:
    """
    Run a broker.

    Raises:
        UnavailableError: It is not installed.
    """
    if name == "nats":
        with EmbeddedServer.start() as server:
            yield Service(server.pid, {"BENCH_URL": server.url})
        return
    with tempfile.TemporaryDirectory(prefix="jetq-bench-") as folder, _stopped() as running:
        start = _redis if name == "redis" else _postgres
        yield start(Path(folder), running)


@contextmanager
def _stopped() -> Generator[list["subprocess.Popen[Any]"]]:
    running: list[subprocess.Popen[Any]] = []
    try:
        yield running
    finally:
        for process in running:
            process.send_signal(2)  # PostgreSQL waits for its clients upon TERM
            process.wait(_PATIENCE)


def _redis(folder: Path, running: list["subprocess.Popen[Any]"]) -> Service:
    program, port = _program("redis-server", ()), _free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    running.append(subprocess.Popen([program, *options], stdout=subprocess.DEVNULL))  # noqa: S603 - as above
    _await_port(port)
    return Service(running[-1].pid, {"BENCH_REDIS": f"redis://127.0.0.1:{port}"})


def _postgres(folder: Path, running: list["subprocess.Popen[Any]"]) -> Service:
    """Start it as its own user, since it refuses to be root."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    programs = Path(_program("initdb", places)).parent
    port, data = _free_port(), folder / "data"
    data.mkdir()
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        for path in (folder, data):
            os.chown(path, user.pw_uid, user.pw_gid)
        account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
    subprocess.run(  # noqa: S603 - as above
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust"],
        check=True,
        stdout=subprocess.DEVNULL,
        **account,
    )
    options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "logging_collector=off"]
    command = [programs / "postgres", "-D", data, "-p", str(port), *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **account)  # noqa: S603 - as above
    running.append(process)
    limit = time.monotonic() + _PATIENCE
    ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ready, check=False).returncode != 0:  # noqa: S603 - as above
        if time.monotonic() > limit:
            raise UnavailableError("PostgreSQL did not start")
        time.sleep(_POLL)
    return Service(running[-1].pid, {"BENCH_POSTGRES": f"host=127.0.0.1 port={port} user=postgres dbname=postgres"})


def _program(name: str, places: Sequence[Path]) -> str:
    for place in places:
        if found := shutil.which(name, path=place):
            return found
    if found := shutil.which(name):
        return found
    raise UnavailableError(f"{name} is not installed")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await_port(port: int) -> None:
    limit = time.monotonic() + _PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > limit:
            raise UnavailableError(f"nothing listens on port {port}")
        time.sleep(_POLL)
