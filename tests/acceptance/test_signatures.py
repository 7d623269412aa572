"""Signed tasks from the command line: a pair of keys, who signs, and who runs what."""

from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.programs import Folder

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def keys(shop: Folder) -> Folder:
    """Give the shop with a pair of keys in ``shop.key`` and ``shop.key.pub``."""
    ended = shop.run("keys", "new", "shop.key")
    assert (ended.status, ended.err) == (0, "")
    return shop


def test_a_pair_of_keys_is_made_for_its_owner_alone(keys: Folder) -> None:
    seed, public = keys.path / "shop.key", keys.path / "shop.key.pub"

    assert (seed.stat().st_mode & 0o777, public.stat().st_mode & 0o777) == (0o600, 0o644)
    assert (len(seed.read_text()), len(public.read_text())) == (65, 65)


@pytest.mark.parametrize("left", ["shop.key", "shop.key.pub"])
def test_a_key_that_exists_is_not_overwritten_and_gets_no_other_ones_public_key(keys: Folder, left: str) -> None:
    before = (keys.path / left).read_text()
    gone = keys.path / ("shop.key.pub" if left == "shop.key" else "shop.key")
    gone.unlink()

    again = keys.run("keys", "new", "shop.key")

    assert (again.status, again.out) == (2, "")
    assert again.err == f"jetq: expected FILE to be a new file, since keys are not overwritten, got: '{left}'\n"
    assert not gone.exists()
    assert (keys.path / left).read_text() == before


def test_a_pair_of_keys_is_printed_where_no_file_is_named(shop: Folder) -> None:
    made = shop.run("keys", "new", "--json").json

    assert made.keys() == {"public_key", "signing_key"}
    assert {len(key) for key in made.values()} == {64}
    assert made["signing_key"] != shop.run("keys", "new", "--json").json["signing_key"]


def test_a_worker_with_a_public_key_runs_signed_tasks_alone(keys: Folder, start: Start) -> None:
    worker = start(keys, "worker", "shop:app", "--verify", "shop.key.pub")
    worker.await_line("worker started")

    signed = keys.run("tasks", "add", "add", '{"a":1,"b":2}', "--sign", "shop.key", "--wait")
    assert (signed.status, signed.out.strip()) == (0, "3")
    unsigned = keys.run("tasks", "add", "add", '{"a":1,"b":2}', "--wait", "--timeout", "20")
    assert unsigned.status == 1
    assert "not signed" in unsigned.err
    by_variable = keys.using(JETQ_SIGNING_KEY_FILE="shop.key").run("tasks", "add", "add", '{"a":2,"b":2}', "--wait")
    assert by_variable.out.strip() == "4"
    [refused] = worker.events("signature refused")
    assert refused["level"] == "warning"
    assert worker.stop() == 0


def test_a_worker_takes_its_keys_from_the_environment(keys: Folder) -> None:
    public = (keys.path / "shop.key.pub").read_text().strip()
    trusting = keys.using(JETQ_VERIFY_KEYS=f"{'0' * 64},{public}")
    unsigned = keys.run("tasks", "add", "add", '{"a":1,"b":2}').out.strip()
    signed = keys.run("tasks", "add", "add", '{"a":1,"b":2}', "--sign", "shop.key").out.strip()

    assert trusting.run("worker", "shop:app", "--burst").status == 0

    states = {task: keys.run("tasks", "view", task, "--json").json["state"] for task in (unsigned, signed)}
    assert states == {unsigned: "terminated", signed: "complete"}


def test_a_view_says_what_a_signature_is_worth(keys: Folder) -> None:
    task = keys.run("tasks", "add", "x:y", "--sign", (keys.path / "shop.key").read_text().strip()).out.strip()

    assert "Signature\tverified" in keys.run("tasks", "view", task, "--verify", "shop.key.pub").out
    assert "not verified" in keys.run("tasks", "view", task, "--json").json["signature"]
    assert "refused" in keys.using(JETQ_VERIFY_KEYS="1" * 64).run("tasks", "view", task).out


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["tasks", "add", "x:y", "--sign", "nowhere"], {}),
        (["tasks", "add", "x:y"], {"JETQ_SIGNING_KEY_FILE": "nowhere"}),
        (["tasks", "add", "x:y"], {"JETQ_SIGNING_KEY": "12ab"}),
        (["worker", "shop:app", "--verify", "nowhere"], {}),
        (["worker", "shop:app", "--signatures-optional"], {}),
    ],
    ids=["no_file", "no_file_by_variable", "no_key", "no_public_file", "optional_alone"],
)
def test_a_key_that_cannot_be_used_is_named_and_not_shown(
    shop: Folder, arguments: list[str], variables: dict[str, str]
) -> None:
    ended = shop.using(**variables).run(*arguments)

    assert ended.status == 2
    assert "Traceback" not in ended.err
    said = [line for line in ended.err.splitlines() if line.startswith("jetq: ")]
    assert len(said) == 1
    assert any(word in said[0] for word in ("nowhere", "JETQ_SIGNING_KEY", "optional"))
    assert "12ab" not in ended.err


def test_an_app_is_not_loaded_with_a_key_that_is_none(shop: Folder) -> None:
    ended = shop.using(JETQ_VERIFY_KEYS="zz").run("worker", "shop:app")

    assert ended.status == 2
    assert "the credentials from JETQ_VERIFY_KEYS cannot be used: it is not hexadecimal" in ended.err


def test_a_missing_key_does_not_hinder_who_needs_none(shop: Folder, tmp_path: Path) -> None:
    assert shop.using(JETQ_SIGNING_KEY_FILE=str(tmp_path / "nowhere")).run("tasks", "list").status == 0
