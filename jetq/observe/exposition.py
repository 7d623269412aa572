"""
exposition: metrics on a page that Prometheus reads.

prometheus_client serves it from a thread of its own, so it answers while a handler blocks the event loop too.
"""

import contextlib
from collections.abc import Generator
from typing import Any

from jetq.errors import ListenError
from jetq.model.host_and_port import host_and_port


@contextlib.contextmanager
def serve_metrics(host: str, port: int, registry: Any = None) -> Generator[str, None, None]:
    """
    Serve a registry for as long as the context lasts, and give the page's URL.

    Args:
        host: Where to listen: a name or an address.
        port: 0 takes one that is free.
        registry: Of prometheus_client; None is its default one.

    Raises:
        ListenError: Nobody can listen there.
    """
    import prometheus_client  # noqa: PLC0415 - costs start-up time that not every process needs to pay

    serve: Any = prometheus_client.start_http_server
    try:
        server, thread = serve(port, addr=host, registry=registry or prometheus_client.REGISTRY)
    except OSError as error:
        raise ListenError(host_and_port(host, port), (error.strerror or str(error)).lower()) from error
    try:
        yield f"http://{host_and_port(host, server.server_port)}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
