"""What schedules will do is shown before they do it, and each planned second has its one task."""

import pytest

from tests.acceptance.programs import Folder
from tests.house.inspection import ROOT

pytestmark = pytest.mark.timeout(120)

RUN = (str(ROOT / "examples" / "03-schedules" / "main.py"),)
CRON = """
app.cron("nightly", "30 2 * * *", add.s(a=1, b=2), timezone="Europe/Malta", jitter=60)
app.cron("sums", "@every 1m", add.s(a=1, b=2), enabled=False)
"""


def test_the_example_loses_and_doubles_no_second_when_its_leader_stops(folder: Folder) -> None:
    ended = folder.using(COLUMNS="120").run("6", command=RUN)

    assert ended.status == 0, ended.err
    assert "at 09:00 on the last Friday, America/New_York time" in ended.out
    assert ended.out.endswith("tasks ran: 0 seconds lost, 0 doubled\n")
    assert int(ended.out.splitlines()[-1].split()[0]) >= 3


def test_the_example_says_what_it_cannot_use(folder: Folder) -> None:
    refused = folder.run("soon", command=RUN)
    assert (refused.status, refused.err) == (1, "how many seconds? 'soon' is no number\n")


@pytest.fixture
def declaring(folder: Folder) -> Folder:
    path = folder.path / "shop.py"
    path.write_text(path.read_text() + CRON)
    return folder


def test_a_preview_of_an_application_needs_no_server(declaring: Folder) -> None:
    shown = declaring.run("beat", "preview", "shop:app", "--next", "1")
    chosen = declaring.run("beat", "preview", "shop:app", "--name", "sums", "--json")

    assert shown.status == 0, shown.err
    head, *lines = shown.out.splitlines()
    assert head == "nightly: CRON_TZ=Europe/Malta 30 2 * * *"
    assert lines[0] == "  at 02:30 every day, Europe/Malta time; up to 60 s later"
    assert sum("02:30 does not come that day; it runs right after" in line for line in lines) in {1, 2}
    assert sum("02:30 comes twice that day; this is the first time" in line for line in lines) in {1, 2}
    assert lines[-1] == "  every minute; off now"
    [sums] = chosen.json
    assert (sums["name"], sums["on"], sums["next"], sums["clock_changes"]) == ("sums", False, [], [])


def test_who_asks_for_no_occurrence_is_not_told_that_none_is_left(folder: Folder) -> None:
    shown = folder.run("beat", "preview", "--spec", "30 2 * * *", "--timezone", "Europe/Malta", "--next", "0")

    assert shown.status == 0
    assert "no occurrence is left" not in shown.out
    assert "changes of the clock, 400 days ahead:" in shown.out


def test_a_preview_of_a_spec_needs_no_server_and_no_application(folder: Folder) -> None:
    shown = folder.run("beat", "preview", "--spec", "0 9 * * mon", "--timezone", "Asia/Tokyo", "--json", "--next", "2")
    [spec] = shown.json
    assert (spec["words"], spec["timezone"], len(spec["next"])) == (
        "at 09:00 on Monday, Asia/Tokyo time",
        "Asia/Tokyo",
        2,
    )
    assert all(each["at"].endswith("T00:00:00Z") and "T09:00:00+09:00" in each["local"] for each in spec["next"])


def test_a_preview_of_the_store_shows_what_is_stored(shop: Folder) -> None:
    shop.run("cron", "add", "nightly", "0 3 * * *", "add", "--timezone", "Europe/Malta")
    shown = shop.run("beat", "preview", "--next", "1")
    missing = shop.run("beat", "preview", "--name", "other")

    assert shown.out.startswith("nightly: CRON_TZ=Europe/Malta 0 3 * * *\n  at 03:00 every day, Europe/Malta time\n")
    assert "03:00:00 +0" in shown.out
    assert missing.status == 1
    assert "there is no schedule other" in missing.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(("--spec", "0 0 30 2 *"), 2, "there is no day 30 in February", id="spec"),
        pytest.param(("--spec", "@daily", "--timezone", "Mars"), 2, "there is no time zone 'Mars'", id="zone"),
        pytest.param(("shop", "--spec", "@daily"), 2, "expected --spec to be absent beside MODULE:APP", id="both"),
        pytest.param(("--timezone", "UTC"), 2, "expected --timezone to be given with --spec alone", id="timezone"),
        pytest.param(("nowhere",), 2, "cannot load 'nowhere'", id="module"),
        pytest.param(("shop", "--name", "other"), 1, "there is no schedule other", id="name"),
        pytest.param(("--spec", "@daily", "--next", "-1"), 2, "--next", id="count"),
    ],
)
def test_what_cannot_be_previewed_is_said_in_a_sentence(
    declaring: Folder, arguments: tuple[str, ...], status: int, said: str
) -> None:
    ended = declaring.run("beat", "preview", *arguments)
    assert said in ended.err
    assert (ended.status, ended.out) == (status, "")
    assert "Traceback" not in ended.err


def test_a_mistake_in_a_schedule_ends_the_program_that_makes_it(declaring: Folder) -> None:
    path = declaring.path / "shop.py"
    path.write_text(path.read_text() + 'app.cron("nightly", "@daily", add.s(a=1, b=2))\n')
    ended = declaring.run("beat", "preview", "shop")
    assert ended.status == 2
    assert "a schedule 'nightly' is declared already" in ended.err
