import inspect
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.testing import CliRunner

from jetq.cli.expanding import expanded


@dataclass(frozen=True, kw_only=True)
class Pair:
    left: Annotated[str | None, typer.Option("--left", "-l")] = None
    right: Annotated[int, typer.Option("--right")] = 7


def app_of(seen: list[Any]) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @expanded
    def work(ids: Annotated[list[str] | None, typer.Argument()] = None, *, pair: Pair, last: bool = False) -> None:
        """Do it."""
        seen.append((ids, pair, last))

    return app


def test_the_options_of_a_dataclass_come_as_one_value() -> None:
    seen: list[Any] = []
    app = app_of(seen)

    assert CliRunner().invoke(app, ["a", "b", "-l", "x", "--right", "3", "--last"]).exit_code == 0
    assert CliRunner().invoke(app, []).exit_code == 0

    assert seen[0] == (["a", "b"], Pair(left="x", right=3), True)
    assert not seen[1][0]
    assert seen[1][1:] == (Pair(), False)


def test_help_shows_them_in_their_place() -> None:
    shown = CliRunner().invoke(app_of([]), ["--help"]).output

    assert "Do it." in shown
    assert shown.index("--left") < shown.index("--right") < shown.index("--last")


def test_what_is_no_dataclass_stays() -> None:
    def plain(name: str, count: int = 3) -> None:
        """Say it."""

    shown = expanded(plain)

    assert inspect.signature(shown) == inspect.Signature(list(inspect.signature(plain).parameters.values()))
    assert (shown.__name__, shown.__doc__) == ("plain", "Say it.")
