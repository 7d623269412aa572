"""schedules: what is to be done again and again is said in checked words."""

from datetime import UTC, datetime, timedelta
from typing import assert_type

from jetq import App, Context, DeclaredSchedule, Misfire, Tasks

app = App("shop")
tasks = Tasks()


@app.task("report")
async def report(ctx: Context, month: str = "") -> str:
    assert_type(ctx.scheduled_for, datetime | None)
    return month


nightly = app.cron(
    "nightly",
    "0 3 * * *",
    report.s(month="may"),
    timezone="Europe/Malta",
    misfire="latest",
    deadline=timedelta(hours=1),
)
assert_type(nightly, DeclaredSchedule)
app.cron("often", timedelta(minutes=5), report.s(), misfire=Misfire.ALL, limit=10, max_late=60, jitter=2.5)
app.cron("once", datetime(2027, 1, 1, tzinfo=UTC), report.s(), start=None, enabled=False)
app.cron("go", "@hourly", app.s("go:report", {"month": "may"}), queue="GO", max_tries=3)
tasks.cron("grouped", "@daily", report.s())

app.cron("wrong", 5, report.s())  # E: arg-type reportArgumentType
app.cron("wrong", "@daily", report)  # E: arg-type reportArgumentType
app.cron("wrong", "@daily", report.s(), timezone=5)  # E: arg-type reportArgumentType
app.cron("wrong", "@daily", report.s(), zone="UTC")  # E: call-arg reportCallIssue
app.cron("wrong", "@daily")  # E: call-arg reportCallIssue
