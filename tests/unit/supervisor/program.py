"""
A supervisor of children that behave as they are told: ``python -m tests.unit.supervisor.program SETTINGS HOWS BURST``.

HOWS says how the first child behaves, the second, ...; the last word is for all further ones. Each event is a line of
JSON on stdout.
"""

import json
import sys
import tempfile
from typing import Any

from msgspec.structs import asdict

from jetq.observe.bus import Bus
from jetq.settings import SupervisorSettings
from jetq.supervisor import supervisor, warden
from jetq.supervisor.child import Child
from jetq.supervisor.notifying import Notifier
from jetq.supervisor.supervisor import Supervisor

FAREWELL = 0.5
BOOT = """
import runpy, sys, types
package = types.ModuleType("jetq")
package.__path__ = ["jetq"]
sys.modules["jetq"] = package
runpy.run_module("tests.unit.supervisor.child_program", run_name="__main__")
"""
"""Without the facade, which imports all rooms: a child needs two of them, and dozens of children start."""
CHILD = [sys.executable, "-c", BOOT]


def tell(event: Any) -> None:
    print(json.dumps({"event": type(event).__name__, **asdict(event)}, default=str), flush=True)  # noqa: T201


def main() -> int:
    settings, hows, burst = (
        SupervisorSettings(**json.loads(sys.argv[1])),
        sys.argv[2].split(","),
        sys.argv[3] == "burst",
    )
    warden.FAREWELL = supervisor.FAREWELL = FAREWELL  # type: ignore[misc]
    bus, started = Bus(), iter(hows)
    bus.listen(tell)
    with tempfile.TemporaryFile() as lock:

        def start(place: int) -> Child:
            how = next(started, hows[-1])
            if how == "no-room":
                raise OSError(how)
            return Child(lambda inherited: [*CHILD, inherited, how], place, 10, lock.fileno())

        return Supervisor(start, settings, patience=0.0, burst=burst, bus=bus, notifier=Notifier()).run()


if __name__ == "__main__":
    sys.exit(main())
