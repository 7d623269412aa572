"""
environments: where the task queues are installed: each set of versions that agree has a virtual environment of its own.

They are made on first use in ``.bench-venvs`` in the checkout, which git ignores; remove a folder to have it made anew.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".bench-venvs"
_INSTALLED: Final = "installed"
"""A file that says that all is there."""


class UnavailableError(RuntimeError):
    """Something that a peer needs cannot be had here."""


def python(environment: str) -> str:
    """
    Return the interpreter of an environment, which is made if it is not there.

    Raises:
        UnavailableError: It cannot be installed.
    """
    if not environment:
        return sys.executable
    folder = FOLDER / environment
    program = folder / "bin" / "python"
    if not (folder / _INSTALLED).exists():
        requirements = Path(__file__).with_name(f"requirements-{environment}.txt")
        print(f"installing {requirements.name} into {folder.relative_to(ROOT)}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        command = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
        if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - our own list
            raise UnavailableError(f"{requirements.name} cannot be installed")
        (folder / _INSTALLED).touch()
    return str(program)


def go_program() -> str:
    """
    Return the program of the Go peer, which is built if it is not there or older than its source.

    Raises:
        UnavailableError: There is no Go, or it cannot be built.
    """
    source, program = Path(__file__).with_name("asyncjobs"), FOLDER / "asyncjobs"
    go = shutil.which("go")
    if go is None:
        raise UnavailableError("Go is not installed")
    newest = max(path.stat().st_mtime for path in source.iterdir())
    if not program.exists() or program.stat().st_mtime < newest:
        FOLDER.mkdir(exist_ok=True)
        done = subprocess.run([go, "build", "-o", program, "."], cwd=source, check=False)  # noqa: S603 - our own source
        if done.returncode != 0:
            raise UnavailableError("it cannot be built")
    return str(program)
