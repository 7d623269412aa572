"""
talking: the client's process of a peer, as the one who measures talks to it: a line of JSON each way.
"""

import json
import os
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Final

from bench.peers.environments import ROOT
from bench.peers.registry import Peer

_PATIENCE: Final = 120.0
_GRACE: Final = 10.0


class PeerError(RuntimeError):
    """A peer did not do what it was asked; the others go on."""


class Talk:
    """A client's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._answers: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._answers.put(line)
        self._answers.put("")

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """
        Have something done.

        Raises:
            PeerError: It failed, or took too long.
        """
        with suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps({"action": action, **arguments}) + "\n")
                self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=_PATIENCE)
        except Empty:
            raise PeerError(f"its client took more than {_PATIENCE:g} s to {action}") from None
        if not line:
            raise PeerError(f"its client ended when it was to {action}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{action}: {answer['error']}")
        return answer


@contextmanager
def talk(peer: Peer, python: str, environ: Mapping[str, str], log: Path) -> Generator[Talk, None, None]:
    """Run a peer's client in its environment."""
    command = [python, "-m", "bench.peers.client", peer.module, peer.adapter]
    given = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
    with log.open("ab") as said:
        process = subprocess.Popen(  # noqa: S603 - this program, elsewhere
            command, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
    try:
        yield Talk(process)
    finally:
        with suppress(BrokenPipeError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
