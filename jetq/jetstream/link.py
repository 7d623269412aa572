"""
link: one nats-py client and its one TCP connection, from dialling to its end.

nats-py connects, secures, logs in, reads and parses, and notices an end. It does not reconnect: a link that ends stays
ended, and `connection` dials a new one. So nothing survives an end by accident (nats-py keeps what was published
while it was disconnected and sends it later, when nobody waits for it any more), and whatever makes nats-py give up
for good, such as any ``-ERR`` of the server, is an end like another.

Two ways around nats-py, for speed: what we send is written to its socket as finished bytes of the protocol, and the
messages that come are taken out before it reads (`framing`), without a queue and a task for each subscription. Both
keep the order.
"""

import asyncio
import errno
import ssl
from typing import Any, Final, Protocol
from urllib.parse import ParseResult

import nats.errors
from nats.aio.client import Client
from nats.aio.transport import TcpTransport

from jetq.jetstream.address import Address, ServerUrl
from jetq.jetstream.framing import FrameReader, OnMessage

PING_INTERVAL: Final = 15
"""Seconds between two pings; an end that the network does not tell is noticed after two without an answer."""
_CLOSE_TIMEOUT: Final = 1.0
_READ_LIMIT: Final = 64 * 1024


class LinkOwner(Protocol):
    """Who hears from a link. Nothing here may raise: it would end nats-py's reading."""

    @property
    def on_message(self) -> OnMessage:
        """What takes a message; asked once, when a link is dialled."""
        ...

    def on_denied(self, text: str) -> None:
        """Hear that the server does not permit something, in its words but in lower case."""

    def on_end(self, link: "Link", reason: str) -> None:
        """Hear that the link ended, once, and not because it was closed."""


class _Transport(TcpTransport):
    """nats-py's TCP or TLS stream, with what is below it."""

    def __init__(self, on_message: OnMessage) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped
        self._on_message = on_message
        self._reader: FrameReader | None = None

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: float) -> None:
        """Connect as nats-py does, but read with a reader of our own."""
        loop, reader = asyncio.get_running_loop(), FrameReader(buffer_size, self._on_message)
        protocol = asyncio.StreamReaderProtocol(reader)
        async with asyncio.timeout(connect_timeout):
            transport, _ = await loop.create_connection(lambda: protocol, uri.hostname or "", uri.port or 0)
        self._bare_io_reader = self._io_reader = self._reader = reader
        self._bare_io_writer = self._io_writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    def deafen(self) -> None:
        """Hand over no more messages."""
        if self._reader is not None:
            self._reader.on_message = None

    @property
    def socket(self) -> asyncio.WriteTransport | None:
        return None if self._io_writer is None else self._io_writer.transport

    async def connect_tls(
        self, uri: Any, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: float
    ) -> None:
        """Go over to TLS, as nats-py does, but with a protocol that knows of it: else asyncio warns at every end."""
        if self._io_writer is None:
            raise nats.errors.ConnectionClosedError
        loop = asyncio.get_running_loop()
        reader = self._reader = FrameReader(buffer_size, self._on_message)
        protocol = _TlsProtocol(reader)
        name = uri if isinstance(uri, str) else uri.hostname
        async with asyncio.timeout(connect_timeout):
            transport = await loop.start_tls(self._io_writer.transport, protocol, ssl_context, server_hostname=name)
        if transport is None:
            raise nats.errors.SecureConnFailedError
        self._io_reader, self._io_writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def abort(self) -> None:
        """Close what is open, at once."""
        for writer in (self._io_writer, self._bare_io_writer):
            if writer is not None:
                writer.transport.abort()


class _TlsProtocol(asyncio.StreamReaderProtocol):
    def eof_received(self) -> bool:
        super().eof_received()
        return False


