"""``jetq worker``: it runs what others add, and every way to stop it leaves the tasks in order."""

import json
import re
import signal
import time
from pathlib import Path

import pytest

from jetq import App
from jetq.jetstream.server import EmbeddedServer
from jetq.runtime.collecting import YOUNG
from tests.acceptance.conftest import Start
from tests.acceptance.programs import Folder, Program
from tests.servers import TestServer

pytestmark = pytest.mark.timeout(120)  # a dozen programs start, on whatever machine

STARTED = "worker started"
TASK_STARTED = "task started"
TASKS = 1000


def worker(start: Start, shop: Folder, *options: str) -> Program:
    program = start(shop, "worker", "shop:app", "--log-level", "debug", "--log-format", "json", *options)
    program.await_line(STARTED)
    return program


def task(shop: Folder, task_id: str) -> dict[str, object]:
    viewed = shop.run("tasks", "view", task_id, "--json")
    assert viewed.status == 0, viewed.err
    record: dict[str, object] = viewed.json["record"]
    return record


def test_a_task_that_the_command_line_adds_is_run(start: Start, shop: Folder) -> None:
    running = worker(start, shop)

    added = shop.run("tasks", "add", "add", '{"a": 1, "b": 2}', "--wait")

    assert (added.status, added.out) == (0, "3\n"), added.err
    assert running.stop() == 0


def test_the_first_line_says_where_it_connects_and_the_last_what_was_released(
    start: Start, shop: Folder, namespace: str
) -> None:
    running = worker(start, shop)
    running.stop()

    first, last = (json.loads(running.lines[number]) for number in (0, -2))
    assert (first["event"], first["source"], first["namespace"]) == ("connecting", "JETQ_NATS_URL", namespace)
    assert (last["event"], last["released"]) == ("worker stopped", 0)


def test_no_secret_is_in_the_log(start: Start, shop: Folder, server: EmbeddedServer) -> None:
    running = worker(start, shop)
    running.stop()

    token = server.url.partition("://")[2].partition("@")[0]
    assert len(token) > 10
    assert token not in running.output


def test_burst_ends_when_the_queues_are_empty(shop: Folder) -> None:
    for number in range(3):
        shop.run("tasks", "add", "mark", f'{{"number": {number}}}')

    ended = shop.run("worker", "shop", "--burst")

    assert ended.status == 0, ended.err
    listed = shop.run("tasks", "list", "--json").json["tasks"]
    assert [entry["state"] for entry in listed] == ["complete"] * 3


def test_it_serves_the_queues_that_it_is_told_to(shop: Folder) -> None:
    shop.run("tasks", "add", "mark", '{"number": 1}', "--id", "default-1")
    shop.run("tasks", "add", "mark", '{"number": 2}', "--id", "slow-1", "--queue", "SLOW")
    shop.run("tasks", "add", "mark", '{"number": 3}', "--id", "other-1", "--queue", "OTHER")

    assert shop.using(JETQ_QUEUES="SLOW,OTHER").run("worker", "shop", "--burst").status == 0
    assert [task(shop, name)["state"] for name in ("default-1", "slow-1", "other-1")] == ["new", "complete", "complete"]
    assert shop.run("worker", "shop", "--burst", "-Q", "DEFAULT", "-Q", "SLOW").status == 0
    assert task(shop, "default-1")["state"] == "complete"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_task_may_end_before_the_worker_does(number: signal.Signals, start: Start, shop: Folder) -> None:
    running = worker(start, shop)
    shop.run("tasks", "add", "wait-for", '{"path": "door"}', "--id", "waiting")
    running.await_line(TASK_STARTED)

    running.signal(number)
    running.await_line("worker stopping")
    (shop.path / "door").touch()

    assert running.await_end() == 0
    assert running.events("worker stopped")[0]["released"] == 0
    assert (task(shop, "waiting")["state"], task(shop, "waiting")["tries"]) == ("complete", 1)


