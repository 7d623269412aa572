"""
golang: programs of the tests that are written in Go.

Without Go the tests that need them are skipped, and say so; where JETQ_REQUIRE_GO=1 says that it must be there, they
fail. The first build of all downloads modules and compiles them for a minute or two; Go keeps both for later ones.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BUILD_TIMEOUT = 600.0
"""Seconds for a first build on a busy machine; a test whose fixture builds may take that long."""


def build(module: Path, target: Path, *packages: str) -> None:
    """Build packages of a module into a folder, or give up for want of Go or of modules."""
    give_up = pytest.fail if os.environ.get("JETQ_REQUIRE_GO") == "1" else pytest.skip
    go = shutil.which("go")
    if go is None:
        give_up(f"there is no go program on the PATH to build {module.parent.name}/{module.name} with")
    words = [
        go,
        "build",
        "-ldflags=-s -w",
        "-o",
        f"{target}/",
        *packages,
    ]  # without symbols: linked in a third of the time
    built = subprocess.run(words, cwd=module, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        give_up(f"{module.parent.name}/{module.name} cannot be built: {built.stderr[-500:]}")
