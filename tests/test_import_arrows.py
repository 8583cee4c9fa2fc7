"""Imports point one way, and nothing right of the records imports torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GROUND = {"clock", "errors", "frozen", "registry", "config", "command_line", "files", "yaml_files"}
MAY_IMPORT = {
    "clock": {"errors"},
    "frozen": set(),
    "errors": set(),
    "registry": {"errors"},
    "config": {"errors", "frozen", "registry", "yaml_files"},
    "yaml_files": {"errors"},
    "files": {"errors"},
    "command_line": {"clock", "errors", "config", "files", "records"},
    "records": GROUND - {"command_line"},
    "datasets": GROUND | {"records"},
    "features": GROUND | {"records", "datasets"},
    "zoo": GROUND | {"records", "datasets", "features"},
    "inference": GROUND | {"records", "datasets", "features", "zoo"},
    "benchmark": GROUND | {"records", "datasets", "features", "zoo", "inference"},
    "performance_prediction": GROUND | {"records"},
    "recommendation": GROUND | {"records", "performance_prediction"},
    "reporting": GROUND | {"records", "datasets", "features", "zoo", "benchmark", "performance_prediction", "recommendation"},
    "fit": GROUND | {"records", "datasets", "features", "zoo", "inference", "benchmark", "performance_prediction", "recommendation"},
    "page": GROUND | {"records", "datasets", "features", "performance_prediction", "recommendation", "reporting"},
    "commands": GROUND | {"fit", "page", "records", "datasets", "features", "zoo", "inference", "benchmark", "performance_prediction", "recommendation", "reporting"},
}  # fmt: skip
TORCH_FREE = ["records", "datasets", "performance_prediction", "recommendation", "reporting", "page"]


def _modules(part: str) -> list[Path]:
    single = ROOT / "lib" / f"{part}.py"
    return [single] if single.exists() else sorted((ROOT / "lib" / part).rglob("*.py"))


def _imported_parts(tree: ast.AST) -> set[str]:
    names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    names += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
    return {name.split(".")[1] for name in names if name.startswith("lib.")}


def test_every_part_of_lib_has_its_arrows() -> None:
    parts = {p.stem for p in (ROOT / "lib").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__"} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_point_one_way(part: str) -> None:
    for path in _modules(part):
        wrong = _imported_parts(ast.parse(path.read_text(encoding="utf-8"))) - MAY_IMPORT[part] - {part}
        assert not wrong, f"{path.relative_to(ROOT)} imports lib.{', lib.'.join(sorted(wrong))}"


def test_nothing_right_of_the_records_imports_torch() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for part in TORCH_FREE
        for path in _modules(part)
    ]
    code = f"import importlib, sys; [importlib.import_module(m) for m in {[*modules, 'lib.features.meta']!r}]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_only_the_records_know_the_names_of_record_files() -> None:
    for part in set(MAY_IMPORT) - {"records", "config"}:
        for path in _modules(part):
            assert "data/runs/" not in path.read_text(encoding="utf-8"), path


def test_the_reporting_knows_of_the_benchmark_only_what_a_sweep_plans_and_tells() -> None:
    for path in _modules("reporting"):
        nodes = [
            n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)
        ]
        rooms = {n.module for n in nodes if n.module and n.module.startswith("lib.benchmark")}
        assert rooms <= {"lib.benchmark.plan", "lib.benchmark.listening"}, path
