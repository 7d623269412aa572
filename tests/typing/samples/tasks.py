"""tasks: arguments and results of handlers are known where they are enqueued."""

from dataclasses import dataclass
from typing import Any, assert_type

from jetq import (
    App,
    Context,
    Exponential,
    Payload,
    Progress,
    Queue,
    Retention,
    SoftTimeout,
    Task,
    TaskCall,
    TaskHandle,
    Tasks,
)


@dataclass
class Order:
    id: int


app = App("shop", queues=[Queue("EMAIL")])
tasks = Tasks()


@app.task("email:new", queue="EMAIL", retry=Exponential(first=2, max=600), timeout=30)
async def send_email(ctx: Context, to: str, subject: str = "hi") -> str:
    return f"{ctx.task_id} {to} {subject}"


@app.task("email:*")
def any_email(ctx: Context) -> None:
    ctx.logger.info("%s", ctx.payload)


@app.task("report:make", timeout=300, soft_timeout=240, retention={"complete": 3600}, discard=["cancelled"])
def report(ctx: Context, month: str) -> None:
    try:
        ctx.progress(1, 10, "collecting")
        ctx.extend(600)
        assert_type(ctx.soft_timed_out, bool)
    except SoftTimeout:
        return


@tasks.task("order:paid")
async def paid(order: Payload[Order]) -> int:
    assert_type(order, Order)
    return order.id


@app.task("add")
def add(first: int, second: int) -> int:
    return first + second


async def use() -> None:
    handle = await send_email.aenqueue("a@b.c", subject="x")
    assert_type(handle, TaskHandle[str])
    assert_type(await handle.aresult(timeout=10), str)
    assert_type(await paid.aenqueue(Order(1)), TaskHandle[int])
    assert_type(add.enqueue(1, second=2).result(), int)
    assert_type(add.s(1, 2), TaskCall[int])
    assert_type(send_email.using(delay=30).enqueue(to="x").result(), str)
    assert_type(any_email.using(type="email:old").enqueue().result(), None)
    assert_type(app.enqueue("email:new", {"to": "x"}), TaskHandle[Any])
    app.enqueue_many([("email:new", {"to": "x"}), add.s(1, 2)])
    assert_type(await handle.aprogress(), Progress | None)
    assert_type(add.using(soft_timeout=5, retention=Retention(complete=0, failed=60)).s(1, 2), TaskCall[int])

    await send_email.aenqueue()  # E: call-arg reportCallIssue
    await send_email.aenqueue(to=1)  # E: arg-type reportArgumentType
    await send_email.aenqueue(to="x", subjet="y")  # E: call-arg reportCallIssue
    await paid.aenqueue({"id": 1})  # E: arg-type reportArgumentType
    add.enqueue(1, "2")  # E: arg-type reportArgumentType
    add.si(1)  # E: call-arg reportCallIssue
    add.si(1, "2")  # E: arg-type reportArgumentType
    send_email.using(dealy=3)  # E: call-arg reportCallIssue
    send_email.using(retention="long")  # E: arg-type reportArgumentType
    app.enqueue("email:new", {}, queue=5)  # E: arg-type reportArgumentType
    app.enqueue_many([{"type": "x"}])  # E: list-item reportArgumentType


def takes(task: Task[..., str]) -> None:
    task.enqueue()


takes(send_email)
takes(add)  # E: arg-type reportArgumentType


app.task()  # E: call-arg reportCallIssue
