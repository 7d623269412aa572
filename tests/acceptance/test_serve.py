"""``jetq serve``: the handlers of one program run for the worker of another one."""

import json
import signal
import urllib.request

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.programs import Folder

pytestmark = pytest.mark.timeout(120)

CALLER = """
from jetq import App, Queue

app = App("caller", queues=[Queue("DEFAULT", lease=2)])
app.remote("*", timeout=60)
"""


@pytest.fixture
def both(shop: Folder) -> Folder:
    """Give a folder with an application that answers, and one that asks."""
    (shop.path / "caller.py").write_text(CALLER)
    return shop


def test_a_server_answers_and_drains_at_a_signal(both: Folder, start: Start) -> None:
    options = ("--log-format", "json", "--log-level", "debug")
    server = start(both, "serve", "shop:app", "--metrics", "0", "--health", "0", *options)
    worker = start(both, "worker", "caller:app", *options)
    server.await_line("server of remote handlers started")
    worker.await_line("worker started")
    both.run("tasks", "add", "wait-for", '{"path":"go"}', "--id", "T1")
    both.run("tasks", "add", "fail", "--id", "T2", "--max-tries", "1")
    server.await_line("request answered.*T2")

    [started] = server.events("server of remote handlers started")
    assert (started["service"], started["group"]) == ("shop", "jetq-shop")
    url = server.events("metrics served")[0]["url"]
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own page
        page = answer.read().decode()
    assert "jetq_requests_running 1.0" in page
    assert 'jetq_connection_up{connection="responder"} 1.0' in page
    assert 'jetq_requests_answered_total{outcome="failed",type="fail"} 1.0' in page
    health = server.events("health served")[0]["url"]
    with urllib.request.urlopen(f"{health}/readyz", timeout=10) as answer:  # noqa: S310 - our own page
        assert json.loads(answer.read())["state"] == "working"

    server.signal(signal.SIGTERM)
    server.await_line("server of remote handlers stops")
    (both.path / "go").touch()
    assert server.await_end() == 0
    worker.await_line("task succeeded.*T1")
    assert worker.stop() == 0
    assert server.events("server of remote handlers stopped")[0]["interrupted"] == 0
    failed = both.run("tasks", "view", "T2", "--json").json["record"]
    assert failed["error"]["type"] == "ValueError"
    assert 'raise ValueError("no luck")' in failed["error"]["traceback"]


def test_what_cannot_serve_is_told_in_a_sentence(both: Folder) -> None:
    remote_alone = both.run("serve", "caller:app")
    assert (remote_alone.status, remote_alone.out) == (2, "")
    assert "cannot load 'caller': it has no handlers that could answer" in remote_alone.err

    bad_name = both.run("serve", "shop:app", "--endpoint", "a.b")
    assert bad_name.status == 2
    assert "a.b" in bad_name.err
    assert "Traceback" not in remote_alone.err + bad_name.err


def test_a_server_without_a_connection_ends_with_its_own_status(both: Folder) -> None:
    nowhere = both.using(JETQ_NATS_URL="nats://127.0.0.1:1").run("serve", "shop:app")
    assert nowhere.status == 3
    assert "Traceback" not in nowhere.err
