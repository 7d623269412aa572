"""Each fault of the matrix, under load: what was acknowledged is done, once where nobody died, and in time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import FINDING
from tests.faults.matrix.page import play
from tests.faults.matrix.scenarios import SCENARIOS
from tests.faults.matrix.scene import Scenario

pytestmark = pytest.mark.faults

FORMS = [
    pytest.param(False, marks=pytest.mark.timeout(90), id="short"),
    pytest.param(True, marks=[pytest.mark.nightly, pytest.mark.timeout(600)], id="long"),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("long", FORMS)
async def test_a_fault_loses_nothing_and_hangs_nothing(
    scenario: Scenario, long: bool, namespace: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    row = await play(scenario, tmp_path, namespace, long=long)

    record_property(FINDING, row.line())
    assert row.verdict.problems == ()
