"""The programs that docs/how-to/share-queues-with-go-asyncjobs.md shows, with each other."""

import asyncio
import json
import re
import sys
from pathlib import Path

from tests.house.inspection import ROOT
from tests.interop.go.conftest import HERE
from tests.interop.go.peers import PATIENCE, Go

PAGE = (ROOT / "docs/how-to/share-queues-with-go-asyncjobs.md").read_text()
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(block["language"], block["text"]) for block in BLOCK.finditer(PAGE)]


def test_the_go_program_of_the_page_is_the_one_that_is_tested() -> None:
    assert [text for language, text in BLOCKS if language == "go"] == [(HERE / "shop/main.go").read_text()]


async def test_what_the_page_shows_works_together(go: Go, tmp_path: Path) -> None:
    for language, text in BLOCKS:
        if language == "python":
            (tmp_path / text.partition("\n")[0].removeprefix("# ")).write_text(text)
    (tmp_path / "both.py").write_text(BOTH)
    await go.ajc("queue", "new", "GO", "--run-time=60s")
    await go.ajc("queue", "new", "PYTHON", "--run-time=60s")
    context = tmp_path / "config/nats/context/shop.json"
    context.write_text(json.dumps({"url": go.url}))
    await go.start("shop")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "both.py", str(go.programs / "shop")),
        env=go.environment | go.for_jetq,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert out.decode().splitlines() == ["cat.png at 80 pixels", "sent to ann@example.com"]


BOTH = """
import subprocess, sys
from jetq import Worker
from shop import app
import asyncio

async def main():
    made = await app.aenqueue("thumbnail:make", {"path": "cat.png", "width": 80}, queue="GO")
    print(await made.aresult(10))
    async with Worker(app, queues=["PYTHON"]):
        sent = await asyncio.to_thread(subprocess.check_output, [sys.argv[1], "send"], text=True)
        print(await app.handle(sent.strip()).aresult(10))

asyncio.run(main())
"""
