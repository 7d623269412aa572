"""The floors hold, and the inspector sees it when they do not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.inspection import PACKAGE, ROOT

FLOORS = "A room imports only from the floors below it"
CYCLES = "No cycles inside a room"
FACADE = "No room imports the facade"
NATS = "Only jetstream speaks NATS"
HOMES = "Every heavy library has one home"
MODEL = "The model does no I/O and has no clock"

SEEDS = {
    "upward": ("model/seed.py", "import jetq.wire.codec", FLOORS),
    "upward, for a type": (
        "wire/seed.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jetq.client",
        FLOORS,
    ),
    "upward, inside a function": ("routing/seed.py", "def f():\n    import jetq.worker", FLOORS),
    "across a floor": ("client/seed.py", "import jetq.admin", FLOORS),
    "the wire and the observer": ("wire/seed.py", "import jetq.observe.bus", FLOORS),
    "a module without a floor": ("seed.py", "", FLOORS),
    "a cycle": ("wire/seed.py", "import jetq.wire.sprout", CYCLES),
    "nats in a worker": ("worker/seed.py", "import nats.aio.client", NATS),
    "nats in the CLI": ("cli/seed.py", "from nats.errors import Error", NATS),
    "structlog in a client": ("client/seed.py", "import structlog", HOMES),
    "pydantic in the model": ("model/seed.py", "from pydantic import BaseModel", HOMES),
    "typer in the runtime": ("runtime/seed.py", "import typer", HOMES),
    "starlette in the app": ("app/seed.py", "import starlette.applications", HOMES),
    "a loop in the model": ("model/seed.py", "import asyncio", MODEL),
    "a clock in the model": ("model/seed.py", "from time import time", MODEL),
    "the facade, whole": ("client/seed.py", "import jetq", FACADE),
    "the facade, a name": ("worker/seed.py", "from jetq import App", FACADE),
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_the_floors_hold() -> None:
    inspected = lint_imports(ROOT)

    assert inspected.returncode == 0, inspected.stdout + inspected.stderr


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seeded_violation_is_caught(seed: str, tmp_path: Path) -> None:
    path, text, contract = SEEDS[seed]
    shutil.copytree(PACKAGE, tmp_path / "jetq", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "jetq" / path).write_text(text)
    (tmp_path / "jetq" / "wire" / "sprout.py").write_text("import jetq.wire.seed" if contract is CYCLES else "")

    inspected = lint_imports(tmp_path)

    assert f"{contract} BROKEN" in inspected.stdout, inspected.stdout + inspected.stderr
    assert "seed" in inspected.stdout
