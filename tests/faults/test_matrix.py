"""Each fault of the matrix, under load: what was acknowledged is done, once where nobody died, and in time."""

import time
from collections.abc import Callable
from json import dumps
from pathlib import Path

import pytest

from tests.faults.matrix.scenarios import SCENARIOS
from tests.faults.matrix.scene import Scenario, Scene

pytestmark = pytest.mark.faults

PROPERTY = "failure-matrix"
FORMS = [
    pytest.param(False, marks=pytest.mark.timeout(60), id="short"),
    pytest.param(True, marks=[pytest.mark.nightly, pytest.mark.timeout(600)], id="long"),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("long", FORMS)
async def test_a_fault_loses_nothing_and_hangs_nothing(
    scenario: Scenario, long: bool, namespace: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with Scene(tmp_path, namespace, long=long) as scene:
        began = time.monotonic()
        await scenario.play(scene)
        verdict = await scene.settle()
    record_property(PROPERTY, dumps(verdict._asdict() | {"scenario": scenario.name, "took": time.monotonic() - began}))
    assert verdict.problems == ()
