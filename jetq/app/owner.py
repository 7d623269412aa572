"""
owner: the application behind a task.
"""

from typing import Protocol

from jetq.client.clients import Clients
from jetq.settings import Settings


class Owner(Protocol):
    """The application, as far as its tasks need it."""

    @property
    def settings(self) -> Settings:
        """Defaults for what nobody says."""
        ...

    @property
    def clients(self) -> Clients:
        """Ways to the server."""
        ...
