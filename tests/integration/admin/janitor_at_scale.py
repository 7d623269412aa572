"""
One pass over a large store, as a process: ``python -m tests.integration.admin.janitor_at_scale URL NAMESPACE``.

Prints, as JSON, what was read and mended, the processor seconds and the seconds that the pass took, and the largest
resident size in bytes.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

from jetq.admin.janitor import Janitor
from jetq.jetstream.address import Address
from jetq.jetstream.backend import Backend
from jetq.model.events import TaskRepaired
from jetq.observe.bus import Bus
from jetq.settings import JanitorSettings, Settings


async def measure(url: str, namespace: str) -> None:
    backend = await Backend.open(Address.of(url), Settings(namespace=namespace), name="scale", bus=Bus())
    kinds: Counter[str] = Counter()

    def tell(repaired: TaskRepaired) -> None:
        kinds[repaired.kind] += 1

    janitor = Janitor(backend, JanitorSettings(patience=0.0))
    began, processor = time.monotonic(), time.process_time()
    passed = await janitor.run_pass(tell=tell)
    figures = {
        "records": passed.records,
        "repairs": dict(kinds),
        "complete": passed.complete,
        "processor": time.process_time() - processor,
        "seconds": time.monotonic() - began,
        "resident": peak_memory(),
    }
    await backend.close()
    print(json.dumps(figures))  # noqa: T201 - the test reads it


def peak_memory() -> int:
    """Return the peak of the resident size in bytes; what `getrusage` says begins with what the parent held."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    asyncio.run(measure(*sys.argv[1:]))
