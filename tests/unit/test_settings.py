"""Settings: checked when they are made, in words that name the setting."""

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from jetq.errors import ConfigurationError, InvalidNameError, InvalidSettingError, UnusableCredentialsError
from jetq.model.quantity import seconds, whole
from jetq.model.signing import SigningSettings
from jetq.settings import (
    DEFAULT_COMPLETE_KEPT,
    DEFAULT_ENDED_KEPT,
    DEFAULT_LEASE,
    SERVER_FLOOR,
    ConnectionSettings,
    Queue,
    Settings,
    StoreSettings,
    WorkerSettings,
    server_program,
)

BAD_DURATIONS = [-1, math.nan, math.inf, 10**400, True, None, "5", timedelta(days=-1), timedelta.max]
DURATIONS: list[tuple[Any, str, dict[str, Any]]] = [
    (Queue, "max_age", {"name": "Q"}),
    (Queue, "max_run_time", {"name": "Q"}),
    (Queue, "lease", {"name": "Q"}),
    (ConnectionSettings, "connect_timeout", {}),
    (ConnectionSettings, "request_timeout", {}),
    (StoreSettings, "complete_kept", {}),
    (StoreSettings, "ended_kept", {}),
    (WorkerSettings, "shutdown_timeout", {}),
    (WorkerSettings, "hook_timeout", {}),
    (Settings, "enqueue_timeout", {}),
]
MAY_BE_NONE = {"max_age", "lease", "complete_kept", "ended_kept"}


@given(st.floats(0, 1e9))
def test_a_duration_may_be_seconds_or_a_timedelta(value: float) -> None:
    assert seconds("x", value) == value
    assert seconds("x", timedelta(seconds=value)) == timedelta(seconds=value).total_seconds()


@pytest.mark.parametrize("bad", BAD_DURATIONS, ids=lambda bad: str(bad)[:20])
@pytest.mark.parametrize(("kind", "setting", "needed"), DURATIONS)
def test_a_bad_duration_names_its_setting(kind: Any, setting: str, needed: dict[str, Any], bad: Any) -> None:
    if bad is None and setting in MAY_BE_NONE:
        assert getattr(kind(**needed, **{setting: None}), setting) is None
        return

    with pytest.raises(InvalidSettingError, match="to be a duration of") as refused:
        kind(**needed, **{setting: bad})

    assert refused.value.setting.rpartition(".")[2] == setting


@pytest.mark.parametrize("long", [1e12, math.inf, timedelta(days=999_999_999)], ids=str)
def test_a_duration_that_is_too_long_is_told_how_long_it_may_be(long: float | timedelta) -> None:
    with pytest.raises(InvalidSettingError, match="expected delay to be a duration of a century at most"):
        seconds("delay", long)


@pytest.mark.parametrize(
    ("kind", "values", "setting"),
    [
        (Queue, {"name": "Q", "max_age": 0.5}, "Queue.max_age"),
        (Queue, {"name": "Q", "max_entries": 0}, "Queue.max_entries"),
        (Queue, {"name": "Q", "max_entries": 1.5}, "Queue.max_entries"),
        (Queue, {"name": "Q", "max_tries": -1}, "Queue.max_tries"),
        (Queue, {"name": "Q", "max_tries": True}, "Queue.max_tries"),
        (Queue, {"name": "Q", "max_run_time": 0.5}, "Queue.max_run_time"),
        (Queue, {"name": "Q", "max_concurrent": 0}, "Queue.max_concurrent"),
        (Queue, {"name": "Q", "lease": 0.5}, "Queue.lease"),
        (Queue, {"name": "Q", "replicas": 0}, "Queue.replicas"),
        (Queue, {"name": "Q", "replicas": 6}, "Queue.replicas"),
        (Queue, {"name": "Q", "storage": "disk"}, "Queue.storage"),
        (ConnectionSettings, {"servers": "nats://a", "context": "b"}, "context"),
        (ConnectionSettings, {"connect_timeout": 0}, "connect_timeout"),
        (StoreSettings, {"storage": "disk"}, "storage"),
        (StoreSettings, {"replicas": 6}, "replicas"),
        (StoreSettings, {"complete_kept": 0}, "complete_kept"),
        (WorkerSettings, {"concurrency": 0}, "concurrency"),
        (WorkerSettings, {"threads": 0}, "threads"),
        (WorkerSettings, {"pool_processes": 0}, "pool_processes"),
        (WorkerSettings, {"max_tasks_per_process": 0}, "max_tasks_per_process"),
        (WorkerSettings, {"max_memory_per_process": 1000}, "max_memory_per_process"),
        (Settings, {"max_tries": -1}, "max_tries"),
        (Settings, {"max_tries": "10"}, "max_tries"),
        (Settings, {"namespace": "A:B"}, "namespace"),
        (Settings, {"enqueue_timeout": 0}, "enqueue_timeout"),
    ],
)
def test_a_bad_value_names_its_setting(kind: Any, values: dict[str, Any], setting: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"expected {setting} to be ") as refused:
        kind(**values)
    assert refused.value.setting == setting


