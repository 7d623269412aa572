"""
group: tasks of a module that does not know the application.
"""

from jetq.app.owner import Owner
from jetq.app.register import Registry
from jetq.app.schedules import Scheduling
from jetq.errors import AppLoadError
from jetq.routing.handler import Handler


class Tasks(Registry, Scheduling):
    """
    A group of tasks that an application includes: ``App("shop", include=["shop.tasks"])`` or ``app.include(tasks)``.
    """

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self._app: Owner | None = None

    def _register(self, handler: Handler) -> None:
        self.handlers.append(handler)

    def _owner(self) -> Owner:
        if self._app is None:
            raise AppLoadError(
                "Tasks()", "no App has included this group; pass it, or its module, to App(include=[...])"
            )
        return self._app

    def joined(self, app: Owner) -> None:
        """
        Belong to *app* from now on.

        Raises:
            AppLoadError: The group belongs to another application.
        """
        if self._app is not None and self._app is not app:
            raise AppLoadError("Tasks()", "this group belongs to another App already")
        self._app = app
