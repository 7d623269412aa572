"""
deployment: how the API is, what stands behind it, and what its paths are.
"""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request

from jetq.errors import JetqError
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.queue_catalog import QueueCatalog
from jetq.model.go_duration import NANOSECONDS
from jetq.model.record import Moment
from jetq.model.retry import NAMED, Steps
from jetq.web.endpoint import Answer, Endpoint
from jetq.web.service import Service
from jetq.wire.names import Names
from jetq.wire.version import version

HEALTH: Final = "/healthz"
READY: Final = "/readyz"
_TAG: Final = "Meta"
_PATIENCE: Final = 3.0
"""Seconds in which the server must answer; who asks gives up soon."""


class Health(Struct, frozen=True):
    """
    This process answers.

    Attributes:
        status: ``ok``.
        time: By this machine's clock.
    """

    status: str
    time: Moment


class Check(Struct, frozen=True, omit_defaults=True):
    """
    Whether something can be used.

    Attributes:
        ok: Whether it can.
        error: Why it cannot.
    """

    ok: bool
    error: str = ""


class Checks(Struct, frozen=True):
    """
    What requests need.

    Attributes:
        tasks: The task store.
        config: Where schedules are stored.
    """

    tasks: Check
    config: Check


class Readiness(Struct, frozen=True):
    """
    Whether requests can be answered.

    Attributes:
        ready: Whether they can.
        checks: What that takes.
    """

    ready: bool
    checks: Checks


class Info(Struct, frozen=True, kw_only=True):
    """
    What stands behind the API.

    Attributes:
        version: Of jetq.
        auth: How callers show who they are: ``none`` or ``token``.
        namespace: Prefix of all streams.
        queue_count: Queues.
        task_count: Tasks in the store, in whatever state.
        features: What this server does beside the API of asyncjobs: it ``sign``s the tasks that it makes.
    """

    version: str
    auth: str
    namespace: str
    queue_count: int
    task_count: int
    features: dict[str, bool]


class RetryPolicy(Struct, frozen=True):
    """
    A policy that is known by its name.

    Attributes:
        name: Of it.
        intervals: Nanoseconds.
        jitter: The fixed part of each wait.
    """

    name: str
    intervals: list[int]
    jitter: float


class RetryPolicies(Struct, frozen=True):
    """
    Policies that are known by their names.

    Attributes:
        policies: Those that are lists of waits.
    """

    policies: list[RetryPolicy]


async def health(_service: Service, _request: Request) -> Answer:
    """Say that this process answers."""
    return Answer(Health("ok", datetime.now(UTC)))


async def ready(service: Service, _request: Request) -> Answer:
    """Say whether requests can be answered. Anybody may ask, so no error of the server is told."""
    names = Names(service.app.settings.namespace)
    tasks, config = await asyncio.gather(
        _check(_stream_of(service, names.tasks), "tasks storage unreachable"),
        _check(_stream_of(service, names.bucket_stream(names.configuration)), "configuration storage unreachable"),
    )
    found = Readiness(tasks.ok and config.ok, Checks(tasks, config))
    return Answer(found, status=200 if found.ready else 503)


async def _stream_of(service: Service, stream: str) -> dict[str, Any] | None:
    connection = (await service.backend()).connection
    return await find_stream(connection, stream) if connection.is_connected else None


async def _check(found: Awaitable[object | None], complaint: str) -> Check:
    try:
        async with asyncio.timeout(_PATIENCE):
            is_there = await found is not None
    except (JetqError, TimeoutError):
        is_there = False
    return Check(is_there, "" if is_there else complaint)


async def info(service: Service, _request: Request) -> Answer:
    """Tell what stands behind the API."""
    backend = await service.backend()
    queues, tasks = await asyncio.gather(
        QueueCatalog(backend.connection, backend.names).list_names(),
        find_stream(backend.connection, backend.names.tasks),
    )
    return Answer(
        Info(
            version=version(),
            auth=service.auth,
            namespace=backend.names.namespace,
            queue_count=len(queues),
            task_count=0 if tasks is None else tasks["state"]["messages"],
            features={"sign": service.signer is not None},
        )
    )


async def retry_policies(service: Service, _request: Request) -> Answer:
    """List the policies by their names."""
    known = NAMED | dict(service.app.settings.retry_policies)
    return Answer(
        RetryPolicies(
            [
                RetryPolicy(name, [round(wait * NANOSECONDS) for wait in policy.intervals], policy.jitter)
                for name, policy in sorted(known.items())
                if isinstance(policy, Steps)
            ]
        )
    )


DEPLOYMENT: Final = (
    Endpoint(
        method="GET",
        path=HEALTH,
        name="getHealthz",
        tag=_TAG,
        summary="Say that this process answers; needs no token.",
        run=health,
        gives=Health,
    ),
    Endpoint(
        method="GET",
        path=READY,
        name="getReadyz",
        tag=_TAG,
        summary="Say whether requests can be answered, with status 503 if not; needs no token.",
        run=ready,
        gives=Readiness,
        refuses=(503,),
    ),
    Endpoint(
        method="GET",
        path="/v1/info",
        name="getInfo",
        tag=_TAG,
        summary="Tell what stands behind the API.",
        run=info,
        gives=Info,
    ),
    Endpoint(
        method="GET",
        path="/v1/retry-policies",
        name="listRetryPolicies",
        tag=_TAG,
        summary="List the retry policies that are lists of waits, by their names.",
        run=retry_policies,
        gives=RetryPolicies,
    ),
)
"""Health, and what stands behind the API."""
