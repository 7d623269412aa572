"""
server: a nats-server of our own, for one machine, ``--embedded``, ``jetq dev`` and tests.

It listens on loopback, on a free port, and takes only those who know its random token, which stands in a file that
only we may read and never on a command line. It ends with the process that started it (`lifeline`). The lock of its
store is held by the server itself, so that it lasts exactly as long as somebody writes there.
"""

import json
import os
import secrets
import shutil
import sys
import sysconfig
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from jetq.errors import ServerNotFoundError, ServerStartError, StoreInUseError
from jetq.jetstream.address import Address
from jetq.jetstream.server_process import ServerProcess, quoted, write_private
from jetq.settings import server_program

if sys.platform != "win32":
    import fcntl

_PROGRAM: Final = "nats-server"
_LOCK: Final = "jetq.lock"


def find_program(named: str | None = None) -> str:
    """
    Return the path of the nats-server program.

    Args:
        named: A path or name that wins; then come ``JETQ_NATS_SERVER``, the environment's scripts and the PATH.

    Raises:
        ServerNotFoundError: There is none.
    """
    wanted = named or server_program()
    if wanted is not None:
        found = shutil.which(wanted)
        if found is None:
            raise ServerNotFoundError(f"{wanted} is no program")
        return found
    scripts = sysconfig.get_path("scripts")
    found = shutil.which(_PROGRAM, path=scripts) or shutil.which(_PROGRAM)
    if found is None:
        raise ServerNotFoundError(f"looked in {scripts} and the PATH")
    return found


class EmbeddedServer:
    """
    A running nats-server. Start one with :meth:`start`; stop it, or leave its ``with`` block.

    Attributes:
        url: With its token.
        store: Folder of its data; None is a temporary one.
    """

    def __init__(self, process: ServerProcess, url: str, store: Path | None) -> None:
        self._process = process
        self.url = url
        self.store = store

    @classmethod
    def start(cls, *, store: Path | None = None, announce: Path | None = None, program: str | None = None) -> Self:
        """
        Start a server and wait until it takes connections; that takes some 40 ms.

        Args:
            store: Folder of its data; None is a temporary one that is removed at the end.
            announce: File to leave its address in for other processes, for as long as it runs.
            program: As for :func:`find_program`.

        Raises:
            ServerNotFoundError: There is no program.
            ServerStartError: It did not come up.
            StoreInUseError: Another one uses the store.
        """
        found = find_program(program)
        if sys.platform == "win32":
            raise ServerStartError(found, "an embedded server needs Linux or macOS")
        token = secrets.token_hex(16)

        def configuration(folder: Path) -> str:
            data = quoted(store or folder / "store")
            secured = f'authorization {{ token: "{token}" }}'
            return f'host: "127.0.0.1"\nport: -1\n{secured}\njetstream {{ store_dir: {data} }}\n'

        announcement = None if announce is None else announce.absolute()
        if store is None:
            process = ServerProcess.start(found, configuration, announcement=announcement)
        else:
            store = store.absolute()
            lock = _lock(store)
            try:
                process = ServerProcess.start(found, configuration, announcement=announcement, inherited=(lock,))
            finally:
                os.close(lock)
        server = cls(process, process.plain_url.replace("://", f"://{token}@"), store)
        if announcement is not None:
            try:
                server._announce(announcement)
            except BaseException:
                server.stop()
                raise
        return server

    def _announce(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = None if self.store is None else str(self.store)
        draft = path.with_name(f"{path.name}.{self.pid}")
        write_private(draft, json.dumps({"url": self.url, "pid": self.pid, "store": store}, separators=(",", ":")))
        draft.replace(path)

    @property
    def pid(self) -> int:
        """Of nats-server."""
        return self._process.pid

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address.of(self.url, source="embedded server")

    @property
    def is_running(self) -> bool:
        """Whether the server runs; it may have been killed."""
        return self._process.is_running

    def stop(self) -> None:
        """Stop the server and remove what it leaves behind, but not a store that was named. Idempotent."""
        self._process.stop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def _lock(store: Path) -> int:
    """Make the store and lock it; whoever inherits the descriptor holds the lock."""
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(store / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreInUseError(str(store)) from None
    return descriptor
