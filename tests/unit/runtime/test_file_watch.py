"""A Python file that is written is noticed, with watchfiles and without it."""

import queue
import sys
import threading
from pathlib import Path

import pytest

from jetq.runtime.file_watch import watch


@pytest.mark.parametrize("installed", [True, False])
def test_a_changed_file_is_noticed(installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if installed:
        pytest.importorskip("watchfiles")
    else:
        monkeypatch.setitem(sys.modules, "watchfiles", None)
    (tmp_path / ".venv").mkdir()
    shop = tmp_path / "shop.py"
    shop.write_text("x = 0")
    seen: queue.Queue[list[Path]] = queue.Queue()
    stopped = threading.Event()
    watching = threading.Thread(target=watch, args=(tmp_path, seen.put, stopped), daemon=True)
    watching.start()

    changes: list[Path] = []
    for attempt in range(20):  # the watch may begin after the first writings
        (tmp_path / "notes.txt").write_text(str(attempt))
        (tmp_path / ".venv" / "hidden.py").write_text(str(attempt))
        shop.write_text(f"x = {attempt + 1}")
        try:
            changes = seen.get(timeout=1.5)
        except queue.Empty:
            continue
        break
    stopped.set()

    assert [path.resolve() for path in changes] == [shop.resolve()]
    watching.join(timeout=10)
    assert not watching.is_alive()
