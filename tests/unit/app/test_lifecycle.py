"""Hooks of an application: what may be one, and what another process needs to find it."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.origin import origin_of
from jetq.errors import AppLoadError, InvalidSettingError

held = App("held")


def plain() -> None: ...


async def later() -> None: ...


def demanding(app: App) -> None: ...


async def life(_app: App) -> AsyncGenerator[None, None]:
    yield


async def lifeless() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("kind", ["on_worker_start", "on_worker_stop", "on_process_start", "on_process_stop"])
def test_a_hook_is_given_back_as_it_was(kind: str) -> None:
    app = App("test")

    assert getattr(app, kind)(plain) is plain


@pytest.mark.parametrize("kind", ["on_worker_start", "on_process_stop"])
def test_a_hook_with_parameters_is_refused(kind: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"expected {kind} to be a function that is called without arguments"):
        getattr(App("test"), kind)(demanding)


@pytest.mark.parametrize("kind", ["on_process_start", "on_process_stop"])
def test_an_async_hook_of_a_process_is_refused(kind: str) -> None:
    with pytest.raises(InvalidSettingError, match=r"a plain function, since there is no event loop"):
        getattr(App("test"), kind)(later)


@pytest.mark.parametrize("function", [life, asynccontextmanager(life)], ids=["generator", "context manager"])
def test_a_lifespan_is_given_back_as_it_was(function: Callable[[Any], Any]) -> None:
    app = App("test")

    assert app.lifespan(function) is function
    assert app.hooks.lifespan_name.endswith(":life")


@pytest.mark.parametrize("function", [plain, later, demanding, lifeless])
def test_what_is_no_lifespan_is_refused(function: Any) -> None:
    with pytest.raises(InvalidSettingError, match="an async generator function of the application"):
        App("test").lifespan(function)


def test_a_second_lifespan_is_refused() -> None:
    app = App("test")
    app.lifespan(life)
    with pytest.raises(InvalidSettingError, match="registered once"):
        app.lifespan(life)


def test_hooks_belong_to_one_application() -> None:
    first, second = App("first"), App("second")
    first.on_worker_start(plain)

    assert (first.hooks.worker_start, second.hooks.worker_start) == ([plain], [])


def test_an_application_is_found_where_it_was_loaded() -> None:
    app = App("test")
    app.origin = "shop:make_app"

    assert origin_of(app) == "shop:make_app"


def test_an_application_is_found_in_the_module_that_holds_it() -> None:
    assert origin_of(held) == f"{__name__}:held"


def test_an_application_in_a_function_or_in_the_program_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    app, main = App("test"), ModuleType("__main__")
    main.__dict__["app"] = app
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(AppLoadError, match="make it at the top of a module of its own"):
        origin_of(app)
