"""Where the server is: the nearest answer wins."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jetq.errors import InvalidSettingError, NatsContextError
from jetq.jetstream.address import Address, ServerUrl, find_address
from jetq.settings import ConnectionSettings


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Give an environment with three contexts, one of them selected."""
    folder = tmp_path / "nats" / "context"
    folder.mkdir(parents=True)
    for name in ("one", "two", "three"):
        (folder / f"{name}.json").write_text(json.dumps({"url": f"nats://{name}:4222"}))
    (tmp_path / "nats" / "context.txt").write_text("three\n")
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def announce(folder: Path, pid: int, url: str = "nats://secret@127.0.0.1:5555") -> None:
    (folder / ".jetq").mkdir()
    (folder / ".jetq" / "server.json").write_text(json.dumps({"url": url, "pid": pid, "store": None}))


def test_the_order_of_answers(environ: dict[str, str], tmp_path: Path) -> None:
    announce(tmp_path, os.getpid())
    variables = {
        "JETQ_CONTEXT": "one",
        "JETQ_NATS_URL": "nats://jetq-url:4222",
        "NATS_CONTEXT": "two",
        "NATS_URL": "nats://nats-url:4222",
    }
    found = [str(find_address(ConnectionSettings(servers="given"), environ=environ | variables, folder=tmp_path))]
    found.append(str(find_address(ConnectionSettings(context="two"), environ=environ | variables, folder=tmp_path)))
    for variable in tuple(variables):
        found.append(str(find_address(ConnectionSettings(), environ=environ | variables, folder=tmp_path)))
        del variables[variable]
    found.append(str(find_address(ConnectionSettings(), environ=environ, folder=tmp_path)))
    found.append(str(find_address(ConnectionSettings(), environ=environ, folder=tmp_path / "nats")))
    found.append(str(find_address(ConnectionSettings(), environ=environ, folder=tmp_path / "nats", use_selected=False)))

    assert found == [
        "nats://given:4222 (as given)",
        "nats://two:4222 (NATS context 'two')",
        "nats://one:4222 (NATS context 'one', from JETQ_CONTEXT)",
        "nats://jetq-url:4222 (JETQ_NATS_URL)",
        "nats://two:4222 (NATS context 'two', from NATS_CONTEXT)",
        "nats://nats-url:4222 (NATS_URL)",
        f"nats://127.0.0.1:5555 ({tmp_path}/.jetq/server.json)",
        "nats://three:4222 (the selected NATS context 'three')",
        "nats://127.0.0.1:4222 (the default)",
    ]


def test_an_embedded_server_that_is_gone_is_not_an_answer(tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    announce(tmp_path, int(gone.stdout))

    found = find_address(ConnectionSettings(), environ={"XDG_CONFIG_HOME": str(tmp_path)}, folder=tmp_path)

    assert found.source == "the default"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 1, "pid": 1}', '{"pid": 1}'])
def test_a_broken_announcement_is_not_an_answer(tmp_path: Path, content: str) -> None:
    (tmp_path / ".jetq").mkdir()
    (tmp_path / ".jetq" / "server.json").write_text(content)

    found = find_address(ConnectionSettings(), environ={"XDG_CONFIG_HOME": str(tmp_path)}, folder=tmp_path)

    assert found.source == "the default"


def test_a_selected_context_that_is_missing_is_an_error(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "nats" / "context.txt").write_text("gone")

    with pytest.raises(NatsContextError, match=r"'gone'.*known: one, three, two"):
        find_address(ConnectionSettings(), environ=environ, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host", ServerUrl("nats", "host", 4222)),
        ("host:1", ServerUrl("nats", "host", 1)),
        ("nats://host", ServerUrl("nats", "host", 4222)),
        ("tls://host:443/", ServerUrl("tls", "host", 443)),
        ("nats://[::1]:4", ServerUrl("nats", "::1", 4)),
    ],
)
def test_urls_are_read(text: str, expected: ServerUrl) -> None:
    assert ServerUrl.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", ",", "http://host", "ws://host", "nats://", "nats://host:port", "nats://h:1/path", "nats://[::1"]
)
def test_what_is_no_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidSettingError, match="expected NATS_URL to be NATS URLs") as refused:
        Address.of(text, setting="NATS_URL")
    assert "host:port" not in str(refused.value).replace("nats://host:4222", "")


def test_credentials_of_urls_are_decoded_and_do_not_show() -> None:
    address = Address.of("nats://joe:p%40ss@a:1,nats://t0ken@b:2,tls://c")

    assert [server.credentials and server.credentials.options() for server in address.servers] == [
        {"user": "joe", "password": "p@ss"},
        {"token": "t0ken"},
        None,
    ]
    assert str(address) == "nats://a:1,nats://b:2,tls://c:4222 (given)"
    for shown in (str(address), repr(address), repr(address.servers), repr(address.servers[0].credentials)):
        assert "p@ss" not in shown
        assert "p%40ss" not in shown
        assert "t0ken" not in shown


def test_one_tls_url_asks_for_tls() -> None:
    assert Address.of("nats://a,tls://b").tls is not None
    assert Address.of("nats://a").tls is None
