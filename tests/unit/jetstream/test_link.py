"""What a link relies on inside of nats-py: a version that changes it must not be taken for granted."""

import inspect

import nats.aio.client
import pytest
from nats.aio.client import Client
from nats.aio.transport import TcpTransport

from jetq.jetstream import link


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_select_next_server", []),
        ("_read_loop", []),
        ("_connect_command", []),
        ("_process_info", ["info", "initial_connection"]),
        ("_process_err", ["err_msg"]),
    ],
)
def test_what_a_link_overrides_is_still_there(name: str, parameters: list[str]) -> None:
    theirs, ours = getattr(Client, name), getattr(link._Client, name)

    assert list(inspect.signature(theirs).parameters) == ["self", *parameters]
    assert inspect.iscoroutinefunction(theirs) == inspect.iscoroutinefunction(ours)
    assert ours is not theirs


@pytest.mark.parametrize("name", ["_select_next_server", "_read_loop", "_connect_command", "_process_info"])
def test_nats_py_calls_what_a_link_overrides(name: str) -> None:
    source = inspect.getsource(nats.aio.client)

    assert f"self.{name}(" in source


def test_the_stream_below_is_still_there() -> None:
    transport = TcpTransport()  # type: ignore[no-untyped-call]

    assert transport._io_reader is None
    assert transport._bare_io_reader is None
    assert transport._io_writer is None
    assert transport._bare_io_writer is None
    assert list(inspect.signature(TcpTransport.connect).parameters) == ["self", "uri", "buffer_size", "connect_timeout"]
    assert list(inspect.signature(TcpTransport.connect_tls).parameters) == [
        "self",
        "uri",
        "ssl_context",
        "buffer_size",
        "connect_timeout",
    ]
