"""What systemd is told, by a real socket of datagrams."""

import os
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetq.supervisor.notifying import Notifier

ABSTRACT = pytest.param("abstract", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has them"))


@pytest.fixture(params=["file", ABSTRACT])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Give a socket, and its address as systemd spells it."""
    name = f"jetq-{secrets.token_hex(8)}"
    address = str(tmp_path / "notify") if request.param == "file" else f"\0{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(5)
        yield listening, address.replace("\0", "@")


def heard(systemd: socket.socket) -> list[str]:
    return systemd.recv(4096).decode().split("\n")


def test_it_tells_every_stage(systemd: tuple[socket.socket, str]) -> None:
    listening, address = systemd
    notifier = Notifier({"NOTIFY_SOCKET": address})

    notifier.ready()
    assert heard(listening) == ["READY=1", f"MAINPID={os.getpid()}"]
    notifier.reloading()
    reloading, moment = heard(listening)
    assert (reloading, moment.startswith("MONOTONIC_USEC=")) == ("RELOADING=1", True)
    notifier.status("2 children")
    assert heard(listening) == ["STATUS=2 children"]
    notifier.stopping()
    assert heard(listening) == ["STOPPING=1"]


def test_a_sign_of_life_comes_twice_in_the_watchdogs_time(systemd: tuple[socket.socket, str]) -> None:
    listening, address = systemd
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())})

    assert notifier.watchdog == 10.0
    notifier.beat()
    notifier.beat()
    assert heard(listening) == ["WATCHDOG=1"]
    listening.setblocking(False)
    with pytest.raises(BlockingIOError):
        listening.recv(4096)


@pytest.mark.parametrize(
    "environ",
    [
        {"NOTIFY_SOCKET": "/x"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "20000000"},
    ],
    ids=["none", "zero", "no number", "another process", "no socket"],
)
def test_a_watchdog_that_is_not_ours_gets_no_sign(environ: dict[str, str]) -> None:
    assert Notifier(environ).watchdog is None


def test_children_do_not_speak_for_the_service() -> None:
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "OTHER": "3"}
    Notifier(environ)

    assert environ == {"OTHER": "3"}


def test_nobody_there_disturbs_nobody() -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": "/nowhere/at/all"}).ready()