@pytest.mark.parametrize(
    ("make", "setting", "kind"),
    [
        (Queue, "name", "queue"),
        (Settings, "default_queue", "queue"),
        (Settings, "namespace", "namespace"),
    ],
)
@pytest.mark.parametrize("name", ["a.b", "a b", "*", "é"])
def test_an_illegal_name_says_of_what(make: Any, setting: str, kind: str, name: str) -> None:
    with pytest.raises(InvalidNameError, match=f"is not a legal {kind}"):
        make(**{setting: name})


def test_bad_settings_are_found_before_anything_runs() -> None:
    assert issubclass(InvalidSettingError, ConfigurationError)
    assert issubclass(InvalidNameError, ConfigurationError)


@pytest.mark.parametrize(("value", "least", "most"), [(3, 1, None), (1, 1, 5), (5, 1, 5), (0, 0, None)])
def test_a_whole_number_in_range_is_taken(value: int, least: int, most: int | None) -> None:
    assert whole("x", value, least=least, most=most) == value


def test_durations_of_a_queue_are_seconds_inside() -> None:
    queue = Queue("Q", max_age=timedelta(days=1), max_run_time=timedelta(minutes=5), lease=timedelta(seconds=20))

    assert (queue.max_age, queue.run_time, queue.lease_time) == (86_400.0, 300.0, 20.0)


def test_without_a_lease_it_is_the_run_time_as_go_expects() -> None:
    assert Queue("Q", max_run_time=90, lease=None).lease_time == 90
    assert Queue("Q").lease_time == DEFAULT_LEASE


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Queue("Q").name = "R"  # type: ignore[misc]


def test_the_namespace_comes_from_the_environment_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_env({}).namespace == "JETQ"
    assert Settings.from_env({"JETQ_NAMESPACE": ""}).namespace == "JETQ"
    assert Settings.from_env({"JETQ_NAMESPACE": "SHOP"}).namespace == "SHOP"
    with pytest.raises(InvalidNameError, match="'a b' is not a legal JETQ_NAMESPACE"):
        Settings.from_env({"JETQ_NAMESPACE": "a b"})
    with pytest.raises(InvalidSettingError, match="expected JETQ_NAMESPACE to be without ':'"):
        Settings.from_env({"JETQ_NAMESPACE": "a:b"})
    monkeypatch.setenv("JETQ_NAMESPACE", "MARKET")
    assert Settings.from_env().namespace == "MARKET"


def test_a_server_or_context_that_is_given_replaces_the_known_one() -> None:
    known = Settings(connection=ConnectionSettings(servers="nats://a", request_timeout=1))

    assert known.with_connection(servers=None, context=None) is known
    assert known.with_connection(servers=None, context="b").connection == replace(
        known.connection, servers=None, context="b"
    )


def test_the_server_program_comes_from_the_environment() -> None:
    assert server_program({"JETQ_NATS_SERVER": "/opt/nats-server"}) == "/opt/nats-server"
    assert server_program({"JETQ_NATS_SERVER": ""}) is None


def test_the_defaults_are_those_that_users_were_promised() -> None:
    queue, store, worker, all_ = Queue("Q"), StoreSettings(), WorkerSettings(), Settings()

    assert (queue.run_time, queue.max_tries, queue.max_concurrent, queue.lease) == (3600, 0, 1000, 15)
    assert (queue.max_age, queue.max_entries, queue.discard_old, queue.create) == (None, None, False, True)
    assert (store.storage, store.replicas, store.complete_kept, store.ended_kept) == ("file", 1, None, None)
    assert (worker.concurrency, worker.threads, worker.shutdown_timeout, worker.burst) == (50, None, 25, False)
    assert (all_.namespace, all_.default_queue, all_.max_tries, all_.enqueue_timeout) == ("JETQ", "DEFAULT", 10, 5)
    assert (all_.connection.connect_timeout, all_.connection.request_timeout) == (5, 5)
    assert (DEFAULT_COMPLETE_KEPT, DEFAULT_ENDED_KEPT) == (86_400, 604_800)
    assert SERVER_FLOOR == (2, 14, 2)


