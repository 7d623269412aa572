"""
pages: a few small pages over HTTP, served from a thread, so that they answer while a handler blocks the event loop.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Generator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetq.errors import ListenError
from jetq.model.host_and_port import host_and_port

_PATIENCE: Final = 10.0
"""Seconds that a reader may take to say what it wants."""
_JSON: Final = "application/json"
_FAILED: Final = 503
_UNKNOWN: Final = 404
_DONE: Final = 200


class Page(Struct, frozen=True):
    """What a reader gets."""

    status: int
    kind: str
    body: bytes


Pages = Mapping[str, Callable[[], Page]]
"""What makes each page, by its path; called in any thread."""


def json_page(value: object, *, good: bool = True) -> Page:
    """Return a page of JSON; one that says that something is wrong says so by its status as well."""
    return Page(_DONE if good else _FAILED, _JSON, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def metrics_page(registry: Any = None) -> Page:
    """
    Return what a registry holds, for Prometheus.

    Args:
        registry: Of prometheus_client; None is its default one.
    """
    import prometheus_client  # noqa: PLC0415 - costs start-up time that not every process needs to pay

    kept: Any = registry or prometheus_client.REGISTRY
    return Page(_DONE, prometheus_client.CONTENT_TYPE_LATEST, prometheus_client.generate_latest(kept))


@contextlib.contextmanager
def serve_pages(host: str, port: int, pages: Pages) -> Generator[str, None, None]:
    """
    Serve pages for as long as the context lasts, and give their URL without a path.

    Args:
        host: Where to listen: a name or an address.
        port: 0 takes one that is free.
        pages: By their paths.

    Raises:
        ListenError: Nobody can listen there.
    """
    try:
        family, *_, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        address: Any = found
        server = _server_of(family)(address, _handler_of(pages))
    except OSError as error:
        raise ListenError(host_and_port(host, port), (error.strerror or str(error)).lower()) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="jetq-pages", daemon=True)
    thread.start()
    try:
        yield f"http://{host_and_port(host, server.server_address[1])}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server_of(family: socket.AddressFamily) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        address_family = family
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of a reader that went away."""

    return Server


def _handler_of(pages: Pages) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "jetq"
        sys_version = ""
        timeout = _PATIENCE

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            make = pages.get(self.path.partition("?")[0])
            page = make() if make is not None else Page(_UNKNOWN, _JSON, msgspec.json.encode({"pages": sorted(pages)}))
            self.send_response(page.status)
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            if with_body:
                self.wfile.write(page.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so named by http.server
            """Log no request."""

    return Handler