def test_a_task_that_outlives_the_shutdown_goes_elsewhere_at_no_cost(start: Start, shop: Folder) -> None:
    running = worker(start, shop, "--shutdown-timeout", "200ms")
    shop.run("tasks", "add", "wait-for", '{"path": "door"}', "--id", "waiting")
    running.await_line(TASK_STARTED)

    assert running.stop() == 0
    assert running.events("worker stopped")[0]["released"] == 1
    assert task(shop, "waiting")["tries"] == 0
    (shop.path / "door").touch()
    assert shop.run("worker", "shop", "--burst").status == 0
    assert (task(shop, "waiting")["state"], task(shop, "waiting")["tries"]) == ("complete", 1)


def test_a_second_signal_stops_running_tasks_at_once(start: Start, shop: Folder) -> None:
    running = worker(start, shop, "--shutdown-timeout", "1h")
    shop.run("tasks", "add", "wait-for", '{"path": "door"}', "--id", "waiting")
    running.await_line(TASK_STARTED)

    running.signal(signal.SIGTERM)
    running.await_line("worker stopping")
    running.signal(signal.SIGTERM)

    assert running.await_end() == 0
    assert running.events("worker stopped")[0]["released"] == 1
    assert task(shop, "waiting")["tries"] == 0


@pytest.mark.parametrize("uvloop", ["auto", "off"])
def test_a_third_signal_ends_even_a_worker_whose_loop_is_blocked(uvloop: str, start: Start, shop: Folder) -> None:
    running = worker(start, shop, "--uvloop", uvloop)
    shop.run("tasks", "add", "block")
    running.await_line(TASK_STARTED)

    for _ in range(2):
        running.signal(signal.SIGTERM)
        time.sleep(0.2)  # two signals at once are one to the system
        assert running.process.poll() is None
    running.signal(signal.SIGTERM)

    assert running.await_end() == 1


async def test_a_thousand_tasks_outlive_a_killed_worker(
    start: Start, shop: Folder, server: EmbeddedServer, namespace: str
) -> None:
    async with App("producer", servers=server.url, namespace=namespace) as app:
        await app.aenqueue_many(("mark", {"number": number}) for number in range(TASKS))
    marks = shop.path / "marks"
    killed = worker(start, shop)
    while not marks.exists() or len(marks.read_bytes().split()) < TASKS // 5:
        time.sleep(0.005)  # noqa: ASYNC251 - nothing else happens here
    killed.kill()
    done = len(marks.read_bytes().split())

    ended = shop.run("worker", "shop", "--burst", "--log-format", "json")

    assert ended.status == 0, ended.err
    assert done < TASKS
    listed = shop.run("tasks", "list", "--limit", "0", "--json").json["tasks"]
    assert [entry["state"] for entry in listed] == ["complete"] * TASKS
    assert {int(number) for number in marks.read_bytes().split()} == set(range(TASKS))
    assert "task taken over from a dead worker" in ended.err


def test_a_handlers_lines_carry_its_names(start: Start, shop: Folder) -> None:
    text = (shop.path / "shop.py").read_text()
    (shop.path / "shop.py").write_text(
        f"import logging, structlog\n{text}\n"
        "@app.task('talk')\n"
        "def talk(ctx: Context) -> None:\n"
        "    logging.getLogger('shop').warning('by logging')\n"
        "    structlog.get_logger().warning('by structlog')\n"
        "    ctx.logger.warning('by the context')\n"
    )
    running = worker(start, shop)
    added = shop.run("tasks", "add", "talk", "--wait", "--json")
    running.stop()

    assert added.status == 0, added.err
    for event in ("by logging", "by structlog", "by the context"):
        [line] = running.events(event)
        names = (line["task_id"], line["task_type"], line["queue"], line["attempt"])
        assert names == (added.json["id"], "talk", "DEFAULT", 1)
        assert line["worker"] == running.events(STARTED)[0]["worker"]


def test_an_applications_own_logging_is_left_alone(shop: Folder) -> None:
    text = (shop.path / "shop.py").read_text()
    (shop.path / "shop.py").write_text(
        f"import logging\nlogging.basicConfig(level='INFO', format='OWN %(message)s')\n{text}"
    )

    ended = shop.run("worker", "shop", "--burst")

    assert ended.status == 0
    assert all(line.startswith("OWN ") for line in ended.err.splitlines())
    assert "OWN worker started worker=" in ended.err