SEED, PUBLIC = "a1" * 32, "B2" * 32
BAD_KEYS = ["", "a1", "a1" * 33, "xy" * 32, "a" * 63, "a1 " * 16 + "  ", "é" * 64]


def test_keys_are_found_in_the_environment() -> None:
    environ = {"JETQ_SIGNING_KEY": SEED, "JETQ_VERIFY_KEYS": f"{PUBLIC}, {SEED},", "JETQ_SIGNATURES_OPTIONAL": "1"}
    files = {"JETQ_SIGNING_KEY_FILE": "seed", "JETQ_VERIFY_KEY_FILES": "one,two"}

    by_value = Settings.from_env(environ).signing
    assert (by_value.key, by_value.verify, by_value.optional) == (SEED, (PUBLIC, SEED), True)
    by_file = Settings.from_env(files).signing
    assert (by_file.key_file, by_file.verify_files, by_file.optional) == ("seed", ("one", "two"), False)
    assert Settings.from_env(dict.fromkeys(environ | files, "")).signing == SigningSettings()


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_a_bad_key_names_its_place_and_is_not_shown(bad: str) -> None:
    def refused(place: str, make: Callable[[], object]) -> None:
        with pytest.raises(UnusableCredentialsError) as error:
            make()
        assert error.value.place == place
        assert len(bad) < 3 or bad not in str(error.value)

    refused("SigningSettings.key", lambda: SigningSettings(key=bad))
    refused("SigningSettings.verify[1]", lambda: SigningSettings(verify=[PUBLIC, bad]))
    if bad:
        refused("JETQ_SIGNING_KEY", lambda: Settings.from_env({"JETQ_SIGNING_KEY": bad}))
        refused("JETQ_VERIFY_KEYS", lambda: Settings.from_env({"JETQ_VERIFY_KEYS": f"{PUBLIC},{bad}"}))


def test_a_key_is_text() -> None:
    key: Any = bytes(32)
    with pytest.raises(UnusableCredentialsError, match="of type bytes"):
        SigningSettings(key=key)


def test_a_signing_key_shows_nowhere() -> None:
    settings = Settings(signing=SigningSettings(key=SEED))

    assert SEED not in repr(settings)
    assert SEED not in str(settings.signing)


@pytest.mark.parametrize(
    ("environ", "setting"),
    [
        ({"JETQ_SIGNING_KEY": SEED, "JETQ_SIGNING_KEY_FILE": "seed"}, "JETQ_SIGNING_KEY_FILE"),
        ({"JETQ_SIGNATURES_OPTIONAL": "1"}, "JETQ_SIGNATURES_OPTIONAL"),
        ({"JETQ_SIGNATURES_OPTIONAL": "maybe"}, "JETQ_SIGNATURES_OPTIONAL"),
        ({"JETQ_VERIFY_KEYS": " , "}, "JETQ_VERIFY_KEYS"),
        ({"JETQ_VERIFY_KEY_FILES": ","}, "JETQ_VERIFY_KEY_FILES"),
    ],
    ids=["two_keys", "optional_without_keys", "maybe", "no_keys", "no_files"],
)
def test_keys_that_cannot_be_meant_are_refused(environ: dict[str, str], setting: str) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        Settings.from_env(environ)

    assert refused.value.setting == setting
    assert SEED not in str(refused.value)


def test_a_worker_is_configured_by_the_environment() -> None:
    environ = {
        "JETQ_POOL_PROCESSES": "3",
        "JETQ_MAX_TASKS_PER_PROCESS": "100",
        "JETQ_MAX_MEMORY_PER_PROCESS": "512M",
        "JETQ_HOOK_TIMEOUT": "2.5",
    }

    found = WorkerSettings.from_env(environ)

    assert (found.pool_processes, found.max_tasks_per_process) == (3, 100)
    assert (found.max_memory_per_process, found.hook_timeout) == (512 * 2**20, 2.5)
    assert WorkerSettings.from_env({"JETQ_POOL_PROCESSES": ""}) == WorkerSettings()


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("JETQ_POOL_PROCESSES", "many", "a number"),
        ("JETQ_POOL_PROCESSES", "0", "at least 1"),
        ("JETQ_MAX_TASKS_PER_PROCESS", "1.5", "a whole number"),
        ("JETQ_MAX_MEMORY_PER_PROCESS", "much", "a size such as 512M"),
        ("JETQ_HOOK_TIMEOUT", "-1", "a duration"),
    ],
)
def test_a_variable_that_says_nothing_usable_is_refused(variable: str, value: str, wanted: str) -> None:
    with pytest.raises(InvalidSettingError, match=wanted):
        WorkerSettings.from_env({variable: value})
