import asyncio
import os
from datetime import timedelta

import pytest

from jetq.app.application import App
from jetq.errors import (
    BlockingCallError,
    InvalidPayloadError,
    Retry,
    TaskExpiredError,
    TaskFailedError,
    TaskTerminatedError,
    Terminate,
)
from jetq.execution.context import Context
from jetq.execution.middleware import CallNext
from jetq.model.outcome import Failed, Invalid, Retried, Succeeded, TimedOut, Unroutable
from jetq.model.state import State
from jetq.routing.payload import Payload
from jetq.settings import Queue
from jetq.testing.inline import InlineEnqueue, arun_inline, run_inline


async def shout(ctx: Context, call_next: CallNext) -> object:
    return f"{await call_next(ctx)}!"


app = App("test", middleware=[shout], queues=[Queue("QUICK", max_run_time=1, max_tries=2)])


@app.task("mail:new", max_tries=3)
async def mail(ctx: Context, to: str, count: int = 1) -> str:
    await ctx.aenqueue("mail:sent", {"to": to}, queue="LOG")
    return f"{ctx.attempt}/{ctx.tries} {to} {count}"


@app.task("mail:*")
def any_mail(ctx: Context) -> str:
    if ctx.payload == "later":
        raise Retry(5)
    if ctx.payload == "never":
        raise Terminate("no such address")
    raise LookupError("unknown mail")


@app.task("number", queue="QUICK", timeout=0.05)
async def number(n: Payload[int]) -> int:
    return n


def test_a_task_call_runs_through_router_middleware_and_codec() -> None:
    run = run_inline(app, mail.s(to="a@b.c"), attempt=2)

    assert run.outcome == Succeeded(b'"2/2 a@b.c 1!"')
    assert run.result() == "2/2 a@b.c 1!"
    assert run.record.state is State.COMPLETE
    assert run.enqueued == [InlineEnqueue("mail:sent", {"to": "a@b.c"}, {"queue": "LOG"})]


def test_a_task_of_many_calls_gives_the_list_of_their_results() -> None:
    own = App("own")

    @own.task("double")
    def double(number: int) -> set[int]:
        return {number * 2}

    assert run_inline(own, double.starmap([(1,), (2,)])).result() == [{2}, {4}]


def test_a_task_type_with_a_payload_is_routed_and_bound() -> None:
    assert run_inline(app, "mail:new", {"to": "x", "count": "3"}).result() == "1/1 x 3!"
    assert run_inline(app, "mail:new", {"count": 3}).outcome == Invalid("argument 'to' is missing")


def test_what_follows_is_judged() -> None:
    later = run_inline(app, "mail:old", "later")
    never = run_inline(app, "mail:old", "never")
    failed = run_inline(app, "mail:old")

    assert isinstance(later.outcome, Retried)
    assert later.record.state is State.RETRY
    assert later.verdict.due is not None
    with pytest.raises(TaskTerminatedError, match="no such address"):
        never.result()
    assert isinstance(failed.outcome, Failed)
    with pytest.raises(TaskFailedError, match="unknown mail"):
        failed.result()


def test_errors_and_policies_are_judged_as_the_application_says() -> None:
    def elsewhere(error: Exception, _ctx: Context) -> Retry | None:
        return Retry(queue="SLOW") if isinstance(error, LookupError) else None

    shop = App("shop", retry="slow", retry_policies={"slow": 3600}, give_up_on=ValueError, on_error=elsewhere)

    @shop.task("fail:*")
    def fail(ctx: Context) -> None:
        raise {"key": KeyError, "value": ValueError, "type": TypeError}[ctx.payload]("x")

    moved, given_up, again = (run_inline(shop, "fail:x", kind).record for kind in ("key", "value", "type"))

    assert (moved.state, moved.queue) == (State.RETRY, "SLOW")
    assert (given_up.state, given_up.end, given_up.last_err) == (State.TERMINATED, "given_up", "ValueError: x")
    assert again.due is not None
    assert again.tried is not None
    assert timedelta(minutes=59) < again.due - again.tried <= timedelta(hours=1)


def test_the_last_try_ends_the_task_as_the_queue_says() -> None:
    slow = App("slow", queues=[Queue("QUICK", max_run_time=1, max_tries=2)])

    @slow.task("wait", queue="QUICK", timeout=0.02)
    def wait() -> None:
        while True:
            pass

    run = run_inline(slow, wait.s(), attempt=2)

    assert run.outcome == TimedOut(0.02)
    with pytest.raises(TaskExpiredError, match="max_tries"):
        run.result()


def test_a_type_without_handler_is_unroutable() -> None:
    assert run_inline(app, "sms:new").outcome == Unroutable("sms:new")


def test_payloads_that_are_not_json_are_refused() -> None:
    with pytest.raises(InvalidPayloadError):
        run_inline(app, "mail:new", {"to": object()})


async def test_in_a_loop_there_is_the_async_form() -> None:
    assert (await arun_inline(app, number.s(5))).outcome == Succeeded(b'"5!"')
    with pytest.raises(BlockingCallError, match="arun_inline"):
        run_inline(app, number.s(5))


async def test_progress_and_extensions_work_inline() -> None:
    own = App("own")

    @own.task("long", timeout=0.2)
    async def long(ctx: Context) -> float:
        ctx.progress(1, 2, "half")
        await ctx.aextend(30)
        await asyncio.sleep(0.3)
        return ctx.time_left

    @own.task("soft", soft_timeout=0.05)
    async def soft(ctx: Context) -> bool:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return ctx.soft_timed_out
        return False

    run = await arun_inline(own, long.s())

    assert run.result() > 29
    assert [(said.current, said.total, said.text) for said in run.progress] == [(1, 2, "half")]
    assert (await arun_inline(own, soft.s())).result() is True


def in_a_process(name: str) -> str:
    return f"{name} {os.getpid()}"


def test_a_handler_of_a_process_runs_here() -> None:
    own = App("own")
    own.task("cpu", pool="process")(in_a_process)

    assert run_inline(own, "cpu", {"name": "it"}).result() == f"it {os.getpid()}"


def test_a_handler_gets_the_state_that_the_test_gives() -> None:
    own = App("own")

    @own.task("ask")
    def ask(ctx: Context) -> str:
        return str(ctx.state["database"])

    assert run_inline(own, ask.s(), state={"database": "a fake"}).result() == "a fake"
