"""The house stays small: no long file, short functions, no modules that import each other in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([*(ROOT / "lib").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])
MODULES = {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in FILES}
LONGEST_FILE, LONGEST_MEDIAN_FUNCTION = 300, 7


def _imported(module: str) -> set[str]:
    """Modules of the project that `module` imports when it is imported itself: not inside functions, nor for types alone."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(MODULES[module].read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return (found & set(MODULES)) - {module}


def test_no_modules_import_each_other_in_a_circle() -> None:
    inits = {module for module, file in MODULES.items() if file.name == "__init__.py"}
    try:
        TopologicalSorter({module: _imported(module) - inits for module in set(MODULES) - inits}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_file_is_long() -> None:
    lengths = {str(f.relative_to(ROOT)): len(f.read_text(encoding="utf-8").splitlines()) for f in FILES}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    trees = [ast.parse(f.read_text(encoding="utf-8")) for f in FILES]
    functions = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    assert median((n.end_lineno or 0) - n.lineno + 1 for n in functions) <= LONGEST_MEDIAN_FUNCTION
