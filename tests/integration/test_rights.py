"""
What docs/reference/permissions.md grants is enough, and all of it is used.

Each program runs as a user of a server with accounts who has these rights and no others, while another user listens to
all that is published there.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from jetq.app.application import App
from jetq.beat.beat import Beat
from jetq.execution.context import Context
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.model.events import AccessDenied, Event, JanitorFailed
from jetq.model.scheduling import OccurrenceMade, SchedulerFailed
from jetq.settings import Queue, WorkerSettings
from jetq.web.api import http_api
from jetq.worker.responder import Responder
from jetq.worker.worker import Worker
from tests.house.rights import ROLES, Rights
from tests.integration.watching import eventually
from tests.integration.web.calling import Caller
from tests.servers import TestServer

QUEUES = ["DEFAULT", "MAIL"]
IN_DOUBT = "$JS.API.STREAM.MSG.GET"
"""What is asked only where an answer was lost, or somebody else wrote at the same time."""


class Stage(NamedTuple):
    """An application of a user with all rights, one of the user with few, and what the latter did."""

    admin: App
    app: App
    told: list[Event]
    published: set[str]

    @property
    def denied(self) -> list[AccessDenied]:
        return [event for event in self.told if isinstance(event, AccessDenied)]


@asynccontextmanager
async def stage_of(role: str, namespace: str) -> AsyncIterator[tuple[Stage, Rights]]:
    rights = ROLES[role].rights(namespace, QUEUES)
    users = f"""
        accounts {{
            JOBS: {{ jetstream: enabled, users: [
                {{ user: admin, password: s }}
                {{ user: program, password: s, {rights.config()} }}
            ] }}
            OTHERS: {{ jetstream: enabled, users: [{{ user: other, password: s }}] }}
        }}
    """
    with TestServer.start(users, user_part="admin:s") as server:
        admin = App("admin", namespace=namespace, queues=[Queue(name) for name in QUEUES])
        admin.connect_to(server.address)
        for queue in QUEUES:
            await admin.aenqueue("made", queue=queue)
        app = App("program", namespace=namespace, queues=[Queue(name) for name in QUEUES])
        app.connect_to(Address.of(server.url.replace("admin", "program")))
        told, published = list[Event](), set[str]()
        app.bus.listen(told.append)
        async with await Connection.open(server.address, name="spy") as spy:
            await spy.subscribe(">", lambda message: published.add(message.subject))
            yield Stage(admin, app, told, published), rights
        await app.aclose()
        await admin.aclose()


def unused(rights: Rights, published: Iterable[str]) -> list[str]:
    """Return what is granted and was not needed."""
    seen = list(published)
    patterns = {subject: re.compile(re.escape(subject).replace(r"\*", "[^.]+")) for subject in rights.publish}
    return [subject for subject, pattern in patterns.items() if not any(map(pattern.fullmatch, seen))]


async def test_a_scheduler_works_with_its_rights_alone(namespace: str) -> None:
    async with stage_of("scheduler", namespace) as (stage, rights):
        for name, queue, jitter in (("stored", "DEFAULT", 0), ("later", "DEFAULT", 30), ("gone", "MAIL", 30)):
            call = stage.admin.s("tick", queue=queue)
            await stage.admin.aadd_schedule(name, "@every 1s", call, jitter=jitter)
        stage.app.cron("declared", "@every 1s", stage.app.s("tick", queue="MAIL"))
        stage.published.clear()

        async with Beat(stage.app, janitor=True):

            async def all_are_made() -> bool:
                made = {event.schedule for event in stage.told if isinstance(event, OccurrenceMade)}
                return {"stored", "later", "gone", "declared"} <= made

            await eventually(all_are_made)
            await stage.admin.adelete_schedule("gone")

            async def is_forgotten() -> bool:
                return any("STREAM.PURGE" in subject for subject in stage.published)

            await eventually(is_forgotten)

    assert {event.subject.rpartition(".")[2] for event in stage.denied} == {"janitor"}
    assert [event.final for event in stage.told if isinstance(event, JanitorFailed)] == [True]
    assert [event for event in stage.told if isinstance(event, SchedulerFailed)] == []
    assert {right.rpartition(".")[0] for right in unused(rights, stage.published)} <= {IN_DOUBT}


async def test_an_http_server_works_with_its_rights_alone(namespace: str) -> None:
    async with stage_of("web", namespace) as (stage, rights):
        running = asyncio.Event()

        @stage.admin.task("hang")
        async def hang() -> None:
            running.set()
            await asyncio.sleep(60)

        stage.published.clear()
        caller = Caller(http_api(stage.app, local=True, makes_default=True), {"host": "localhost"})

        async def ask(method: str, path: str, **body: Any) -> Any:
            answered = await caller.call(method, path, body or None)
            assert answered.status < 300, (method, path, answered.data)
            return answered.json if answered.data else None

        for path in ("/readyz", "/v1/info", "/v1/queues"):
            await ask("GET", path)
        for queue in QUEUES:
            first = (await ask("POST", "/v1/tasks", type="quick", queue=queue))["id"]
            late = (await ask("POST", "/v1/tasks", type="quick", queue=queue, delay="1h"))["id"]
            await ask("POST", "/v1/tasks", type="quick", queue=queue, dependencies=[first])
            await ask("GET", f"/v1/tasks?queue={queue}")
            await ask("POST", f"/v1/tasks/{late}/run")
            for verb in ("cancel", "retry"):
                await ask("POST", f"/v1/tasks/{first}/{verb}")
            await ask("DELETE", f"/v1/tasks/{first}")
            for verb in ("pause", "resume", "purge"):
                await ask("POST", f"/v1/queues/{queue}/{verb}")
            schedule = f"/v1/schedules/{queue}"
            await ask("PUT", schedule, schedule="@daily", task_type="quick", queue=queue)
            for verb in ("disable", "enable", "run"):
                await ask("POST", f"{schedule}/{verb}")
            for path in (f"{schedule}/next", "/v1/schedules"):
                await ask("GET", path)
            await ask("DELETE", schedule)
            await ask("GET", f"/v1/queues/{queue}")
            await ask("DELETE", f"/v1/queues/{queue}")
            await ask("POST", "/v1/queues", name=queue)
        hanging = (await ask("POST", "/v1/tasks", type="hang"))["id"]
        async with Worker(stage.admin, settings=WorkerSettings(janitor=False, shutdown_timeout=0.1)):
            await running.wait()
            await ask("POST", f"/v1/tasks/{hanging}/cancel")

    assert stage.denied == []
    assert {right.rpartition(".")[0] for right in unused(rights, stage.published)} <= {IN_DOUBT}


async def test_a_server_of_remote_handlers_works_with_its_rights_alone(namespace: str) -> None:
    async with stage_of("responder", namespace) as (stage, rights):

        @stage.app.task("count")
        async def count(ctx: Context) -> int:
            ctx.progress(1)
            return 1

        stage.admin.remote("count")
        stage.published.clear()
        async with Responder(stage.app), Worker(stage.admin, settings=WorkerSettings(janitor=False)):
            assert await (await stage.admin.aenqueue("count")).aresult(timeout=10) == 1
            backend = (await stage.admin.clients.current()).backend
            assert b'"program"' in (await backend.connection.request("$SRV.PING.program")).data

    assert stage.denied == []
    assert unused(rights, stage.published) == []
    asked = [subject for subject in stage.published if f"{namespace}.H." in subject]
    assert asked == [f"{namespace}.H.T.count"]
    assert unused(ROLES["asking"].rights(namespace, QUEUES), asked) == [f"{namespace}.H.C.*"]
