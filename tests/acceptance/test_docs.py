"""
What the documentation shows runs as it stands.

In each page, a Python block whose first line names a file is written there ("further down" adds to it), and a console
block is run: ``jetq dev``, ``worker`` and ``serve`` in the background until the page ends, everything else to its end,
and what it prints is what the page says, where ``...`` stands for anything. Blocks in other languages are for readers.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.programs import PATIENCE, Folder
from tests.house.inspection import ROOT

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (?P<name>[\w/]+\.py)(?P<more>, further down)?$")
LINK = re.compile(r"\]\((?P<target>[^)#:]+)(?:#[^)]*)?\)")
ENQUEUES = re.compile(r"enqueue\w*\(")
NOT_HERE = ("pip install", "bash .ci/run")
"""Beginnings of commands that install and test the project itself."""
pytestmark = pytest.mark.timeout(120)


class Command(NamedTuple):
    words: str
    shows: str

    @property
    def stays(self) -> bool:
        return re.match(r"jetq (dev|worker|serve)\b(?!.*--burst)", self.words) is not None


def commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        words, _, shows = part.partition("\n")
        if not words.startswith(NOT_HERE):
            yield Command(words, shows)


OF_A_SHELL = frozenset("|&;<>$`*?~(){}")
"""Characters for which a command needs a shell."""


def pattern(shows: str) -> str:
    return ".*".join(re.escape(part) for part in shows.split("..."))


@pytest.fixture
def shell(folder: Folder) -> Folder:
    """Give an empty folder, and a PATH on which ``jetq`` and ``python`` are ours."""
    (folder.path / "shop.py").unlink()
    programs = folder.path / ".bin"
    programs.mkdir()
    for name, arguments in (("jetq", "-m jetq"), ("python", "")):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n')
        script.chmod(0o755)
    return folder.using(PATH=f"{programs}:{os.environ['PATH']}")


def run_command(command: Command, shell: Folder) -> None:
    words = shlex.split(command.words, comments=True)
    if words[0] == "jetq" and OF_A_SHELL.isdisjoint(command.words) and shell.may_be_warm(words[1:]):
        shown = run_warm(words[1:], shell)
    else:
        shown = run_in_shell(command.words, shell)
    assert re.fullmatch(pattern(command.shows), shown, re.DOTALL), f"$ {command.words}\n{shown}"


def run_warm(arguments: list[str], shell: Folder) -> str:
    with Path(os.devnull).open("rb") as nothing, tempfile.TemporaryFile() as out:
        files = [nothing.fileno(), out.fileno(), out.fileno()]
        assert shell.warm is not None
        shell.warm.run(arguments, shell.path, shell.environment, files, PATIENCE)
        out.seek(0)
        return out.read().decode()


def run_in_shell(words: str, shell: Folder) -> str:
    ended = subprocess.run(  # noqa: S602 - as a reader would
        words,
        shell=True,
        cwd=shell.path,
        env=shell.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.stdout


def write(path: Path, text: str, *, more: bool) -> None:
    path.write_text(f"{path.read_text()}\n\n{text}" if more else text)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(page: str, shell: Folder) -> None:
    background: list[subprocess.Popen[bytes]] = []
    is_awaited = False
    try:
        for block in BLOCK.finditer((ROOT / page).read_text()):
            text = block["text"]
            if block["language"] == "python":
                compile(text, page, "exec")
                named = FILE.match(text.partition("\n")[0])
                if named:
                    write(shell.path / named["name"], text, more=named["more"] is not None)
                    continue
            if block["language"] != "console":
                continue
            for command in commands(text):
                if command.stays:
                    background.append(
                        subprocess.Popen(
                            shlex.split(command.words, comments=True), cwd=shell.path, env=shell.environment
                        )
                    )
                else:
                    if background and not is_awaited:
                        await_server(shell)
                        is_awaited = True
                    run_command(command, shell)
    finally:
        for process in background:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def await_server(shell: Folder) -> None:
    """Wait until what was started in the background can be found, as a reader would."""
    assert any(shell.run("info").status == 0 for _ in range(100))


@pytest.mark.parametrize("page", PAGES)
def test_modules_that_a_page_shows_can_be_imported(page: str, shell: Folder) -> None:
    names: list[str] = []
    for block in BLOCK.finditer((ROOT / page).read_text()):
        named = FILE.match(block["text"].partition("\n")[0])
        if block["language"] == "python" and named:
            write(shell.path / named["name"], block["text"], more=named["more"] is not None)
            names.append(named["name"])

    for name in dict.fromkeys(names):
        if not ENQUEUES.search((shell.path / name).read_text()):
            ended = shell.run("-c", f"import {name.removesuffix('.py')}", command=())
            assert ended.status == 0, ended.err


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    here = (ROOT / page).parent
    targets = {found["target"] for found in LINK.finditer((ROOT / page).read_text())}

    assert [target for target in targets if not (here / target).exists()] == []