class _Client(Client):
    """nats-py's client with its messages and errors led to a link."""

    def __init__(self, link: "Link", *, wants_tls: bool) -> None:
        super().__init__()
        self._link = link
        self._wants_tls = wants_tls

    async def _select_next_server(self) -> None:
        """Dial once: nats-py would try for minutes."""
        server = self._server_pool[0]
        transport = self._transport = _Transport(self._link.owner.on_message)
        await transport.connect(server.uri, _READ_LIMIT, self.options["connect_timeout"])
        self._current_server = server

    async def _read_loop(self) -> None:
        try:
            await super()._read_loop()
        finally:
            self._link.end("nats-py stopped reading" if self.last_error is None else _describe(self.last_error))

    @property
    def socket(self) -> asyncio.WriteTransport | None:
        return self._transport.socket if isinstance(self._transport, _Transport) else None

    def deafen(self) -> None:
        if isinstance(self._transport, _Transport):
            self._transport.deafen()

    def abort(self) -> None:
        if isinstance(self._transport, _Transport):
            self._transport.abort()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Use TLS also where the server leaves it open."""
        if self._wants_tls and info.get("tls_available"):
            info["tls_required"] = True
        self._link.info |= info
        await super()._process_info(info, initial_connection)

    def _connect_command(self) -> bytes:
        """Refuse to say who we are in the clear when TLS is wanted: nats-py would."""
        if self._wants_tls and not self._server_info.get("tls_required"):
            raise nats.errors.SecureConnWantedError
        return super()._connect_command()

    async def _process_err(self, err_msg: str) -> None:
        text = err_msg.strip("'")
        if "permissions violation" in text:
            self._link.owner.on_denied(text)
        else:
            self._link.end(text)


class Link:
    """
    A connection to one server. Make one with :meth:`dial`.

    Attributes:
        server: Where it leads.
        info: What the server said about itself, and last about its cluster.
        is_over: Whether it ended or was closed.
    """

    def __init__(self, server: ServerUrl, owner: LinkOwner, *, wants_tls: bool) -> None:
        self.server = server
        self.owner = owner
        self.info: dict[str, Any] = {}
        self._client = _Client(self, wants_tls=wants_tls)
        self._socket: asyncio.WriteTransport | None = None
        self._last_error: Exception | None = None
        self._has_begun = False
        self.is_over = False

    @classmethod
    async def dial(
        cls,
        server: ServerUrl,
        address: Address,
        owner: LinkOwner,
        *,
        name: str,
        timeout: float,
        ping_interval: float = PING_INTERVAL,
    ) -> "Link":
        """
        Connect to a server and log in.

        Args:
            server: One of the address's, or one that a server of its cluster told of.
            address: Who we are there, and how to secure the connection.
            owner: Who hears from the link.
            name: Of the connection, as the server's monitoring shows it.
            timeout: Seconds.
            ping_interval: Seconds between two pings.

        Raises:
            TimeoutError, OSError, nats.errors.Error: As nats-py says it; see `faults.failure_of`.
            UnusableCredentialsError: A secret or certificate cannot be read.
        """
        link = cls(server, owner, wants_tls=address.tls is not None)
        options = (server.credentials or address.credentials).options() | {"ping_interval": ping_interval}
        if address.tls is not None:
            options["tls"] = address.tls.context()
            options["tls_handshake_first"] = address.tls.first
        if server.tls_name:
            options["tls_hostname"] = server.tls_name
        try:
            async with asyncio.timeout(timeout):
                await link._connect(name, timeout, address.inbox_prefix, options)
        except BaseException as error:
            await link.close()
            if isinstance(error, OSError) and link.info.get("tls_verify") and not (address.tls and address.tls.cert):
                raise nats.errors.SecureConnRequiredError from None
            raise
        return link

    async def _connect(self, name: str, timeout: float, inbox_prefix: str, options: dict[str, Any]) -> None:
        client = self._client
        await client.connect(
            [str(self.server)],
            name=name,
            error_cb=self._on_error,
            closed_cb=self._on_closed,
            allow_reconnect=False,
            connect_timeout=timeout,  # type: ignore[arg-type]  # nats-py takes any number
            inbox_prefix=inbox_prefix,
            **options,
        )
        self._has_begun = True  # from here on there are tasks, which only nats-py can end
        if not client.is_connected or self.is_over:
            raise self._last_error or nats.errors.ConnectionClosedError
        self._socket = client.socket

    async def _on_error(self, error: Exception) -> None:
        self._last_error = error

    async def _on_closed(self) -> None:
        self.end(_describe(self._last_error or self._client.last_error))

    def end(self, reason: str) -> None:
        """Tell the owner, the first time, that the link ended."""
        if not self.is_over:
            self._stop()
            self.owner.on_end(self, reason)

    def _stop(self) -> None:
        self.is_over = True
        self._client.deafen()

    def write(self, data: bytes) -> None:
        """Send bytes of the protocol, behind all others. Never blocks."""
        if self._socket is not None and not self._socket.is_closing():
            self._socket.write(data)

    @property
    def buffered(self) -> int:
        """Bytes that the system has not taken yet."""
        return 0 if self._socket is None else self._socket.get_write_buffer_size()

    async def close(self) -> None:
        """Send what is buffered, within a second, and close. The owner is not told. Idempotent."""
        self._stop()
        try:
            if self._has_begun:
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await self._client.close()
        except (TimeoutError, OSError, nats.errors.Error):
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once. The owner is not told. Idempotent."""
        self._stop()
        self._client.abort()


def _describe(error: Exception | None) -> str:
    """Say why a link ended."""
    if error is None or isinstance(error, nats.errors.UnexpectedEOF):
        return "the server closed the connection"
    if isinstance(error, nats.errors.StaleConnectionError):
        return "no answer to pings"
    if isinstance(error, OSError) and error.errno:
        return "the connection was reset" if error.errno == errno.ECONNRESET else str(error.strerror).lower()
    return str(error).removeprefix("nats: ")
