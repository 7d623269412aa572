"""Each fault of the matrix, under load: what was acknowledged is done, once where nobody died, and in time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import FINDING
from tests.faults.matrix.page import play
from tests.faults.matrix.scenarios import SCENARIOS
from tests.faults.matrix.scene import Scenario

pytestmark = pytest.mark.faults

NIGHTLY = [pytest.mark.nightly, pytest.mark.timeout(600)]
PLAYED = [
    pytest.param(scenario, long, marks=marks, id=f"{form}-{scenario.name}")
    for scenario in SCENARIOS
    for form, long, marks in [
        ("short", False, [pytest.mark.timeout(90)] if scenario.often else NIGHTLY),
        ("long", True, NIGHTLY),
    ]
]


@pytest.mark.parametrize(("scenario", "long"), PLAYED)
async def test_a_fault_loses_nothing_and_hangs_nothing(
    scenario: Scenario, long: bool, namespace: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    row = await play(scenario, tmp_path, namespace, long=long)

    record_property(FINDING, row.line())
    assert row.verdict.problems == ()
