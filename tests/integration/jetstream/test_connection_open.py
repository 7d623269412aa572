"""The first connect: it stands, or there is one clear sentence within the time-out."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from jetq import settings
from jetq.errors import (
    AuthenticationError,
    ConnectionFailedError,
    JetqError,
    JetStreamDisabledError,
    PermissionDeniedError,
    SecureConnectionError,
    ServerTooOldError,
)
from jetq.jetstream import floor
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import AccessDenied
from jetq.observe.bus import Bus
from tests.servers import TestServer, free_port

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def impostor() -> AsyncIterator[Callable[[bytes], Awaitable[tuple[str, list[bytes]]]]]:
    """Give a function that runs a server which says something and then only listens."""
    listeners: list[asyncio.Server] = []

    async def listen(greeting: bytes) -> tuple[str, list[bytes]]:
        heard: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(greeting)
            while said := await reader.read(4096):
                heard.append(said)
            writer.close()

        listener = await asyncio.start_server(talk, "127.0.0.1", 0)
        listeners.append(listener)
        return f"127.0.0.1:{listener.sockets[0].getsockname()[1]}", heard

    yield listen
    for listener in listeners:
        listener.close()
        await listener.wait_closed()


async def failure(address: Address | str, timeout: float = 0.5) -> Exception:
    """Return the error of a connect, which must come in time."""
    began = time.monotonic()
    with pytest.raises(JetqError) as failed:
        await Connection.open(
            Address.of(address) if isinstance(address, str) else address, name="test", connect_timeout=timeout
        )
    assert time.monotonic() - began < timeout + 2
    assert "\n" not in str(failed.value)
    assert failed.value.__cause__ is None
    return failed.value


async def test_nobody_listens() -> None:
    port = free_port()

    failed = await failure(f"nats://secret@127.0.0.1:{port}", timeout=5)

    assert type(failed) is ConnectionFailedError
    assert str(failed).startswith(f"no connection to nats://127.0.0.1:{port} (given): connection refused; ")


async def test_a_name_with_several_addresses_where_nobody_listens() -> None:
    failed = await failure(f"localhost:{free_port()}", timeout=5)

    assert "connection refused" in str(failed)


async def test_a_server_that_says_nothing(impostor) -> None:
    where, _ = await impostor(b"")

    failed = await failure(where)

    assert type(failed) is ConnectionFailedError
    assert "no answer" in str(failed)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"INFO nonsense\r\n", b"\r\n"])
async def test_something_else_listens(impostor, greeting: bytes) -> None:
    where, _ = await impostor(greeting)

    assert type(await failure(where)) is ConnectionFailedError


async def test_the_way_to_jetstream_is_silent(impostor) -> None:
    where, _ = await impostor(b'INFO {"version": "2.15.0", "headers": true, "max_payload": 1048576}\r\nPONG\r\n')

    failed = await failure(where)

    assert type(failed) is ConnectionFailedError
    assert "no answer from its JetStream within 0.5 s" in str(failed)


@pytest.mark.parametrize("user_part", ["", "wrong@", "joe:wrong@"])
async def test_a_wrong_password(server: EmbeddedServer, user_part: str) -> None:
    plain = server.url.rpartition("@")[2]

    failed = await failure(f"nats://{user_part}{plain}", timeout=5)

    assert type(failed) is AuthenticationError
    assert str(failed).startswith(f"nats://{plain} (given) refuses the credentials: authorization violation; ")
    assert "wrong" not in str(failed)


async def test_a_server_without_jetstream() -> None:
    with TestServer.start(jetstream=False) as server:
        failed = await failure(server.address, timeout=5)

    assert type(failed) is JetStreamDisabledError
    assert f"127.0.0.1:{server.port} (given) has no JetStream" in str(failed)


async def test_an_account_without_jetstream() -> None:
    accounts = "accounts { SYS: { users: [] }, A: { users: [{ user: joe, password: pass }] } }\nsystem_account: SYS"
    with TestServer.start(accounts, user_part="joe:pass") as server:
        assert type(await failure(server.address, timeout=5)) is JetStreamDisabledError


async def test_a_server_that_is_too_old(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SERVER_FLOOR", (2, 99, 0))

    failed = await failure(server.address, timeout=5)

    assert type(failed) is ServerTooOldError
    assert "runs nats-server 2." in str(failed)
    assert "jetq needs 2.99.0 or newer" in str(failed)


@pytest.mark.parametrize("version", ["2.14.1", "2.14.1-RC.2", "1.9.9", "", "dev"])
async def test_versions_below_the_floor(impostor, version: str) -> None:
    where, _ = await impostor(b'INFO {"version": "%b", "headers": true}\r\nPONG\r\n' % version.encode())

    assert type(await failure(where)) is ServerTooOldError


async def test_a_jetstream_that_is_too_old(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "API_FLOOR", 99)

    failed = await failure(server.address, timeout=5)

    assert type(failed) is ServerTooOldError
    assert "with JetStream API level" in str(failed)


async def test_tls_that_was_asked_for_is_not_given_up(impostor) -> None:
    where, heard = await impostor(b'INFO {"version": "2.15.0", "headers": true}\r\nPONG\r\n')

    failed = await failure(f"tls://joe:secret@{where}")

    assert type(failed) is SecureConnectionError
    assert "the server does not offer TLS" in str(failed)
    assert heard == []


async def test_one_of_several_servers_is_enough(server: EmbeddedServer) -> None:
    gone = f"nats://127.0.0.1:{free_port()}"
    for _ in range(4):
        async with await Connection.open(Address.of(f"{gone},{server.url}"), name="test") as connection:
            assert connection.server == f"nats://{server.url.rpartition('@')[2]}"


async def test_of_several_failures_the_most_telling_is_raised(server: EmbeddedServer) -> None:
    plain = server.url.rpartition("@")[2]
    for _ in range(4):
        failed = await failure(f"nats://127.0.0.1:{free_port()},nats://wrong@{plain}", timeout=5)
        assert type(failed) is AuthenticationError


async def test_a_silent_server_does_not_use_up_the_time_of_the_others(server: EmbeddedServer, impostor) -> None:
    where, _ = await impostor(b"")
    for _ in range(4):
        async with await Connection.open(Address.of(f"{where},{server.url}"), name="test", connect_timeout=0.6):
            pass


def permissions(publish: str, subscribe: str) -> str:
    allowed = f'permissions: {{ publish: [{publish}], subscribe: ["{subscribe}"] }}'
    user = f"{{ user: joe, password: pass, {allowed} }}"
    return f"accounts {{ SYS: {{ users: [] }}, A: {{ jetstream: enabled, users: [{user}] }} }}\nsystem_account: SYS"


async def test_who_may_not_ask_for_jetstream_may_still_work() -> None:
    with TestServer.start(permissions('"orders"', "_INBOX.>"), user_part="joe:pass") as server:
        bus, denied = Bus(), list[AccessDenied]()
        bus.listen_to(AccessDenied, denied.append)
        async with await Connection.open(server.address, name="test", bus=bus) as connection:
            assert connection.api_level == 0
            with pytest.raises(PermissionDeniedError, match="does not permit publishing to invoices"):
                await connection.request("invoices")
            assert connection.generation == 1
    assert denied == [
        AccessDenied(subject="$js.api.info", action="publish"),
        AccessDenied(subject="invoices", action="publish"),
    ]


async def test_who_may_not_read_answers_is_told() -> None:
    with TestServer.start(permissions('">"', "_INBOX_shop.>"), user_part="joe:pass") as server:
        failed = await failure(server.address, timeout=5)

    assert type(failed) is PermissionDeniedError
    assert "reading answers on _INBOX." in str(failed)


async def test_no_task_and_no_socket_is_left_of_a_failure(server: EmbeddedServer) -> None:
    before = asyncio.all_tasks()

    await failure(f"nats://wrong@{server.url.rpartition('@')[2]}", timeout=5)
    await failure(f"nats://127.0.0.1:{free_port()}", timeout=5)

    assert asyncio.all_tasks() == before


async def test_a_cancelled_connect_leaves_nothing(impostor) -> None:
    where, _ = await impostor(b"")
    before = asyncio.all_tasks()
    connect = asyncio.create_task(Connection.open(Address.of(where), name="test"))
    await asyncio.sleep(0.05)

    connect.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connect

    assert asyncio.all_tasks() - before <= {task for task in asyncio.all_tasks() if "talk" in repr(task)}
