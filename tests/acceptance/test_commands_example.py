"""The example of programs as handlers shows a result, an error that no try helps against, and a time limit."""

import re
import sys

import pytest

from tests.acceptance.programs import Folder
from tests.house.inspection import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers on Windows run no commands")

RUN = (str(ROOT / "examples" / "04-commands" / "main.py"),)


def test_it_shows_what_came_of_each_program(folder: Folder) -> None:
    ended = folder.using(COLUMNS="140").run("one two three", command=RUN)

    assert ended.status == 0, ended.err
    assert re.search(r"count the words │ complete +│ 1 +│ \{'words': 3, 'first': 'one'\}", ended.out)
    assert re.search(r"count no words +│ terminated │ 1 +│ the command ./count.sh ended with status 65", ended.out)
    assert re.search(r"ponder for ever │ expired +│ 1 +│ TimeoutError: ran longer than its limit of 1 s", ended.out)
