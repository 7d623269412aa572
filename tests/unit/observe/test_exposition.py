"""The page of metrics, as Prometheus gets it."""

import socket
import threading
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from jetq.errors import ListenError
from jetq.observe.exposition import serve_metrics


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own page
        assert answer.headers["Content-Type"].startswith("text/plain")
        return str(answer.read().decode())


def test_a_page_shows_a_registry_until_it_ends() -> None:
    registry = CollectorRegistry()
    Counter("x", "An x.", registry=registry).inc(3)
    before = threading.active_count()

    with serve_metrics("127.0.0.1", 0, registry) as url:
        assert url.startswith("http://127.0.0.1:")
        assert "x_total 3.0" in get(url)

    assert threading.active_count() == before
    with pytest.raises(OSError, match="refused"):
        get(url)


def test_a_page_is_of_the_default_registry() -> None:
    with serve_metrics("127.0.0.1", 0) as url:
        assert "python_info" in get(url)


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"cannot listen on 127.0.0.1:{port}: .*in use"):
            serve_metrics("127.0.0.1", port).__enter__()


def test_a_host_that_is_not_ours_is_named() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0"):
        serve_metrics("192.0.2.1", 0).__enter__()
    with pytest.raises(ListenError, match=r"no\.such\.host\.invalid:1"):
        serve_metrics("no.such.host.invalid", 1).__enter__()
