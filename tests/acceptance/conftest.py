"""Fixtures that run the ``jetq`` command from outside, as its users do."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jetq.jetstream.server import EmbeddedServer
from tests.acceptance.programs import Folder, Program
from tests.acceptance.warm import Warm

Start = Callable[..., Program]

SHOP = """
import asyncio, os, pathlib, time
from jetq import App, Context, Fixed, Queue, Terminate

app = App("shop", queues=[Queue("DEFAULT", lease=2), Queue("SLOW", lease=2)])

@app.task("add")
def add(a: int, b: int) -> int:
    return a + b

@app.task("wait-for")
async def wait_for(path: str) -> str:
    while not pathlib.Path(path).exists():
        await asyncio.sleep(0.01)
    return "there"

@app.task("block")
async def block() -> None:
    while True:
        time.sleep(0.1)

@app.task("fail", max_tries=1)
def fail() -> None:
    raise ValueError("no luck")

@app.task("mark")
async def mark(number: int) -> None:
    await asyncio.sleep(0.02)
    with open("marks", "a") as file:
        file.write(f"{number}\\n")
"""


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Give a process that runs commands."""
    folder = tmp_path_factory.mktemp("warm")
    running = Warm(folder, Folder(folder).environment)
    yield running
    running.close()


@pytest.fixture
def folder(tmp_path: Path, warm: Warm) -> Folder:
    """Give a folder with an application, and no server."""
    (tmp_path / "shop.py").write_text(SHOP)
    return Folder(tmp_path, warm=warm)


@pytest.fixture
def shop(folder: Folder, server: EmbeddedServer, namespace: str) -> Folder:
    """Give a folder with an application, on the server of this run, in a namespace of its own."""
    return folder.using(JETQ_NATS_URL=server.url, JETQ_NAMESPACE=namespace)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start programs that end with the test at the latest."""
    started: list[Program] = []

    def begin(folder: Folder, *arguments: str) -> Program:
        program = folder.start(*arguments)
        started.append(program)
        return program

    yield begin
    for program in started:
        program.kill()
