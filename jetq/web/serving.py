"""
serving: ``jetq server run``: the HTTP API as a process of its own, from its settings to its exit.

It listens before it connects, so a port that is taken is told at once, and connects before it answers. At TERM or INT
it takes no more connections, lets the requests that it has come to their ends, and closes. uvicorn does that; the
signals are ours, since uvicorn's end the process by the signal itself.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Collection, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from jetq.app.application import App
from jetq.errors import InvalidSettingError, ListenError, UnusableCredentialsError
from jetq.model.host_and_port import host_and_port
from jetq.observe.logs import EventLog, Log
from jetq.runtime.stopping import obeying
from jetq.runtime.worker_process import Place, UvloopChoice, log_address, loop_factory
from jetq.web.api import http_api
from jetq.web.guard import check_token, is_loopback

LISTEN: Final = ("127.0.0.1", 8080)
"""Host and port, as in asyncjobs."""
_BACKLOG: Final = 2048
_GRACE: Final = 25
"""Seconds in which requests may come to their ends, as those of a worker's tasks."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """
    Where the API is, and who may call it.

    Attributes:
        listen: Host and port; 0 takes one that is free.
        token: What callers must show; None lets in whoever reaches it.
        no_auth: Said by somebody who wants that where other machines reach it.
        allowed_hosts: Names of this server in ``Host`` headers, beside those of this machine.
        certificate, key: Files for TLS, in PEM; None for none.
        makes_default: Callers may create the default queue.
    """

    listen: tuple[str, int] = LISTEN
    token: str | None = None
    no_auth: bool = False
    allowed_hosts: Collection[str] = ()
    certificate: Path | None = None
    key: Path | None = None
    makes_default: bool = False

    def __post_init__(self) -> None:
        """Refuse what is open without somebody having said so, or contradicts itself."""
        if self.token is not None:
            check_token("token", self.token)
            if self.no_auth:
                raise InvalidSettingError("--no-auth", value=True, wanted="absent where there is a token")
        self.check_address(self.listen[0])
        if (self.certificate is None) is not (self.key is None):
            raise InvalidSettingError("--tls-cert", str(self.certificate), "given together with --tls-key")

    def check_address(self, host: str) -> None:
        """
        Refuse an address that others reach, if anybody could call there and nobody said so.

        Asked again when a name has become an address: there are machines where a name below ``localhost`` leads away.

        Raises:
            InvalidSettingError: It is one.
        """
        if self.token is None and not self.no_auth and not is_loopback(host):
            wanted = (
                "an address that only this machine reaches, such as 127.0.0.1:8080, as long as there is no token "
                "(--token-file or JETQ_HTTP_TOKEN; --no-auth opens it to everybody who reaches it)"
            )
            raise InvalidSettingError("--listen", host_and_port(host, self.listen[1]), wanted)

    def check_certificate(self) -> None:
        """
        Refuse files that are no certificate with its key.

        Raises:
            UnusableCredentialsError: They are none, or cannot be read.
        """
        if self.certificate is None or self.key is None:
            return
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.certificate, self.key, lambda: "")
        except OSError as error:
            why = str(error) if isinstance(error, ssl.SSLError) else _reason(error)
            raise UnusableCredentialsError(f"{self.certificate} and {self.key}", why) from None

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.listen[0])


def read_token(path: Path) -> str:
    """
    Read a token from its file; white space around it does not count.

    Raises:
        InvalidSettingError: It cannot be read, or used.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = _reason(error) if isinstance(error, OSError) else "it is no text in ASCII"
        raise InvalidSettingError("--token-file", str(path), f"a file with a token ({why})") from None
    return check_token("--token-file", token)


def run_server(app: App, access: Access, *, place: Place, uvloop: UvloopChoice = "auto") -> None:
    """
    Serve the HTTP API until TERM or INT. In the main thread.

    Args:
        app: Whose server and namespace it is.
        access: Where it is, and who may call it.
        place: Which server and namespace.
        uvloop: ``auto`` uses it where it is installed.

    Raises:
        ListenError: Nobody can listen there.
        ServerError: No connection, or the streams are not as they must be.
        ConfigurationError: Something cannot be used.
    """
    place.settle(app)
    app.load()
    access.check_certificate()
    log = Log("jetq.web")
    forget = app.bus.listen(EventLog("jetq.web"))
    try:
        log_address(log, app)
        api = http_api(
            app,
            token=access.token,
            allowed_hosts=access.allowed_hosts,
            local=access.is_local and access.token is None,
            makes_default=access.makes_default,
        )
        config = uvicorn.Config(
            api,
            log_config=None,
            log_level="warning",  # what it does is said by us
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=access.certificate,
            ssl_keyfile=access.key,
        )
        with _listening(access) as found, asyncio.Runner(loop_factory=loop_factory(uvloop)) as runner:
            runner.run(_serve(app, _Server(config), found, access, log))
    finally:
        forget()


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.contextmanager
def _listening(access: Access) -> Generator[socket.socket, None, None]:
    (host, port), shown = access.listen, host_and_port(*access.listen)
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ListenError(shown, _reason(error)) from error
    with found:
        access.check_address(found.getsockname()[0])
        yield found


def _reason(error: OSError) -> str:
    """Say why an address or a file cannot be had, without its name, which create_server adds: the sentence has it."""
    text = error.strerror or str(error)
    return text.partition(" (while ")[0].lower()


async def _serve(app: App, server: uvicorn.Server, found: socket.socket, access: Access, log: Log) -> None:
    def stop() -> None:
        server.should_exit = True

    def stop_at_once() -> None:
        server.should_exit = server.force_exit = True

    with obeying(log, stop, stop_at_once):
        async with app:
            url = f"{'http' if access.certificate is None else 'https'}://{host_and_port(*found.getsockname()[:2])}"
            log.info("api served", url=url, auth="none" if access.token is None else "token")
            await server.serve(sockets=[found])
    log.info("server stopped")
