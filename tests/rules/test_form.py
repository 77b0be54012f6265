"""The house's form, kept by machine: sizes, docstrings, imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "meshproxy").rglob("*.py"))
FILE_LINES = 400
FUNCTION_LINES = 60


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_fits_the_form(path: Path):
    text = path.read_text()
    tree = ast.parse(text)
    assert text.count("\n") <= FILE_LINES, f"{name(path)} is longer than {FILE_LINES} lines"
    assert ast.get_docstring(tree), f"{name(path)} does not say what it owns"
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION_LINES
    ]
    assert not long, f"{name(path)}: functions longer than {FUNCTION_LINES} lines: {', '.join(long)}"


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name == "__init__.py" and path.parent.name != "meshproxy"], ids=name
)
def test_a_package_is_its_docstring(path: Path):
    assert [type(node) for node in ast.parse(path.read_text()).body] == [ast.Expr]


def test_only_the_clock_reads_time_and_chance():
    reads = {"time.time", "time.monotonic", "time.perf_counter", "random.random", "random.choice", "random.getrandbits"}
    found = [
        f"{name(path)}:{node.lineno} {ast.unparse(node)}"
        for path in MODULES
        if path.name != "clock.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in reads
    ]
    assert not found


def test_imports_point_down_only():
    lint = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
