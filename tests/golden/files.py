"""
files: the golden files, read.
"""

import json
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
GO_MODULE = FOLDER / "go"
SIGNING_SEED = b"a golden seed of thirty-two byte"


class Message(NamedTuple):
    """What a Go client published."""

    subject: str
    data: bytes

    @property
    def kind(self) -> str:
        """The second token of a subject of the namespace: T for records, Q for items, E for events."""
        return self.subject.split(".")[1]


def read(kind: str) -> dict[str, bytes]:
    """Return the files of a folder by their names."""
    return {path.stem: path.read_bytes() for path in sorted((FOLDER / kind).glob("*.json"))}


def lives() -> list[Message]:
    """Return every message of a client's tasks from their births to their ends."""
    lines = (FOLDER / "lives.jsonl").read_text(encoding="utf-8").splitlines()
    return [Message(line["subject"], line["data"].encode()) for line in map(json.loads, lines)]


def every_record() -> dict[str, bytes]:
    """Return every record that Go wrote."""
    lived = {f"life-{place}": message.data for place, message in enumerate(lives()) if message.kind == "T"}
    return read("records") | lived
