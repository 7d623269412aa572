"""
keys: ``jetq keys``: make the keys that sign tasks.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from jetq.cli import options

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make keys that sign tasks and verify them.")


@commands.callback()
def _group() -> None:
    """Keep ``new`` a command of its own, although it is the only one."""


@commands.command("new")
def new(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Where the signing key goes; the public key goes to FILE.pub."),
    ] = None,
    *,
    as_json: options.AsJson = False,
) -> None:
    """
    Make a key that signs tasks, and one that verifies them.

    An Ed25519 key and its public key, hexadecimal as asyncjobs has them. Without FILE both are printed; with FILE the
    signing key is written for its owner alone, and only the public key is printed. Nothing is overwritten.
    """
    from jetq.cli.render import print_fields, print_json
    from jetq.wire.signature import Signer, new_seed

    seed = new_seed()
    made = {"public_key": Signer(seed).public_key}
    if path is None:
        made["signing_key"] = seed.hex()
    else:
        public = path.with_name(f"{path.name}.pub")
        _refuse_existing(path, public)
        _write(public, made["public_key"], mode=0o644)
        _write(path, seed.hex(), mode=0o600)
        made |= {"signing_key_file": str(path), "public_key_file": str(public)}
    if as_json:
        print_json(made)
    else:
        print_fields((name.replace("_", " ").capitalize(), value) for name, value in made.items())


def _refuse_existing(*paths: Path) -> None:
    """Look at both files before one is written, so that no key stands beside another one's public key."""
    from jetq.errors import InvalidSettingError

    for path in paths:
        if path.exists():
            raise InvalidSettingError("FILE", str(path), "a new file, since keys are not overwritten")


def _write(path: Path, text: str, *, mode: int) -> None:
    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, mode)  # never readable for others, not even while it is empty

    with open(path, "x", encoding="ascii", opener=opener) as file:
        file.write(f"{text}\n")
