# ruff: noqa: S106 - the passwords are made up
"""Who we are, and how nobody listens in: against servers that insist."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from jetq.errors import AuthenticationError, SecureConnectionError, UnusableCredentialsError
from jetq.jetstream.address import Address, find_address
from jetq.jetstream.connection import Connection
from jetq.settings import ConnectionSettings
from tests.authorities import Operator, user_key
from tests.servers import TestServer

Context = Callable[..., Address]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Give a function that writes a NATS context for a server and loads it."""

    def write(server: TestServer, **keys: Any) -> Address:
        (tmp_path / "shop.json").write_text(json.dumps({"url": server.url, **keys}))
        environ = {"HOME": str(tmp_path)}
        return find_address(ConnectionSettings(context=f"{tmp_path}/shop.json"), environ=environ)

    return write


async def works(address: Address) -> None:
    """See that a connection stands and that JetStream answers."""
    async with await Connection.open(address, name="test") as connection:
        assert "limits" in await connection.api("INFO")


class Certificates:
    """An authority, a server's certificate and a client's, in files."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca)
        self.server = self._write(folder, "server", authority.issue_cert(host))
        self.client = self._write(folder, "client", authority.issue_cert("joe@example.org"))

    @staticmethod
    def _write(folder: Path, name: str, made: trustme.LeafCert) -> dict[str, str]:
        paths = {"cert": str(folder / f"{name}.pem"), "key": str(folder / f"{name}.key")}
        for part in made.cert_chain_pems:
            part.write_to_path(paths["cert"], append=True)
        made.private_key_pem.write_to_path(paths["key"])
        return paths

    def configuration(self, more: str = "") -> str:
        return f'tls {{ cert_file: "{self.server["cert"]}", key_file: "{self.server["key"]}", {more} }}'


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def test_user_and_password(context: Context) -> None:
    with TestServer.start('authorization { user: joe, password: "p@ss:word" }') as server:
        await works(context(server, user="joe", password="p@ss:word"))
        await works(Address.of(f"nats://joe:p%40ss%3Aword@127.0.0.1:{server.port}"))
        with pytest.raises(AuthenticationError):
            await works(context(server, user="joe"))


async def test_a_token(context: Context) -> None:
    with TestServer.start('authorization { token: "t0ken" }') as server:
        await works(context(server, token="t0ken"))
        await works(Address.of(f"nats://t0ken@127.0.0.1:{server.port}"))


async def test_an_nkey(context: Context, tmp_path: Path) -> None:
    key, other = user_key(), user_key()
    (tmp_path / "user.nk").write_text(key.seed)
    (tmp_path / "other.nk").write_text(other.seed)
    with TestServer.start(f"authorization {{ users: [{{ nkey: {key.public} }}] }}") as server:
        await works(context(server, nkey="~/user.nk"))
        with pytest.raises(AuthenticationError):
            await works(context(server, nkey="~/other.nk"))


async def test_creds_of_an_operator(context: Context, tmp_path: Path) -> None:
    operator, stranger = Operator(), Operator()
    (tmp_path / "user.creds").write_text(operator.creds())
    (tmp_path / "stranger.creds").write_text(stranger.creds())
    with TestServer.start(operator.configuration()) as server:
        await works(context(server, creds="~/user.creds"))
        await works(context(server, creds=f"file://{tmp_path}/user.creds"))
        with pytest.raises(AuthenticationError):
            await works(context(server, creds="~/stranger.creds"))
        with pytest.raises(UnusableCredentialsError, match=r"gone.creds.*no such file"):
            await works(context(server, creds="~/gone.creds"))


async def test_a_jwt_with_its_seed_and_one_that_bears_itself(context: Context) -> None:
    operator, key = Operator(), user_key()
    with TestServer.start(operator.configuration()) as server:
        await works(context(server, user_jwt=operator.user(key), user_seed=key.seed))
        await works(context(server, user_jwt=operator.user(key, bearer=True)))
        with pytest.raises(AuthenticationError):
            await works(context(server, user_jwt=operator.user(key)))


async def test_tls_with_an_authority_of_our_own(context: Context, certificates: Certificates) -> None:
    with TestServer.start(certificates.configuration()) as server:
        await works(context(server, ca=certificates.ca))
        with pytest.raises(SecureConnectionError, match="certificate verify failed"):
            await works(context(server))


async def test_tls_with_a_certificate_for_another_host(tmp_path: Path, context: Context) -> None:
    certificates = Certificates(tmp_path, "elsewhere.example.org")
    with (
        TestServer.start(certificates.configuration()) as server,
        pytest.raises(SecureConnectionError, match="IP address mismatch"),
    ):
        await works(context(server, ca=certificates.ca))


async def test_a_server_that_wants_our_certificate(context: Context, certificates: Certificates) -> None:
    with TestServer.start(certificates.configuration(f'ca_file: "{certificates.ca}", verify: true')) as server:
        await works(context(server, ca=certificates.ca, **certificates.client))
        with pytest.raises(SecureConnectionError, match="asks for a certificate of ours"):
            await works(context(server, ca=certificates.ca))


async def test_tls_before_anything_is_said(context: Context, certificates: Certificates) -> None:
    with TestServer.start(certificates.configuration("handshake_first: true")) as server:
        await works(context(server, ca=certificates.ca, tls_first=True))


async def test_tls_that_the_server_leaves_open_is_used_when_asked_for(
    context: Context, certificates: Certificates
) -> None:
    with TestServer.start(f"{certificates.configuration()}\nallow_non_tls: true") as server:
        async with await Connection.open(context(server, ca=certificates.ca), name="test") as connection:
            assert connection._outbox.link is not None
            assert connection._outbox.link._socket is not None
            assert connection._outbox.link._socket.get_extra_info("cipher") is not None
        await works(context(server))


async def test_tls_and_a_restart(
    context: Context, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    with TestServer.start(certificates.configuration()) as server:
        async with await Connection.open(context(server, ca=certificates.ca), name="test") as connection:
            restored: asyncio.Queue[int] = asyncio.Queue()
            connection.on_connected(restored.put_nowait)
            await asyncio.to_thread(server.restart)
            assert await restored.get() == 2
            await connection.api("INFO")
    assert not caplog.records


@pytest.mark.parametrize("key", ["ca", "cert"])
async def test_files_that_are_no_certificates_are_named(context: Context, tmp_path: Path, key: str) -> None:
    (tmp_path / "nonsense").write_text("nonsense")
    keys = {"cert": "~/nonsense", "key": "~/nonsense"} if key == "cert" else {key: "~/nonsense"}
    with TestServer.start() as server:
        with pytest.raises(UnusableCredentialsError, match=f"{tmp_path}/nonsense.*holds no certificate"):
            await works(context(server, **keys))
        with pytest.raises(UnusableCredentialsError, match="no such file or directory"):
            await works(context(server, ca="/nowhere/ca.pem"))


async def test_an_inbox_prefix_and_a_domain(context: Context) -> None:
    permissions = 'permissions: { subscribe: ["_INBOX_shop.>"] }'
    account = f"A: {{ jetstream: enabled, users: [{{ user: joe, password: pass, {permissions} }}] }}"
    extra = f"jetstream {{ domain: hub }}\naccounts {{ SYS: {{ users: [] }}, {account} }}\nsystem_account: SYS"
    with TestServer.start(extra, user_part="joe:pass") as server:
        address = context(server, inbox_prefix="_INBOX_shop", jetstream_domain="hub")
        async with await Connection.open(address, name="test") as connection:
            assert connection.api_prefix == "$JS.hub.API"
            assert connection.new_inbox().startswith("_INBOX_shop.")
            assert (await connection.api("INFO"))["domain"] == "hub"
