"""retries: policies, exception classes, and functions that decide."""

from datetime import timedelta

from jetq import App, Context, Exponential, Fixed, Retry, RetryPolicy, Settings, Snooze, Steps, Tasks, Terminate


class Own:
    def delay(self, retry: int, chance: float) -> float:
        return retry + chance


def decide(error: Exception, ctx: Context) -> Retry | Snooze | Terminate | None:
    return Retry(delay=timedelta(seconds=5), reason="busy", queue="SLOW") if ctx.tries < 3 else None


def always_again(error: BaseException, _ctx: object) -> Retry:
    return Retry(queue=None)


def babbles(error: Exception, ctx: Context) -> str:
    return ""


def knows_one(error: OSError, ctx: Context) -> None: ...


async def decides_later(error: Exception, ctx: Context) -> None: ...


app = App(
    "shop",
    retry="gentle",
    retry_policies={"gentle": Exponential(first=2), "own": Own(), "often": 5, "late": lambda retry: 60 * retry},
    retry_on=(OSError, ValueError),
    give_up_on=[KeyError],
    on_error=decide,
)
tasks = Tasks()
policy: RetryPolicy = Steps((1.0, 5.0), jitter=0.5)
settings = Settings(retry=policy, retry_policies={"gentle": timedelta(minutes=1)})


@tasks.task("a", retry=policy, retry_on=ConnectionError, give_up_on={KeyError}, on_error=always_again)
async def first(number: int) -> int:
    return number


first.using(retry="gentle", deadline=60).enqueue(number=1)
first.using(retry=Fixed(5)).enqueue(number=1)
app.enqueue("a", {"number": 1}, retry=timedelta(minutes=1))

first.using(retry=[1])  # E: arg-type reportArgumentType
tasks.task("b", retry_on="ValueError")  # E: arg-type reportArgumentType
tasks.task("b", retry_on=(int,))  # E: arg-type reportArgumentType
tasks.task("b", on_error=babbles)  # E: arg-type reportArgumentType
tasks.task("b", on_error=knows_one)  # E: arg-type reportArgumentType
tasks.task("b", on_error=decides_later)  # E: arg-type reportArgumentType
App("shop", retry_policies={"gentle": None})  # E: dict-item reportArgumentType
