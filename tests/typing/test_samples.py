"""
What users write is checked by their type checkers as we mean it.

The files in ``samples`` are checked and never run. mypy and pyright, both strict, find nothing in them but the
mistakes that a comment on their line announces: ``# E: <code of mypy> <rule of pyright>``, with ``-`` for the checker
that lets it pass. Types that should be inferred are stated with ``typing.assert_type``.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).with_name("samples")
MISTAKE = re.compile(r"# E: (?P<mypy>[\w-]+) (?P<pyright>[\w-]+)")

Findings = set[tuple[str, int, str]]
Checker = Callable[[Path, Path], Findings]


def run_mypy(samples: Path, cache: Path) -> Findings:
    command = ["mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(cache), "--output", "json"]
    lines = run([*command, str(samples)]).splitlines()
    found = [one for line in lines if line.startswith("{") and (one := json.loads(line))["severity"] == "error"]
    here = [one for one in found if Path(ROOT, one["file"]).parent == samples]
    return {(Path(one["file"]).name, one["line"], one["code"]) for one in here}


def run_pyright(samples: Path, folder: Path) -> Findings:
    config = {"include": [samples.name], "extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = ["pyright", "--project", str(folder), "--pythonpath", sys.executable, "--outputjson"]
    found = json.loads(run(command))["generalDiagnostics"]
    return {(Path(one["file"]).name, one["range"]["start"]["line"] + 1, one.get("rule", "")) for one in found}


def run(arguments: list[str]) -> str:
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def announced(checker: str, samples: Path) -> Findings:
    return {
        (path.name, number, mistake[checker])
        for path in samples.glob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (mistake := MISTAKE.search(line)) and mistake[checker] != "-"
    }


CHECKERS: dict[str, Checker] = {"mypy": run_mypy, "pyright": run_pyright}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_checker_finds_the_announced_mistakes_and_no_other(checker: str, tmp_path: Path) -> None:
    samples = shutil.copytree(SAMPLES, tmp_path / "samples")
    expected = announced(checker, samples)

    assert CHECKERS[checker](samples, tmp_path) == expected


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_mistake_that_nobody_announced_is_found(checker: str, tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    sample = "from jetq.settings import Queue\nQueue(name=1)\nQueue(nmae='A')  # E: call-arg reportCallIssue\n"
    (samples / "sample.py").write_text(sample)

    found, expected = CHECKERS[checker](samples, tmp_path), announced(checker, samples)

    assert {line for _, line, _ in found - expected} == {2}
    assert {line for _, line, _ in found & expected} == {3}
