"""How the log is set up is known without what writes it."""

import subprocess
import sys

from jetq.observe import log_setup
from jetq.observe.log_setup import LogSetup, configured, remember


def test_the_last_setup_counts() -> None:
    before = log_setup._setup[:]
    try:
        log_setup._setup.clear()
        assert configured() is None
        remember(LogSetup("info", "json", colors=False, lock=-1))
        remember(LogSetup("debug", "console", colors=True, lock=3))
        assert configured() == LogSetup("debug", "console", colors=True, lock=3)
    finally:
        log_setup._setup[:] = before


def test_a_program_that_imports_jetq_does_not_load_what_writes_logs_for_people() -> None:
    code = """
import sys
import jetq
assert not {"structlog", "rich", "pygments", "pydantic", "prometheus_client", "typer", "nacl"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
