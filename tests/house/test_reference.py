"""The pages of the reference that the code writes are in step with it."""

import pytest

from tests.house.reference import FOLDER, PAGES


@pytest.mark.parametrize("file", PAGES)
def test_a_generated_page_says_what_the_code_says(file: str) -> None:
    written = (FOLDER / file).read_text(encoding="utf-8")

    assert written == PAGES[file](), "write it anew: python -m tests.house.reference"


def test_every_setting_is_explained() -> None:
    silent = [line for line in PAGES["settings.md"]().splitlines() if line.endswith("|  |")]

    assert silent == []
