"""remote: handlers in other programs are tasks whose arguments and results nobody knows, and Python's answer them."""

from typing import Any, assert_type

from jetq import App, Context, Middleware, RemoteHandlerError, Responder, Retry, Task, TaskCall, TaskHandle, Tasks

app = App("shop")
tasks = Tasks()


async def patient(ctx: Context, call_next: Any) -> Any:
    try:
        return await call_next(ctx)
    except RemoteHandlerError as error:
        assert_type(error.subject, str)
        assert_type(error.remote_traceback, str)
        raise Retry(5) from error


middleware: Middleware = patient

audit = app.remote(
    "audit:*",
    endpoint="auditor",
    queue="AUDIT",
    max_tries=3,
    retry=1,
    timeout=30,
    soft_timeout=20,
    deadline=60,
    discard=["complete"],
    middleware=[middleware],
    unique=True,
)
assert_type(audit, Task[..., Any])
assert_type(tasks.remote("a"), Task[..., Any])
assert_type(audit.using(type="audit:new").enqueue(user="ann"), TaskHandle[Any])
assert_type(audit.s(), TaskCall[Any])

app.remote("a", retry_on=[ValueError])  # E: call-arg reportCallIssue
app.remote("a", endpoint=1)  # E: arg-type reportArgumentType


async def answer() -> None:
    async with Responder(app, group="shop", endpoints=["catchall"]) as responder:
        assert_type(responder.running, int)
        responder.stop()
