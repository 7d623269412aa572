"""Go programs and jetq in one ``CHORIA_AJ`` namespace on one server; each test has a queue of its own."""

import fcntl
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jetq.app.application import App
from jetq.jetstream.backend import Backend
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event
from jetq.model.retry import Fixed
from jetq.settings import JanitorSettings, Queue, Settings, WorkerSettings
from tests.golang import BUILD_TIMEOUT, build
from tests.interop.go.peers import NAMESPACE, Go

HERE = Path(__file__).parent
AJC = "github.com/choria-io/asyncjobs/ajc"
WORKER = WorkerSettings(concurrency=10, shutdown_timeout=5.0, janitor=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the time of a first build to whichever test comes first."""
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(BUILD_TIMEOUT))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the programs; the processes of a run build them once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "interop-go"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            build(HERE, folder, "./peer", "./shop", AJC)
            (folder / "built").touch()
    return folder


@pytest.fixture(scope="session")
def shared() -> Iterator[EmbeddedServer]:
    """Give the server of the namespace."""
    with EmbeddedServer.start() as running:
        yield running
        os.kill(running.pid, signal.SIGKILL)


@pytest.fixture
def queue() -> str:
    """Give the name of a queue that nobody else uses."""
    return f"Q{secrets.token_hex(4).upper()}"


@pytest.fixture
def go_queue(queue: str) -> str:
    """Give the name of a queue for types that only Go handles: a worker takes whatever its queue holds."""
    return f"{queue}-GO"


@pytest.fixture
async def go(programs: Path, shared: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Go]:
    """Give the Go programs; those that stay end with the test."""
    go = Go(programs, shared.url, tmp_path)
    yield go
    for running in go.started:
        await running.kill()


@pytest.fixture
def told() -> list[Event]:
    """Give the list of events of the applications."""
    return []


@pytest.fixture
async def make_app(
    shared: EmbeddedServer, queue: str, go_queue: str, told: list[Event]
) -> AsyncIterator[Callable[..., App]]:
    """Give a maker of applications of the namespace, with the queue of this test for their default."""
    made: list[App] = []

    def make(**settings: Any) -> App:
        known: dict[str, Any] = {
            "namespace": NAMESPACE,
            "default_queue": queue,
            "retry": Fixed(0.01),
            "janitor": JanitorSettings(blocked_every=0.1),
        }
        queues = [Queue(name, max_run_time=60) for name in (queue, go_queue)]
        app = App("test", queues=queues, settings=Settings(**(known | settings)))
        app.connect_to(shared.address)
        app.bus.listen(told.append)
        made.append(app)
        return app

    yield make
    for app in made:
        await app.aclose()


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    """Give an application whose handlers all have a counterpart in Go."""
    return make_app()


async def prepared(app: App) -> Backend:
    """Let the queues of an application be there, which Go programs bind to; return its way to the server."""
    backend = (await app.clients.current()).backend
    for queue in app.queues.values():
        await backend.queue(queue)
    return backend
