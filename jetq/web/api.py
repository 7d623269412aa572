"""
api: the HTTP API as an ASGI application, to be served by ``jetq server run``, or mounted in another one.
"""

import contextlib
from collections.abc import AsyncGenerator, Collection
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route

from jetq.app.application import App
from jetq.web.answering import serving, unrouted
from jetq.web.deployment import DEPLOYMENT
from jetq.web.endpoint import Answer, Endpoint
from jetq.web.guard import Guard, check_token
from jetq.web.openapi import PATH, document
from jetq.web.queues import QUEUES
from jetq.web.schedules import SCHEDULES
from jetq.web.service import Service, place_of
from jetq.web.tasks import TASKS
from jetq.wire.signature import Signer
from jetq.wire.version import version

ENDPOINTS: Final = (*DEPLOYMENT, *TASKS, *QUEUES, *SCHEDULES)
"""Everything that the API does, but describing itself."""


def http_api(
    app: App,
    *,
    token: str | None = None,
    allowed_hosts: Collection[str] = (),
    local: bool = False,
    makes_default: bool = False,
) -> Starlette:
    """
    Return the HTTP API of an application, as an ASGI application.

    Mounted below a path of another one, it connects with the first request, by the application's settings; the
    connection is the application's own and is closed by ``await app.aclose()``. Served alone, it closes it itself.

    Args:
        app: Whose server and namespace it is; the options of its handlers count for tasks of their types.
        token: What callers must show, as ``Authorization: Bearer TOKEN``, but for the health pages. None lets in
            whoever reaches it: mount it so only behind something that asks who calls.
        allowed_hosts: Names of this server, as requests have them in their ``Host`` header; empty takes any.
        local: Take only requests that mean this machine by one of its own names, or by one of *allowed_hosts*.
        makes_default: Let callers create the default queue, which is made by itself when it is first used.

    Raises:
        InvalidSettingError: The token is too short, or cannot stand in a header.
        UnusableCredentialsError: The signing key cannot be read, or is none.
    """
    if token is not None:
        check_token("token", token)
    signer = Signer.of(app.settings.signing)
    service = Service(app=app, signer=signer, auth="none" if token is None else "token", makes_default=makes_default)
    described = document(ENDPOINTS, version())

    async def describe(_service: Service, request: Request) -> Answer:
        return Answer({**described, "servers": [{"url": place_of(request, "") or "/"}]})

    openapi = Endpoint(
        method="GET", path=PATH, name="getOpenapi", tag="Meta", summary="Describe the API to programs.", run=describe
    )

    @contextlib.asynccontextmanager
    async def lifespan(_api: Starlette) -> AsyncGenerator[None, None]:
        yield
        await app.aclose()

    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in (*ENDPOINTS, openapi):
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    routes = [Route(path, serving(found, service), methods=[*found]) for path, found in by_path.items()]
    api = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token, local=local, hosts=tuple(allowed_hosts))],
        exception_handlers={HTTPException: unrouted},
        lifespan=lifespan,
    )
    api.router.redirect_slashes = False
    return api
