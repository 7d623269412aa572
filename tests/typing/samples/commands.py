"""commands: programs as handlers are tasks whose arguments and results nobody knows."""

from pathlib import Path
from typing import Any, assert_type

from jetq import App, CommandFailedError, Context, Middleware, Task, TaskCall, TaskHandle, Tasks

app = App("shop")
tasks = Tasks()


async def tell(ctx: Context, call_next: Any) -> Any:
    try:
        return await call_next(ctx)
    except CommandFailedError as error:
        assert_type(error.status, int)
        assert_type(error.output, str)
        raise


middleware: Middleware = tell

call = app.command(
    "webhook:call",
    ["./call.sh", "--fast"],
    cwd=Path("/srv"),
    env={"LANG": "C", "SECRET": None},
    output="json",
    max_output=1000,
    grace=1,
    terminate_on=[64, 65],
    queue="CALLS",
    max_tries=3,
    retry="1m",
    timeout=30,
    soft_timeout=20,
    discard=["complete"],
    middleware=[middleware],
    unique=True,
)
assert_type(call, Task[..., Any])
assert_type(tasks.command("a", ("true",)), Task[..., Any])
assert_type(call.enqueue(url="x"), TaskHandle[Any])
assert_type(call.s(), TaskCall[Any])

app.command("a", ["true"], output="xml")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.command("a", ["true"], pool="process")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
app.command("a", [1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
