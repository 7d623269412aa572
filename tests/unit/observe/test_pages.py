"""Pages over HTTP, from a thread."""

import json
import socket
import urllib.error
import urllib.request

import pytest

from jetq.errors import ListenError
from jetq.observe.pages import json_page, metrics_page, serve_pages
from jetq.observe.summing import new_registry


def read(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own page
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_is_served_with_its_status(host: str) -> None:
    pages = {"/good": lambda: json_page({"a": 1}), "/bad": lambda: json_page({"a": 2}, good=False)}
    with serve_pages(host, 0, pages) as url:
        good, bad, query, unknown = (read(url + path) for path in ("/good", "/bad", "/good?now=1", "/other"))

    assert (good[0], json.loads(good[1])) == (200, {"a": 1})
    assert (bad[0], json.loads(bad[1])) == (503, {"a": 2})
    assert query == good
    assert (unknown[0], json.loads(unknown[1])) == (404, {"pages": ["/bad", "/good"]})


def test_metrics_are_served_for_prometheus() -> None:
    page = metrics_page(new_registry())

    assert (page.status, page.kind.partition(";")[0]) == (200, "text/plain")


def test_an_address_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ListenError, match="in use"):
        serve_pages("127.0.0.1", taken.getsockname()[1], {}).__enter__()


def test_a_host_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ListenError, match=r"nowhere\.invalid"):
        serve_pages("nowhere.invalid", 0, {}).__enter__()
