"""
taskiq_peer: what both taskiq adapters share.
"""

from typing import Any

from bench.peers.adapter import Adapter, module_command


class TaskiqPeer(Adapter):
    """taskiq, whatever its broker."""

    is_async = True
    module = ""

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        options = ("--workers", "1", "--max-async-tasks", "100", "--max-prefetch", "100", "--log-level", "WARNING")
        return [module_command("taskiq", "worker", f"{self.module}:broker", *options)]

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait for one."""
        return (await handle.wait_result(check_interval=0.01, timeout=timeout)).return_value
