"""``jetq server run``: the HTTP API as a process, for programs in any language."""

import json
import re
import signal
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest
import trustme

from tests.acceptance.conftest import Start
from tests.acceptance.programs import Folder, Program

pytestmark = pytest.mark.timeout(120)
LOGS = ("--log-format", "json")
TOKEN = "a-token-of-some-length"  # noqa: S105 - of this test alone


def url_of(program: Program) -> str:
    program.await_line("api served")
    return str(program.events("api served")[0]["url"])


def call(
    url: str,
    method: str = "GET",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    said = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(url, data, {**said, **(headers or {})}, method=method)  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310 - as above
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    return status, json.loads(text) if text else None


def test_what_is_stored_over_http_is_what_the_command_line_sees(shop: Folder, start: Start) -> None:
    program = start(shop, "server", "run", "shop:app", "--listen", "0", *LOGS)
    url = url_of(program)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)

    ready, info = call(f"{url}/readyz"), call(f"{url}/v1/info")
    body = {"name": "sums", "schedule": "@hourly", "task_type": "add", "payload": {"a": 1, "b": 2}}
    stored = call(f"{url}/v1/schedules", "POST", body)
    made = call(f"{url}/v1/schedules/sums/run", "POST")
    worker = shop.run("worker", "shop:app", "--burst")
    listed = shop.run("cron", "list", "--json").json["schedules"]
    head = call(f"{url}/v1/schedules", "HEAD")
    shop.run("cron", "disable", "sums")
    disabled = call(f"{url}/v1/schedules/sums")

    assert (ready[0], info[1]["auth"]) == (200, "none")
    assert (stored[0], made[0], worker.status, head) == (201, 201, 0, (200, None))
    assert shop.run("tasks", "view", made[1]["id"], "--json").json["result"] == 3
    assert {**stored[1], "next": None} == {**listed[0], "next": None}
    assert disabled[1]["state"] == "disabled"
    assert program.stop() == 0
    assert "Traceback" not in program.output
    assert [line["event"] for line in map(json.loads, program.lines[:-1])][-1] == "server stopped"


def test_it_asks_for_the_token_where_other_machines_reach_it(shop: Folder, start: Start) -> None:
    (shop.path / "token").write_text(f"{TOKEN}\n")
    url = url_of(start(shop, "server", "run", "--listen", "0.0.0.0:0", "--token-file", "token", *LOGS))
    local = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - the test's own server
    in_environment = url_of(start(shop.using(JETQ_HTTP_TOKEN=TOKEN), "server", "run", "--listen", "0", *LOGS))

    for each in (local, in_environment):
        assert call(f"{each}/healthz")[0] == 200
        assert call(f"{each}/v1/schedules")[0] == 401
        assert call(f"{each}/v1/schedules", headers={"Authorization": f"Bearer {TOKEN}"}) == (200, {"schedules": []})
        assert call(f"{each}/v1/schedules", headers={"Authorization": f"Bearer {TOKEN}", "Host": "x"})[0] == 200


def test_what_is_not_safe_is_refused_before_it_listens(shop: Folder) -> None:
    ended = shop.run("server", "run", "--listen", "0.0.0.0:0")

    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("jetq: expected --listen to be an address that only this machine reaches")
    assert ended.err.count("\n") == 1


def test_who_says_so_may_open_it(shop: Folder, start: Start) -> None:
    url = url_of(start(shop, "server", "run", "--listen", "0.0.0.0:0", "--no-auth", *LOGS))
    local = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - as above

    assert call(f"{local}/v1/schedules", headers={"Host": "jobs.example"})[0] == 200


def test_a_port_that_is_taken_and_a_server_that_is_away_are_one_sentence(shop: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = shop.run("server", "run", "--listen", str(taken.getsockname()[1]))
    away = shop.using(JETQ_NATS_URL="nats://127.0.0.1:1").run("server", "run", "--listen", "0")

    assert (ended.status, away.status) == (1, 3)
    assert "address already in use; is another program there?" in ended.err
    assert "no connection to nats://127.0.0.1:1" in away.err
    assert "jetq worker --embedded start" in away.err  # this command has no such option
    assert "Traceback" not in ended.err + away.err


def test_without_its_extra_it_says_how_to_install_that(shop: Folder) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from jetq.cli.main import main; main()"

    ended = shop.run("server", "run", command=("-c", code))

    assert (ended.status, ended.out) == (2, "")
    assert ended.err == "jetq: jetq server needs packages that are not installed: pip install 'jetq-tasks[web]'\n"


def test_requests_that_it_has_come_to_their_ends_when_it_stops(shop: Folder, start: Start) -> None:
    program = start(shop, "server", "run", "--listen", "0", *LOGS)
    host, port = url_of(program).removeprefix("http://").split(":")
    body = b'{"name": "late", "schedule": "@hourly", "task_type": "add"}'
    head = f"POST /v1/schedules HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as begun:
        begun.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
        call(f"http://{host}:{port}/healthz")
        program.signal(signal.SIGTERM)
        program.await_line('"stop"')
        begun.sendall(body[10:])
        answered = begun.recv(10_000)

    assert answered.startswith(b"HTTP/1.1 201")
    assert program.await_end() == 0


def test_many_connections_that_say_nothing_do_not_keep_it(shop: Folder, start: Start) -> None:
    program = start(shop, "server", "run", "--listen", "0", *LOGS)
    host, port = url_of(program).removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(50)]
    try:
        assert call(f"http://{host}:{port}/readyz")[0] == 200
        assert program.stop() == 0
    finally:
        for connection in silent:
            connection.close()


def test_it_serves_https(shop: Folder, start: Start) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(shop.path / "key.pem"))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(shop.path / "cert.pem"), append=True)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    url = url_of(start(shop, "server", "run", "--listen", "0", "--tls-cert", "cert.pem", "--tls-key", "key.pem", *LOGS))

    assert url.startswith("https://")
    assert call(f"{url}/v1/schedules", context=trusting) == (200, {"schedules": []})
