"""The remote handlers of the examples, in Node.js and in plain bash, run tasks as they say."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from jetq.app.application import App
from jetq.settings import Queue
from jetq.worker.worker import Worker
from tests.acceptance.programs import Folder
from tests.house.inspection import ROOT
from tests.integration.worker.conftest import LEASE, SETTINGS
from tests.servers import TestServer

pytestmark = pytest.mark.timeout(120)

EXAMPLE = ROOT / "examples" / "05-remote-handlers"


@pytest.fixture
def example(folder: Folder) -> Folder:
    """Give a copy of the example."""
    shutil.copytree(EXAMPLE, folder.path / "example", ignore=shutil.ignore_patterns("node_modules"))
    return folder


def installed(folder: Path) -> None:
    """Install what the handler in Node.js needs, or skip the test."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node, or no npm")
    command = ["npm", "ci", "--no-audit", "--no-fund", "--prefix", str(folder)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer")
    if ended.returncode:
        away = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ECONNRESET", "ENETUNREACH", "network")
        if any(word in ended.stderr for word in away):
            pytest.skip("npm's registry is out of reach")
        pytest.fail(ended.stderr)


@pytest.mark.parametrize("language", ["node", "shell"])
def test_the_example_has_another_language_run_its_tasks(example: Folder, language: str) -> None:
    if language == "node":
        installed(example.path / "example" / "node")
    elif shutil.which("bash") is None:
        pytest.skip("there is no bash")
    ended = example.run(language, command=("example/main.py",))

    assert ended.out.splitlines() == [
        "ready: text:count",
        f"'Hello from the other side': {{'words': 5, 'by': '{language}'}}, after 1 tries",
        f"'again': {{'words': 1, 'by': '{language}'}}, after 2 tries",
        "None: terminated, the payload has no text, after 1 tries",
    ], ended.err
    assert ended.status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((), "which language? one of node, shell\n", id="nothing"),
        pytest.param(("perl",), "which language? one of node, shell\n", id="unknown"),
    ],
)
def test_the_example_says_what_it_cannot_use(example: Folder, arguments: tuple[str, ...], words: str) -> None:
    refused = example.run(*arguments, command=("example/main.py",))
    assert (refused.status, refused.err) == (1, words)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
async def test_the_handler_in_shell_comes_back_when_its_server_does(own_server: TestServer) -> None:
    app = App("words", queues=[Queue("DEFAULT", lease=LEASE)])
    app.connect_to(own_server.address)
    count = app.remote("text:count", retry=0.2)
    environment = os.environ | {"NATS_URL": own_server.url, "JETQ_NAMESPACE": "JETQ"}
    handler = await asyncio.create_subprocess_exec(
        "bash", str(EXAMPLE / "shell" / "handler.sh"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert handler.stdout is not None
    await handler.stdout.readline()
    await asyncio.to_thread(own_server.restart)
    await handler.stdout.readline()
    async with Worker(app, settings=SETTINGS):
        long = await count.aenqueue(text="täglich " * 20_000)  # more than one packet, and bytes that are no characters
        assert await long.aresult(timeout=20) == {"words": 20_000, "by": "shell"}
    await app.aclose()
    handler.terminate()
    assert await handler.wait() == 0
