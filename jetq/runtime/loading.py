"""
loading: from ``MODULE:APP`` on a command line to an App.

``MODULE`` alone means its attribute ``app``; a function is called, and returns the App. What can go wrong is told
apart: there is no such module, no such attribute, it is no App, or the user's code raises. Then it is the user's
traceback that helps, so :func:`own_traceback` keeps just that. A bad ``JETQ_*`` variable is no fault of that code,
though it is found where the code makes its App: such an error is let through, and its sentence says all.
"""

import difflib
import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import jetq.errors
from jetq.app.application import App
from jetq.app.task import Task
from jetq.errors import AppLoadError, ConfigurationError
from jetq.settings import Settings

DEFAULT_ATTRIBUTE: Final = "app"
_HOUSE: Final = str(Path(jetq.errors.__file__).parent)
_T = TypeVar("_T")


def load_app(target: str, folder: Path | None = None) -> App:
    """
    Load an application, with the modules that it includes.

    Args:
        target: ``module:attribute``, or ``module``; the attribute may be an App or a function that returns one.
        folder: Where modules are looked for first, as with ``python -m``; None is the working directory.

    Raises:
        AppLoadError: It leads to no App. If the user's code raised, that exception is the cause of this one.
        ConfigurationError: A ``JETQ_*`` variable cannot be used; the sentence names it.
    """
    module_name, _, attribute = target.partition(":")
    if module_name.endswith(".py") or not all(part.isidentifier() for part in module_name.split(".")):
        raise AppLoadError(target, _no_module_name(module_name))
    where = str(folder or Path.cwd())
    if where not in sys.path:
        sys.path.insert(0, where)
    module = _import(target, module_name, where)
    app = _application(target, module, attribute or DEFAULT_ATTRIBUTE)
    app.origin = target
    _guarded(target, "one of the included modules raises", app.load)
    return app


def _no_module_name(name: str) -> str:
    if name.endswith(".py") or "/" in name:
        module = name.removesuffix(".py").strip("./").replace("/", ".")
        return f"name a module, not a file: {module}:{DEFAULT_ATTRIBUTE}"
    return "write MODULE:APP, such as shop.tasks:app"


def _import(target: str, name: str, where: str) -> ModuleType:
    try:
        return _guarded(target, "when it is imported, the module raises", lambda: importlib.import_module(name))
    except AppLoadError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and f"{name}.".startswith(f"{cause.name}."):
            reason = f"there is no module {cause.name!r} in {where} or elsewhere on sys.path"
            raise AppLoadError(target, reason) from None
        raise


def _guarded(target: str, what: str, work: Callable[[], _T]) -> _T:
    """Call what runs the user's code."""
    try:
        return work()
    except AppLoadError:
        raise
    except (Exception, SystemExit) as error:
        if _is_of_environment(error):
            raise
        raise AppLoadError(target, f"{what} {type(error).__name__}") from error


def _is_of_environment(error: BaseException) -> bool:
    """Whether the environment says it too: then it is what is wrong, wherever the user's code met it."""
    try:
        Settings.from_env()
    except ConfigurationError as wrong:
        return type(wrong) is type(error) and str(wrong) == str(error)
    return False


def _application(target: str, module: ModuleType, attribute: str) -> App:
    found: Any = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise AppLoadError(target, f"{module.__name__} has no attribute {attribute!r}{_hint(module, attribute)}")
        found = getattr(found, name)
    if isinstance(found, App):
        return found
    if not callable(found) or issubclass(type(found), type | Task):
        raise AppLoadError(target, f"{attribute} is {_kind(found)}, not an App{_hint(module, attribute)}")
    made: object = _guarded(target, f"{attribute}() raises", found)
    if not isinstance(made, App):
        raise AppLoadError(target, f"{attribute}() returned {_kind(made)}, not an App")
    return made


def _kind(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _hint(module: ModuleType, attribute: str) -> str:
    """Name the apps of the module, else the attribute that is spelled most alike."""
    apps = [name for name, value in vars(module).items() if isinstance(value, App) and name != attribute]
    if apps:
        return f"; did you mean {' or '.join(f'{module.__name__}:{name}' for name in apps)}?"
    near = difflib.get_close_matches(attribute, [name for name in vars(module) if not name.startswith("_")], 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def own_traceback(error: BaseException) -> str:
    """
    Return the traceback of an exception without the frames of jetq and of Python's import machinery.

    Nothing if that leaves nothing that the user wrote.
    """
    told = traceback.TracebackException(type(error), error, error.__traceback__)
    links: list[traceback.TracebackException | None] = [told]
    while links:
        link = links.pop()
        if link is not None:
            own = [frame for frame in link.stack if not _is_ours(frame.filename)]
            link.stack = traceback.StackSummary.from_list(own)
            links += [link.__cause__, link.__context__]
    return "".join(told.format()).rstrip() if told.stack or isinstance(error, SyntaxError) else ""


def _is_ours(filename: str) -> bool:
    return filename.startswith((_HOUSE, "<frozen importlib")) or filename == importlib.__file__