def test_an_embedded_server_is_found_by_other_programs_of_the_folder(start: Start, folder: Folder) -> None:
    running = worker(start, folder, "--embedded")
    announcement = folder.path / ".jetq" / "server.json"

    assert announcement.stat().st_mode & 0o777 == 0o600
    added = folder.run("tasks", "add", "add", '{"a": 1, "b": 2}', "--wait")
    assert (added.status, added.out) == (0, "3\n"), added.err
    assert running.stop() == 0
    assert not announcement.exists()


def test_an_embedded_server_keeps_a_store_that_is_named(folder: Folder) -> None:
    for _ in range(2):
        ended = folder.run("worker", "shop", "--embedded", "--store", "kept", "--burst")
        assert ended.status == 0, ended.err

    assert (folder.path / "kept" / "jetstream").is_dir()


BAD_APPS = {
    "dup": "from jetq import App\napp = App('x')\n"
    "@app.task('a')\ndef one() -> None: ...\n@app.task('a')\ndef two() -> None: ...",
    "unnamed": "from jetq import App\napp = App('x')\n@app.task('')\ndef one() -> None: ...",
    "boom": "def dig() -> None:\n    raise KeyError('nope')\ndig()",
}

BAD_INPUT = [
    (["worker"], 2, "Missing argument 'MODULE:APP'"),
    (["worker", "nowhere:app"], 2, "cannot load 'nowhere:app': there is no module 'nowhere' in "),
    (["worker", "shop:ap"], 2, "shop has no attribute 'ap'; did you mean shop:app"),
    (["worker", "shop:add"], 2, "add is a Task, not an App"),
    (["worker", "shop", "-c", "0"], 2, "expected concurrency to be a whole number of at least 1, got: 0"),
    (["worker", "shop", "-c", "many"], 2, "Invalid value for '--concurrency'"),
    (["worker", "shop", "-Q", "a.b"], 2, "'a.b' is not a legal queue"),
    (["worker", "shop", "--log-level", "loud"], 2, "expected --log-level to be one of debug, info"),
    (["worker", "shop", "--log-format", "xml"], 2, "expected --log-format to be one of auto, console, json"),
    (["worker", "shop", "--shutdown-timeout", "soon"], 2, "expected --shutdown-timeout to be a duration"),
    (["worker", "shop", "--namespace", "a.b"], 2, "'a.b' is not a legal namespace"),
    (["worker", "shop", "--context", "nope"], 2, "NATS context 'nope'"),
    (["worker", "shop", "--servers", "http://x"], 2, "expected servers to be NATS URLs"),
    (["worker", "shop", "--embedded", "--servers", "nats://x"], 2, "expected embedded to be off when servers"),
    (["worker", "shop", "--store", "x"], 2, "expected store to be absent without embedded"),
    (["worker", "shop", "--uvloop", "maybe"], 2, "expected --uvloop to be one of auto, on, off"),
    (["worker", "shop", "--servers", "nats://127.0.0.1:1"], 3, "no connection to nats://127.0.0.1:1"),
    (["worker", "shop", "--strict"], 2, "expected strict to be off, or with the queues named in their order"),
    (["worker", "shop", "--strict", "-Q", "A:6,B"], 2, "expected strict to be off with weights"),
    (["worker", "shop", "-Q", "A:0"], 2, "expected the weight of A to be a whole number from 1 to 1000"),
    (["worker", "shop", "-Q", "A:1,A:2"], 2, "expected --queues to be each queue once"),
    (["worker", "shop", "--exclude", "NONE"], 2, "expected exclude to be a queue that would be served"),
    (["worker", "shop", "--health", "here"], 2, "expected --health to be a port"),
    (["work"], 2, "No such command 'work'"),
]


