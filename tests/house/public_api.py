"""
public_api: what jetq promises, as text that a reviewer can read.

Every name of ``jetq.__all__`` with its signature, a class with its public members, as the source spells them.
Regenerate the frozen text, when the change is meant, from the project's root::

    python -m tests.house.public_api
"""

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

FROZEN = Path(__file__).with_name("public_api.txt")
FACADE = "jetq"
PROTOCOL_METHODS = {"__init__", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__", "__await__"}
SHOWN_DECORATORS = {"property", "cached_property", "classmethod", "staticmethod", "overload"}


def describe(facade: str = FACADE) -> str:
    """Spell the public API of a package."""
    package = importlib.import_module(facade)
    public: list[str] = sorted(package.__all__)
    return "\n".join(line for name in public for line in _describe_name(package, name)) + "\n"


def _describe_name(package: ModuleType, name: str) -> Iterator[str]:
    value = getattr(package, name)
    definition = _find(_home(package, name), name)
    if inspect.isclass(value) and isinstance(definition, ast.ClassDef):
        yield f"class {name}({_bases(definition)})" if definition.bases else f"class {name}"
        for base in value.__mro__:
            root = base.__module__.partition(".")[0]
            if base is value or (root == package.__name__.partition(".")[0] and base.__name__ not in package.__all__):
                inherited = _find(base.__module__, base.__name__)
                assert isinstance(inherited, ast.ClassDef)
                yield from (f"    {line}" for line in _members(inherited))
    else:
        yield from _statement(definition)


def _home(package: ModuleType, name: str) -> str:
    """Name the module that defines a public name."""
    for node in _parse(package.__name__).body:
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            return str(node.module)
    return str(getattr(getattr(package, name), "__module__", package.__name__))


@cache
def _parse(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))


def _find(module: str, name: str) -> ast.stmt:
    for node in _parse(module).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if name in {target.id for target in targets if isinstance(target, ast.Name)}:
                return node
    raise LookupError(f"{name} is not defined in {module}: let the facade import it from its own module")


def _members(definition: ast.ClassDef) -> Iterator[str]:
    for node in definition.body:
        yield from _statement(node)


def _statement(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() if _is_public(node.name):
            for decorator in node.decorator_list:
                if (shown := ast.unparse(decorator)).partition(".")[0] in SHOWN_DECORATORS:
                    yield f"@{shown}"
            word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
            returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            yield f"{word} {node.name}({ast.unparse(node.args)}){returned}"
        case ast.AnnAssign(target=ast.Name(id=name)) if _is_public(name):
            yield ast.unparse(node)
        case ast.Assign(targets=[ast.Name(id=name)]) if _is_public(name):
            yield ast.unparse(node)
        case ast.Assign(targets=[ast.Name(id="__version__")]):
            yield "__version__: str"
        case _:
            return


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in PROTOCOL_METHODS


def _bases(definition: ast.ClassDef) -> str:
    return ", ".join(ast.unparse(base) for base in [*definition.bases, *definition.keywords])


if __name__ == "__main__":
    FROZEN.write_text(describe(), encoding="utf-8")
