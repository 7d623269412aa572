"""unique: which tasks are the same is said in checked words."""

from datetime import timedelta
from typing import assert_type

from jetq import App, TaskHandle, Unique, UniqueMode

app = App("shop")


def addressee(to: int) -> str | None:
    return f"{to}" if to else None


def of_page(page: str, **_rest: object) -> str:
    return page


@app.task("mail", unique=addressee)
async def mail(to: int) -> str:
    return f"{to}"


@app.task("report", unique=True)
def report(month: str) -> str:
    return month


@app.task("index", unique=Unique(of_page, mode="latest"))
def index(page: str, text: str) -> int:
    return len(page + text)


async def use() -> None:
    handle = await mail.using(unique="key").aenqueue(1)
    assert_type(handle, TaskHandle[str])
    assert_type(handle.is_new, bool)
    assert_type(index.enqueue("a", text="b").result(), int)
    app.enqueue("mail", {"to": 1}, unique=Unique("key", period=timedelta(hours=1)))
    report.using(unique=False).enqueue("may")
    report.using(unique=Unique(mode=UniqueMode.REPLACE), delay=5).enqueue("may")

    report.using(unique=5).enqueue("may")  # E: arg-type reportArgumentType
    Unique(period="1h")  # E: arg-type reportArgumentType
    Unique("key", modus="latest")  # E: call-arg reportCallIssue
