"""Hooks, lifespans and pools, as users write them."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import assert_type

from jetq import App, Context, TaskHandle

app = App("shop")


@app.lifespan
async def lifespan(app: App) -> AsyncIterator[dict[str, str]]:
    yield {"name": app.name}


@App("generator").lifespan
async def generator(_app: App) -> AsyncGenerator[None, None]:
    yield


@App("manager").lifespan
@asynccontextmanager
async def manager(_app: App) -> AsyncGenerator[int, None]:
    yield 1


@app.on_worker_start
async def start() -> None: ...


@app.on_worker_stop
def stop() -> None: ...


@app.on_process_start
def load() -> dict[str, int]:
    return {"a": 1}


def demanding(_name: str) -> None: ...


async def lifeless(_app: App) -> None: ...


app.on_process_stop(demanding)  # E: type-var reportArgumentType
app.lifespan(lifeless)  # E: type-var reportArgumentType


@app.task("thumbnail:make", pool="process", timeout=60)
def thumbnail(ctx: Context, path: str, width: int = 200) -> str:
    return f"{path} {width} {ctx.state}"


app.task("a", pool="gevent")  # E: arg-type reportArgumentType


async def use() -> None:
    assert_type(await thumbnail.aenqueue("a.png", width=3), TaskHandle[str])
    assert_type(load(), dict[str, int])
    await start()
