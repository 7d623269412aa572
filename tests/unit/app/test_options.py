"""What a caller may say about a task; bad words are refused where they are said, and nothing is sent."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.group import Tasks
from jetq.app.options import CallOptions, build_request
from jetq.errors import InvalidNameError, InvalidSettingError
from jetq.model.retry import Exponential, Fixed
from jetq.routing.handler import HandlerOptions, make_handler
from jetq.settings import Settings

NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001 - on purpose
PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime(2090, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"delay": -1}, "expected delay to be a duration of at least 0 s"),
        ({"delay": timedelta(seconds=-1)}, "expected delay to be a duration"),
        ({"delay": float("nan")}, "expected delay to be a duration"),
        ({"delay": "5"}, "expected delay to be a duration"),
        ({"delay": True}, "expected delay to be a duration"),
        ({"run_at": NAIVE}, "expected run_at to be an aware datetime"),
        ({"run_at": 30}, "expected run_at to be an aware datetime"),
        ({"run_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))}, "the years 1 to 9999"),
        ({"deadline": NAIVE}, "expected deadline to be an aware datetime"),
        ({"deadline": 0}, "expected deadline to be a duration of at least 0.001 s"),
        ({"deadline": -5}, "expected deadline to be a duration"),
        ({"deadline": timedelta(0)}, "expected deadline to be a duration"),
        pytest.param({"retry": lambda retry: retry}, r"register it under a name", id="a function as policy"),
        ({"retry": Exponential}, r"register it under a name"),
        ({"retry": -1}, r"Fixed\.seconds"),
        ({"into": "a b"}, "expected into to be the name of a parameter"),
        ({"into": 5}, "expected into to be the name of a parameter"),
        ({"on_failure": "rum"}, "expected on_failure to be one of fail, ignore, run"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_meant_is_refused_where_it_is_said(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidSettingError, match=sentence):
        CallOptions(**options)


def handle() -> None: ...


def request(call: CallOptions, settings: Settings | None = None, **handler: Any) -> Any:
    made = make_handler(handle, "email:*", HandlerOptions(**handler)) if handler else None
    return build_request("email:new", b"{}", call, made, settings or Settings())


@pytest.mark.parametrize(
    ("call", "handler", "sentence"),
    [
        ({"deadline": PAST}, {}, r"expected deadline to be in the future \(it is .* now\)"),
        ({"deadline": 60, "delay": 60}, {}, r"expected delay to be before the deadline \(.*\), after which"),
        ({"deadline": 60, "delay": 3600}, {}, "expected delay to be before the deadline"),
        ({"deadline": FUTURE, "run_at": FUTURE}, {}, "expected run_at to be before the deadline"),
        ({"delay": 3600}, {"deadline": 60.0}, "expected delay to be before the deadline"),
        ({"retry": "2m"}, {}, "one of 10m, 1h, 1m, default, gentle"),
        ({"retry": ""}, {}, "one of 10m, 1h, 1m, default, gentle"),
    ],
    ids=str,
)
def test_what_could_never_run_is_refused_when_it_is_enqueued(
    call: dict[str, Any], handler: dict[str, Any], sentence: str
) -> None:
    settings = Settings(retry_policies={"gentle": Fixed(1)})

    with pytest.raises(InvalidSettingError, match=sentence):
        request(CallOptions(**call), settings, **handler)


def test_times_that_can_be_kept_are() -> None:
    wish = request(CallOptions(delay=10, deadline=60, retry=5))

    assert wish.deadline - wish.due == timedelta(seconds=50)
    assert bytes(wish.options.retry) == b'{"kind":"fixed","seconds":5,"jitter":0.0}'
    assert request(CallOptions(run_at=PAST)).due == PAST
    assert request(CallOptions(deadline=60)).options is None


@pytest.mark.parametrize("name", ["gentle", "1m", "default"])
def test_a_policys_name_travels_if_it_is_known_here(name: str) -> None:
    wish = request(CallOptions(retry=name), settings=Settings(retry_policies={"gentle": Fixed(1)}))

    assert bytes(wish.options.retry) == b'"%b"' % name.encode()


def test_results_of_other_tasks_go_where_it_is_said_and_are_loaded_for_that() -> None:
    one, many = (request(CallOptions(depends_on=given, into="pages")) for given in ("A", ["A", "B", "A"]))

    assert bytes(one.options.into) == b'{"pages":0}'
    assert bytes(many.options.into) == b'{"pages":[0,1,0]}'
    assert one.load_dependencies
    assert request(CallOptions(depends_on="A")).options is None


@pytest.mark.parametrize(
    "call", [{"into": "pages"}, {"on_failure": "run"}, {"into": "pages", "depends_on": []}], ids=str
)
def test_results_and_failures_of_no_other_task_are_refused(call: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingError, match="absent for a task that waits for no other"):
        request(CallOptions(**call))


# Names of policies


def test_a_handler_may_name_a_policy_of_its_application_and_no_other() -> None:
    app = App("test", retry_policies={"gentle": 5})

    @app.task("good", retry="gentle")
    async def good() -> None: ...

    @app.task("go", retry="10m")
    async def go() -> None: ...

    with pytest.raises(InvalidSettingError, match="got: 'rough'"):

        @app.task("bad", retry="rough")
        async def bad() -> None: ...

    assert app.router.patterns == ("good", "go")


def test_a_groups_names_are_looked_up_when_it_is_included() -> None:
    tasks = Tasks()

    @tasks.task("good", retry="gentle")
    async def good() -> None: ...

    App("test", retry_policies={"gentle": 5}, include=[tasks])
    other = Tasks()

    @other.task("bad", retry="gentle")
    async def bad() -> None: ...

    with pytest.raises(InvalidSettingError, match="got: 'gentle'"):
        App("test", include=[other])


def test_policies_of_settings_and_application_are_known_together() -> None:
    settings = Settings(retry="slow", retry_policies={"slow": 60, "gentle": 1})
    app = App("test", settings=settings, retry_policies={"gentle": 5})

    assert app.settings.retry == Fixed(60)
    assert app.settings.retry_policies == {"slow": Fixed(60), "gentle": Fixed(5)}
    assert App("test", settings=settings, retry="gentle").settings.retry == Fixed(1)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"retry": "gentle"}, InvalidSettingError),
        ({"retry": -1}, InvalidSettingError),
        ({"retry_policies": {"gentle": None}}, InvalidSettingError),
        ({"retry_policies": {"a b": 1}}, InvalidNameError),
        ({"retry_policies": {5: 1}}, InvalidNameError),
        ({"retry_policies": {"gentle": "rough"}}, InvalidSettingError),
    ],
    ids=str,
)
def test_an_application_with_a_bad_policy_is_refused(settings: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        App("test", **settings)


@pytest.mark.parametrize("setting", ["retry_on", "give_up_on", "on_error"])
def test_bad_rules_are_refused_when_they_are_registered(setting: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"expected {setting} to be"):
        App("test", **{setting: "ValueError"})  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError, match=f"expected {setting} to be"):
        App("test").task("x", **{setting: "ValueError"})  # type: ignore[arg-type]


@pytest.mark.parametrize("deadline", [0, -1])
def test_a_handlers_deadline_is_in_the_future_too(deadline: float) -> None:
    with pytest.raises(InvalidSettingError, match="expected deadline to be"):
        App("test").task("x", deadline=deadline)
