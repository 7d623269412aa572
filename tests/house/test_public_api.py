"""The public API changes on purpose only."""

import difflib
import sys
from pathlib import Path

import pytest

import jetq
from tests.house.public_api import FROZEN, describe

HALL = """
from hall.room import Opener, PORT, Width, knock

__all__ = ["PORT", "Opener", "Width", "__version__", "knock"]
__version__ = "7.7.7"
"""

ROOM = """
from enum import StrEnum
PORT: int = 4222
Width = int | None

class _Hinge:
    def creak(self, *, loud: bool = False) -> None: ...

class Opener(_Hinge):
    key: str = "k"
    _secret: int = 0
    def __init__(self, key: str, /, *, turns: int = 1) -> None: self.key = key
    @property
    def turns(self) -> int: return 1
    @classmethod
    def of(cls, key: str) -> "Opener": return cls(key)
    async def aopen(self, *doors: str, **options: object) -> bool: return True
    def _oil(self) -> None: ...

def knock(times: int = 3) -> str: return "knock " * times
"""

DESCRIBED = """\
class Opener(_Hinge)
    key: str = 'k'
    def __init__(self, key: str, /, *, turns: int=1) -> None
    @property
    def turns(self) -> int
    @classmethod
    def of(cls, key: str) -> 'Opener'
    async def aopen(self, *doors: str, **options: object) -> bool
    def creak(self, *, loud: bool=False) -> None
PORT: int = 4222
Width = int | None
__version__: str
def knock(times: int=3) -> str
"""


def test_the_public_api_is_the_frozen_one() -> None:
    frozen = FROZEN.read_text(encoding="utf-8").splitlines()
    difference = "\n".join(difflib.unified_diff(frozen, describe().splitlines(), "frozen", "found", lineterm=""))

    assert difference == "", "if this is meant: python -m tests.house.public_api"


def test_every_public_name_is_documented() -> None:
    silent = [
        name for name in jetq.__all__ if isinstance(getattr(jetq, name), type) and not getattr(jetq, name).__doc__
    ]

    assert silent == []


def test_names_signatures_and_members_are_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hall").mkdir()
    (tmp_path / "hall" / "__init__.py").write_text(HALL)
    (tmp_path / "hall" / "room.py").write_text(ROOM)
    monkeypatch.syspath_prepend(tmp_path)

    assert describe("hall") == DESCRIBED
    for module in ("hall", "hall.room"):
        monkeypatch.delitem(sys.modules, module)
