"""Each room has its statute, each file a name that says something, and each line its place."""

import ast
import re
from collections.abc import Iterator

from tests.house.inspection import FUNCTION, PACKAGE, Source, sources, verdict, walk

BANNED = {"utils", "util", "helpers", "helper", "common", "misc", "base", "types", "manager", "core"}
SUPPRESSION = re.compile(r"#\s*(?:noqa|type:\s*ignore|pyright:)")
EXPLAINED = re.compile(r"#\s*(?:noqa:\s*[A-Z][A-Z0-9, ]*|\w+:\s*ignore\[[^\]]+\])(?P<reason>.*)")
BROAD = {"Exception", "BaseException"}


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = [source.place for source in sources() if BANNED & set(source.path.with_suffix("").parts)]

    assert vague == []


def test_every_room_has_a_statute_and_no_code_in_it() -> None:
    rooms = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    statutes = {source.path.parent: source for source in sources() if source.is_statute}

    assert rooms == set(statutes)
    for statute in statutes.values():
        assert len(statute.tree.body) == 1, f"{statute.place} holds code"
        said = ast.get_docstring(statute.tree) or ""
        assert "Belongs here: " in said, f"{statute.place} does not say what belongs there"
        assert "Does not: " in said, f"{statute.place} does not say what does not"


def test_every_module_says_what_it_is() -> None:
    silent = [
        source.place
        for source in sources()
        if not (ast.get_docstring(source.tree) or "").startswith(f"{source.module.rpartition('.')[2]}: ")
    ]

    assert silent == []


def test_nothing_is_imported_for_type_checkers_alone() -> None:
    hidden = [
        f"{source.place}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"
    ]

    assert hidden == []


def test_imports_stand_at_the_top() -> None:
    local: dict[str, str] = {}
    for source in sources():
        for _, node, inside in walk(source):
            if inside and isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
                for name in names:
                    outer = "jetq" if name.split(".")[0] == "jetq" else name.split(".")[0]
                    where = "jetq.cli" if source.module.startswith("jetq.cli.") else source.module
                    local[where if where == "jetq.cli" else f"{where} -> {outer}"] = f"line {node.lineno}"

    assert verdict("local", local) == ""


def test_everything_is_caught_at_named_places_only() -> None:
    broad: dict[str, str] = {}
    for source in sources():
        for place, node, _ in walk(source):
            if isinstance(node, ast.ExceptHandler) and not _passes_on(node):
                caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else BROAD
                if caught & BROAD:
                    broad[place] = f"catches everything in line {node.lineno}"

    assert verdict("broad", broad) == ""


def test_the_environment_is_read_at_named_places_only() -> None:
    readers = {
        source.module: f"reads the environment in line {node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"})
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and {"environ", "getenv"} & _names(node))
    }

    assert verdict("environment", readers) == ""


def test_errors_are_defined_in_one_tree() -> None:
    strays = {
        f"{source.module}:{node.name}": f"is defined in line {node.lineno}"
        for source in sources()
        if source.module != "jetq.errors"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases)
    }

    assert verdict("error", strays) == ""


def test_every_suppressed_check_names_its_rule_and_its_reason() -> None:
    bare = [
        f"{source.place}:{number}"
        for source in sources()
        for number, line in enumerate(source.text.splitlines(), start=1)
        if SUPPRESSION.search(line) and not ((found := EXPLAINED.search(line)) and found["reason"].strip(" -#"))
    ]

    assert bare == []


def test_files_are_short() -> None:
    counts = {source.place: len(source.text.splitlines()) for source in sources()}
    long = {place: f"has {count} lines; which noun hides there?" for place, count in counts.items() if count > 400}

    assert verdict("file", long) == ""


def test_functions_are_short() -> None:
    counts = {place: _length(node) for source in sources() for place, node in _functions(source)}
    long = {place: f"has {count} lines" for place, count in counts.items() if count > 40}

    assert verdict("function", long) == ""


def test_constructors_take_few_parameters() -> None:
    counts = {
        place: len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs) - 1
        for source in sources()
        for place, node in _functions(source)
        if node.name == "__init__"
    }
    wide = {place: f"takes {count} parameters" for place, count in counts.items() if count > 8}

    assert verdict("constructor", wide) == ""


def _functions(source: Source) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return ((place, node) for place, node, _ in walk(source) if isinstance(node, FUNCTION))


def _passes_on(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _names(node: ast.ImportFrom) -> set[str]:
    return {name.name for name in node.names}


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    documented = ast.get_docstring(node, clean=False) is not None
    return (node.end_lineno or 0) - node.lineno + 1 - ((first.end_lineno or 0) - first.lineno + 1) * documented
