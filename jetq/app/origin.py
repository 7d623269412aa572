"""
origin: where another process finds an application.
"""

import sys
from typing import Any, Final

from jetq.app.application import App
from jetq.errors import AppLoadError

_MAIN: Final = "__main__"


def origin_of(app: App) -> str:
    """
    Return ``MODULE:ATTRIBUTE`` of an application: what it was loaded by, else the module that holds it.

    Raises:
        AppLoadError: Nobody loaded it by name, and no module that can be imported holds it.
    """
    if app.origin:
        return app.origin
    for name, module in sorted(sys.modules.copy().items()):
        if name == _MAIN:
            continue
        held: dict[str, Any] = getattr(module, "__dict__", {})
        for attribute, value in held.copy().items():
            if value is app:
                return f"{name}:{attribute}"
    raise AppLoadError(
        app.name,
        "handlers with pool='process' need the application in other processes, which find it neither in a function nor"
        " in the program that is run; make it at the top of a module of its own",
    )
