"""Which applications can have handlers in processes."""

import sys
from types import ModuleType

import pytest

from jetq.app.application import App
from jetq.errors import AppLoadError, HandlerSignatureError
from jetq.worker.process_plan import handlers_in_processes

app = App("held")


@app.task("cpu", pool="process")
def cpu() -> None: ...


def task() -> None: ...


def test_handlers_in_processes_are_those_that_say_so() -> None:
    assert [handler.pattern for handler in handlers_in_processes(app)] == ["cpu"]


def test_an_application_without_such_handlers_may_be_anywhere() -> None:
    app = App("test")
    app.task("a")(task)

    assert handlers_in_processes(app) == []


def test_an_application_that_nobody_can_import_is_refused() -> None:
    app = App("test")
    app.task("a", pool="process")(task)
    with pytest.raises(AppLoadError, match="handlers with pool='process' need the application in other processes"):
        handlers_in_processes(app)


def test_a_handler_of_the_program_that_is_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App("test")
    app.origin = "shop:app"
    monkeypatch.setattr(task, "__module__", "__main__")
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    app.task("a", pool="process")(task)
    with pytest.raises(HandlerSignatureError, match=r"__main__:task cannot be a handler: pool=.process. needs"):
        handlers_in_processes(app)
