from datetime import timedelta
from typing import Any

import pytest

from jetq.model.schedule import parse_schedule
from jetq.model.schedule_words import describe


@pytest.mark.parametrize(
    ("spec", "zone", "words"),
    [
        ("0 3 * * *", "Europe/Malta", "at 03:00 every day, Europe/Malta time"),
        ("30 2,14 * * mon-fri", None, "at 02:30 and 14:30 on Monday to Friday, UTC"),
        ("0 0 * * sun,sat", None, "at 00:00 on Saturday and Sunday, UTC"),
        ("0 0 1 * *", None, "at 00:00 on day 1 of the month, UTC"),
        ("0 0 L * *", None, "at 00:00 on the last day of the month, UTC"),
        ("0 0 1,15,L * *", None, "at 00:00 on days 1 and 15 and the last day of the month, UTC"),
        ("0 0 13 * fri", None, "at 00:00 on day 13 of the month or on Friday, UTC"),
        ("0 0 * * fri#2", None, "at 00:00 on the second Friday, UTC"),
        ("0 0 * * friL", None, "at 00:00 on the last Friday, UTC"),
        ("0 12 29 2 *", None, "at 12:00 on day 29 of the month in February, UTC"),
        ("0 12 1 6-8,12 *", None, "at 12:00 on day 1 of the month in June to August and December, UTC"),
        ("@hourly", None, "every hour, UTC"),
        ("@yearly", None, "at 00:00 on day 1 of the month in January, UTC"),
        ("* * * * *", None, "every minute, UTC"),
        ("*/5 * * * *", None, "every 5 minutes, UTC"),
        ("*/7 * * * *", None, "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56, UTC"),
        ("5 * * * *", None, "at minute 5, UTC"),
        ("*/15 8-17 * * 1-5", None, "every 15 minutes in hours 8 to 17 on Monday to Friday, UTC"),
        ("0 */12 * * *", None, "at minute 0 in hours 0 and 12, UTC"),
        ("*/10 * * * * *", None, "every 10 seconds, UTC"),
        ("* * * * * *", None, "every second, UTC"),
        ("30 0 3 * * *", None, "at 03:00:30 every day, UTC"),
        ("5 */2 * * * *", None, "at second 5 of every 2 minutes, UTC"),
        ("@every 90s", None, "every 90 seconds"),
        ("@every 1h30m", None, "every 90 minutes"),
        (timedelta(hours=1), None, "every hour"),
        (timedelta(days=2), None, "every 2 days"),
        ("@at 2026-11-24T03:00:00Z", None, "once, at 2026-11-24 03:00:00 UTC"),
    ],
    ids=str,
)
def test_a_schedule_is_said_in_words(spec: Any, zone: str | None, words: str) -> None:
    assert describe(parse_schedule(spec, zone)) == words
