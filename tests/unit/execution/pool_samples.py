"""An application for processes whose hooks fail when a file says so."""

import os
import time
from pathlib import Path

from jetq.app.application import App

FOLDER = "POOL_SAMPLES"

app = App("samples")


def asked_to(word: str) -> bool:
    return Path(os.environ[FOLDER], word).exists()


@app.on_process_start
def start() -> None:
    if asked_to("fail"):
        raise ConnectionError("no database")
    if asked_to("exit"):
        os._exit(3)


@app.on_process_stop
def stop() -> None:
    Path(os.environ[FOLDER], "stopping").touch()
    while asked_to("linger"):
        time.sleep(0.05)
    Path(os.environ[FOLDER], "stopped").touch()


@app.task("pid", pool="process")
def pid() -> int:
    return os.getpid()
