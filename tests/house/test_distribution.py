"""What users install is the package, whole, and nothing beside it."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jetq
from tests.house.inspection import PACKAGE, ROOT

RELEASE = re.compile(r"^## \[(?P<version>\d[^\]]*)\]", re.MULTILINE)


def test_the_newest_release_in_the_changelog_is_this_version() -> None:
    release = RELEASE.search((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))

    assert release is not None
    assert release["version"] == jetq.__version__


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = archive.read(f"jetq_tasks-{jetq.__version__}.dist-info/entry_points.txt").decode()

    package = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    metadata = {name for name in names if name.startswith(f"jetq_tasks-{jetq.__version__}.dist-info/")}
    assert names - metadata == {name for name in package if "__pycache__" not in name}
    assert "jetq/py.typed" in names
    assert f"jetq_tasks-{jetq.__version__}.dist-info/licenses/LICENSE" in metadata
    assert "jetq = jetq.cli.main:main" in entry_points
