"""
inspection: the package as the inspector reads it, and the exceptions that it grants.

The tests in this folder read source text; they run nothing of jetq. What breaks a rule for a reason stands in
``exceptions.txt``, a line each: the rule, the place, the reason. A line that grants nothing is refused as well.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "jetq"
EXCEPTIONS = Path(__file__).with_name("exceptions.txt")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


class Source(NamedTuple):
    """A module of the package."""

    path: Path
    module: str
    text: str
    tree: ast.Module

    @property
    def is_statute(self) -> bool:
        """Whether this is a room's ``__init__.py``."""
        return self.path.name == "__init__.py" and self.module != "jetq"

    @property
    def place(self) -> str:
        """The file, as ``exceptions.txt`` names it."""
        return self.path.relative_to(ROOT).as_posix()


@cache
def sources() -> list[Source]:
    """Read every module of the package."""
    found: list[Source] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found.append(Source(path, module, text, ast.parse(text)))
    return found


def walk(source: Source) -> Iterator[tuple[str, ast.AST, bool]]:
    """Yield every node with the qualified name of its place, and whether that is inside of a function."""
    todo: list[tuple[str, ast.AST, bool]] = [(f"{source.module}:", source.tree, False)]
    while todo:
        place, node, inside = todo.pop()
        yield place.rstrip(":"), node, inside
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                name = f"{place}{child.name}" if place.endswith(":") else f"{place}.{child.name}"
                todo.append((name, child, inside or isinstance(child, FUNCTION)))
            else:
                todo.append((place, child, inside))


@cache
def exceptions() -> dict[tuple[str, str], str]:
    """Read what is granted: the reason by rule and place."""
    granted: dict[tuple[str, str], str] = {}
    for line in EXCEPTIONS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            rule, place, reason = (part.strip() for part in line.split("|"))
            granted[rule, place] = reason
    return granted


def verdict(rule: str, broken: dict[str, str]) -> str:
    """
    Compare what breaks a rule with what is granted.

    Args:
        rule: The rule, as ``exceptions.txt`` names it.
        broken: What is wrong, by place.

    Returns:
        A line for each complaint; nothing if all is well.
    """
    granted = {place: reason for (other, place), reason in exceptions().items() if other == rule}
    complaints = [f"{place}: {what}" for place, what in broken.items() if place not in granted]
    complaints += [f"{place}: needs no exception from {rule!r}" for place in granted if place not in broken]
    complaints += [f"{place}: its exception has no reason" for place, reason in granted.items() if not reason]
    return "\n".join(complaints)
