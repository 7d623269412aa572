"""The quickstart measures files, and tells which it could not read."""

import hashlib
import os
import re
import signal
import subprocess
import sys

import pytest

from tests.acceptance.programs import PATIENCE, Folder
from tests.house.inspection import ROOT

pytestmark = pytest.mark.timeout(120)  # a dozen programs start, on whatever machine

PROGRAM = ROOT / "examples" / "01-quickstart" / "main.py"
RUN = (str(PROGRAM),)


def test_it_measures_its_own_repository(folder: Folder) -> None:
    ended = folder.using(COLUMNS="300").run(command=RUN)  # whole paths, however long the way there

    assert ended.status == 0, ended.err
    found = re.search(r"([\d,]+) of ([\d,]+) files measured", ended.out)
    assert found is not None, ended.out
    assert found[1] == found[2]
    assert int(found[1].replace(",", "")) > 100
    assert "jetq/errors.py" in ended.out


def test_the_measures_are_right(folder: Folder) -> None:
    text = b"one two\nthree\n"
    (folder.path / "data").mkdir()
    (folder.path / "data" / "a.bin").write_bytes(text)

    ended = folder.run("data", command=RUN)

    [row] = [line for line in ended.out.splitlines() if "a.bin" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["data/a.bin", "14", "2", "3", hashlib.sha256(text).hexdigest()[:12]]


def test_a_file_that_cannot_be_read_is_told_and_the_rest_goes_on(folder: Folder) -> None:
    data = folder.path / "data"
    data.mkdir()
    (data / "good.txt").write_text("fine\n")
    (data / "gone.txt").symlink_to("nowhere")
    (data / "closed.txt").write_text("secret\n")
    (data / "closed.txt").chmod(0)

    ended = folder.run("data", "missing.txt", command=RUN)

    assert ended.status == 0, ended.err
    told = re.sub(r"\s+", " ", ended.out)
    assert re.search(r"data/gone.txt: task \w+ ended terminated .*cannot read it: No such file or directory", told)
    assert re.search(r"missing.txt: task \w+ ended terminated .*cannot read it: No such file or directory", told)
    if os.geteuid() != 0:
        assert re.search(r"data/closed.txt: .*cannot read it: Permission denied", told)
    assert re.search(r"[12] of 4 files measured", told)


def test_two_thousand_files_are_no_trouble(folder: Folder) -> None:
    data = folder.path / "data"
    data.mkdir()
    for number in range(2000):
        (data / f"{number}.txt").write_text(f"file {number}\n")

    ended = folder.run("data", command=RUN)

    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[-1] == "2,000 of 2,000 files measured: 2,000 lines, 4,000 words"


def test_an_interrupt_ends_it_cleanly(folder: Folder) -> None:
    data = folder.path / "data"
    data.mkdir()
    endless = data / "endless.txt"
    os.mkfifo(endless)
    with subprocess.Popen(
        [sys.executable, *RUN, "data"],
        cwd=folder.path,
        env=folder.environment | {"FORCE_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 100)  # the progress bar, which is live
        with endless.open("wb"):  # the handler reads, and there is nothing to be read
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, err) == (1, b"interrupted\n")


def test_it_is_short_and_uses_the_public_api_alone() -> None:
    text = PROGRAM.read_text()

    assert len(text.splitlines()) < 100
    assert re.findall(r"from (jetq\S*) import", text) == ["jetq"]
