"""
A supervisor for fault tests: ``python -m tests.faults.supervisor_program PROCESSES [APP]``.

It is that of ``jetq worker -p PROCESSES``, but it gives up on nobody for longer than a second: tests kill children more
often than they crash in real life.
"""

import sys

from jetq.observe.line_stream import shared_log
from jetq.observe.logs import configure
from jetq.runtime.supervising import Surroundings, new_log_lock, run_supervisor
from jetq.runtime.worker_process import Place
from jetq.settings import SupervisorSettings, WorkerSettings

CHILD = ["-m", "jetq", "worker", "-c", "20", "--shutdown-timeout", "10s"]
APP = "tests.faults.supervised_app"
SETTINGS = {"backoff_first": 0.1, "backoff_most": 1.0, "child_timeout": 3.0}


def main() -> int:
    """Supervise until TERM."""
    lock = new_log_lock()
    configure("info", "json", stream=shared_log(2, lock), colors=False)
    settings = SupervisorSettings(processes=int(sys.argv[1]), **SETTINGS)  # type: ignore[arg-type]
    worker = WorkerSettings(concurrency=20, shutdown_timeout=10.0)

    def command(inherited: str) -> list[str]:
        return [sys.executable, *CHILD, *(sys.argv[2:] or [APP]), "--child", inherited]

    return run_supervisor(command, settings, worker, Surroundings(place=Place()), log_lock=lock)


if __name__ == "__main__":
    sys.exit(main())
