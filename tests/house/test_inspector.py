"""The inspector sees a room that breaks every rule."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.inspection import PACKAGE, ROOT

ROTTEN = '''
"""Helps."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jetq.cli


class RottenError(Exception):
    def __init__(self, a, b, c, d, e, f, g, h, i):
        self.home = os.environ["HOME"]


def rot():
    import json
    try:
        json.loads("")  # noqa: S101
    except Exception:
        pass
'''


@pytest.mark.timeout(90)  # it inspects the package a dozen times, which takes 5 s of a processor
def test_every_rule_is_seen_to_be_broken(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "jetq", ignore=ignored)
    shutil.copytree(ROOT / "tests" / "house", tmp_path / "tests" / "house", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "jetq" / "shed").mkdir()
    (tmp_path / "jetq" / "shed" / "utils.py").write_text(ROTTEN + "    rot()\n" * 400)

    command = [sys.executable, "-m", "pytest", "-q", "-rA", "tests/house/test_rooms.py"]
    inspected = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert re.findall(r"^PASSED .*", inspected.stdout, re.MULTILINE) == []
    assert len(re.findall(r"^FAILED .*::test_", inspected.stdout, re.MULTILINE)) == 12