@pytest.mark.parametrize(("arguments", "status", "sentence"), BAD_INPUT)
def test_bad_input_is_one_sentence(arguments: list[str], status: int, sentence: str, folder: Folder) -> None:
    ended = folder.run(*arguments)

    assert ended.status == status, ended.err
    assert sentence in re.sub(r"\s*\n[│\s]*", " ", ended.err)
    assert "Traceback" not in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("module", "last_frame", "error"),
    [
        ("dup", "line 5, in <module>", "DuplicateHandlerError: the pattern 'a' is registered already, by dup:one"),
        ("unnamed", "line 3, in <module>", "InvalidPatternError: '' is not a legal pattern"),
        ("boom", "line 2, in dig", "KeyError: 'nope'"),
    ],
)
def test_what_an_application_raises_keeps_its_own_traceback(
    module: str, last_frame: str, error: str, folder: Folder
) -> None:
    (folder.path / f"{module}.py").write_text(BAD_APPS[module])

    ended = folder.run("worker", module)

    assert ended.status == 2
    frames = [line for line in ended.err.splitlines() if line.startswith("  File")]
    assert all(str(folder.path) in frame for frame in frames)
    assert last_frame in frames[-1]
    assert error in ended.err
    assert ended.err.splitlines()[-1].startswith(
        f"jetq: cannot load '{module}': when it is imported, the module raises"
    )


KEYS_HAVE = "a key has 64 hexadecimal digits, for 32 bytes"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"JETQ_VERIFY_KEYS": "abc"},
            f"the credentials from JETQ_VERIFY_KEYS cannot be used: it is not hexadecimal; {KEYS_HAVE}",
        ),
        (
            {"JETQ_SIGNING_KEY": "ab"},
            f"the credentials from JETQ_SIGNING_KEY cannot be used: it has 2 characters; {KEYS_HAVE}",
        ),
        (
            {"JETQ_SIGNATURES_OPTIONAL": "1"},
            "expected JETQ_SIGNATURES_OPTIONAL to be 0, or 1 beside verification keys, got: '1'",
        ),
        (
            {"JETQ_NAMESPACE": "a.b"},
            "'a.b' is not a legal JETQ_NAMESPACE: use letters, digits, '_', ':' and '-' only",
        ),
    ],
    ids=["verification_key", "signing_key", "optional", "namespace"],
)
def test_a_bad_variable_is_one_sentence(variables: dict[str, str], sentence: str, folder: Folder) -> None:
    ended = folder.using(**variables).run("worker", "shop")

    assert (ended.status, ended.out, ended.err) == (2, "", f"jetq: {sentence}\n")


def test_a_wrong_password_is_one_sentence(shop: Folder, server: EmbeddedServer) -> None:
    wrong = re.sub("://.*@", "://wrong@", server.url)

    ended = shop.run("worker", "shop", "--servers", wrong)

    assert ended.status == 3, ended.err
    assert "refuses the credentials" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


def test_a_server_without_jetstream_is_one_sentence(folder: Folder) -> None:
    with TestServer.start("", jetstream=False) as bare:
        ended = folder.run("worker", "shop", "--servers", bare.url)

    assert ended.status == 3, ended.err
    assert "has no JetStream for this account" in ended.err.splitlines()[-1]


def test_a_queue_that_may_not_be_made_is_one_sentence(shop: Folder) -> None:
    (shop.path / "strict.py").write_text(
        "from jetq import App, Queue\napp = App('x', queues=[Queue('DEFAULT', create=False)])"
    )

    ended = shop.run("worker", "strict")

    assert ended.status == 1, ended.err
    assert ended.err.splitlines()[-1] == "jetq: there is no queue DEFAULT; create it with: jetq queues add DEFAULT"


def test_no_server_program_is_one_sentence(folder: Folder) -> None:
    ended = folder.using(JETQ_NATS_SERVER=str(Path("nowhere", "nats-server"))).run("worker", "shop", "--embedded")

    assert ended.status == 3
    assert "no nats-server program found" in ended.err.splitlines()[-1]


def test_its_garbage_collector_looks_seldom_and_not_at_what_is_there_when_it_begins(shop: Folder) -> None:
    with (shop.path / "shop.py").open("a") as program:
        program.write(
            "\nimport gc\n\n@app.task('look')\ndef look() -> list[int]:\n"
            "    return [gc.get_threshold()[0], gc.get_freeze_count()]\n"
        )
    shop.run("tasks", "add", "look", "--id", "one")

    ended = shop.run("worker", "shop", "--burst")

    assert ended.status == 0, ended.err
    threshold, frozen = shop.run("tasks", "view", "one", "--json").json["result"]
    assert threshold == YOUNG
    assert frozen > YOUNG
