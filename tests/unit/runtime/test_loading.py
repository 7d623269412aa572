"""MODULE:APP leads to an App, or a sentence says why not."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jetq.errors import AppLoadError, UnusableCredentialsError
from jetq.runtime.loading import load_app, own_traceback

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write a module into the folder that apps are loaded from, and forget all of them afterwards."""
    modules, search = set(sys.modules), sys.path[:]

    def to_file(name: str, text: str) -> None:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()

    yield to_file
    sys.path[:] = search
    for name in set(sys.modules) - modules:
        del sys.modules[name]


APP = "from jetq import App, Tasks\n"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("shop:app", "app = App('shop')"),
        ("shop", "app = App('shop')"),
        ("shop:", "app = App('shop')"),
        ("shop:web.app", "class web: app = App('shop')"),
        ("shop:create_app", "def create_app(): return App('shop')"),
        ("shop:create_app", "create_app = lambda: App('shop')"),
    ],
)
def test_an_app_is_found(target: str, text: str, write: Write, tmp_path: Path) -> None:
    write("shop", APP + text)

    assert load_app(target, tmp_path).name == "shop"


def test_modules_of_a_package_are_found(write: Write, tmp_path: Path) -> None:
    write("store.tasks", APP + "app = App('store')")

    assert load_app("store.tasks:app", tmp_path).name == "store"


def test_the_working_directory_is_searched(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("shop", APP + "app = App('shop')")
    monkeypatch.chdir(tmp_path)

    assert load_app("shop").name == "shop"


def test_included_modules_are_loaded(write: Write, tmp_path: Path) -> None:
    write("shop", APP + "app = App('shop', include=['shop_tasks'])")
    write("shop_tasks", APP + "tasks = Tasks()\n@tasks.task('a')\ndef a() -> None: ...")

    app = load_app("shop", tmp_path)

    assert list(app.router.patterns) == ["a"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("", "write MODULE:APP"),
        (":app", "write MODULE:APP"),
        ("a-b:app", "write MODULE:APP"),
        ("shop.py", "name a module, not a file: shop:app"),
        ("./store/tasks.py", "name a module, not a file: store.tasks:app"),
        ("nowhere:app", "there is no module 'nowhere' in "),
        ("shop.deeper:app", "there is no module 'shop.deeper'"),
        ("shop:ap", "shop has no attribute 'ap'; did you mean shop:app?"),
        ("shop:app.nothing", "shop has no attribute 'app.nothing'; did you mean shop:app?"),
        ("shop:number", "number is an int, not an App; did you mean shop:app?"),
        ("shop:App", "App is the class App, not an App"),
        ("shop:task", "task is a Task, not an App"),
        ("shop:nothing", "nothing() returned None, not an App"),
        ("bare:creat_app", "bare has no attribute 'creat_app'; did you mean 'create_app'?"),
        ("bare", "bare has no attribute 'app'"),
    ],
)
def test_what_leads_to_no_app_is_told(target: str, reason: str, write: Write, tmp_path: Path) -> None:
    write("shop", APP + "app = App('shop')\nnumber = 1\ndef nothing(): pass\n@app.task('a')\ndef task(): pass")
    write("bare", "def create_app(): pass")

    with pytest.raises(AppLoadError) as caught:
        load_app(target, tmp_path)

    assert str(caught.value).startswith(f"cannot load {target!r}: ")
    assert reason in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("def help():\n    raise KeyError('nope')\nhelp()", KeyError),
        ("import not_installed_anywhere", ModuleNotFoundError),
        ("import sys\nsys.exit(5)", SystemExit),
        ("def (", SyntaxError),
        (APP + "App('shop').task('')(print)", Exception),
    ],
)
def test_what_the_module_raises_is_the_cause(
    text: str, error: type[BaseException], write: Write, tmp_path: Path
) -> None:
    write("shop", text)

    with pytest.raises(AppLoadError, match="when it is imported, the module raises") as caught:
        load_app("shop", tmp_path)

    assert isinstance(caught.value.__cause__, error)


def test_what_a_factory_raises_is_the_cause(write: Write, tmp_path: Path) -> None:
    write("shop", "def create(): raise RuntimeError('broken')")

    with pytest.raises(AppLoadError, match=r"create\(\) raises RuntimeError") as caught:
        load_app("shop:create", tmp_path)

    assert isinstance(caught.value.__cause__, RuntimeError)


def test_what_an_included_module_raises_is_the_cause(write: Write, tmp_path: Path) -> None:
    write("shop", APP + "app = App('shop', include=['broken_tasks'])")
    write("broken_tasks", "1 / 0")

    with pytest.raises(AppLoadError, match="one of the included modules raises ZeroDivisionError"):
        load_app("shop", tmp_path)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("shop", "app = App('shop')"),
        ("shop:create", "def create(): return App('shop')"),
        ("shop", "import os\nos.environ['JETQ_VERIFY_KEYS'] = 'other'\napp = App('shop')"),
    ],
    ids=["module", "factory", "set_by_the_module"],
)
def test_a_bad_variable_is_told_and_not_where_it_was_met(
    target: str, text: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("shop", APP + text)
    monkeypatch.setenv("JETQ_VERIFY_KEYS", "abc")

    with pytest.raises(UnusableCredentialsError, match="JETQ_VERIFY_KEYS cannot be used"):
        load_app(target, tmp_path)


def test_a_bad_variable_that_the_application_does_not_read_hides_no_error(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("shop", APP + "from jetq import Settings\napp = App('shop', settings=Settings())\n1 / 0")
    monkeypatch.setenv("JETQ_VERIFY_KEYS", "abc")

    with pytest.raises(AppLoadError, match="the module raises ZeroDivisionError"):
        load_app("shop", tmp_path)


def test_the_traceback_holds_the_users_frames_alone(write: Write, tmp_path: Path) -> None:
    write("shop", "import shop_inner")
    write("shop_inner", "def dig():\n    raise KeyError('nope')\ndig()")

    with pytest.raises(AppLoadError) as caught:
        load_app("shop", tmp_path)

    assert caught.value.__cause__ is not None
    told = own_traceback(caught.value.__cause__)
    assert [line for line in told.splitlines() if line.startswith("  File")] == [
        f'  File "{tmp_path}/shop.py", line 1, in <module>',
        f'  File "{tmp_path}/shop_inner.py", line 3, in <module>',
        f'  File "{tmp_path}/shop_inner.py", line 2, in dig',
    ]
    assert told.endswith("KeyError: 'nope'")


def test_a_syntax_error_is_shown_though_it_has_no_frames(write: Write, tmp_path: Path) -> None:
    write("shop", "x = (")

    with pytest.raises(AppLoadError) as caught:
        load_app("shop", tmp_path)

    assert caught.value.__cause__ is not None
    assert "x = (" in own_traceback(caught.value.__cause__)
