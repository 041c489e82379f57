"""The limits of the house: a file is one idea, a function fits on a screen. Exceptions give a reason."""

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70

LONG_FILES: dict[str, str] = {}
"""Path -> why it is one idea all the same. This list only shrinks."""

LONG_FUNCTIONS: dict[str, str] = {}
"""path:function -> why. This list only shrinks."""


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split() if (ROOT / name).exists()]


def test_no_file_is_longer_than_one_idea():
    found = {}
    for path in tracked("*.py", "*.vy", "*.sol"):
        lines = len(path.read_text().splitlines())
        if lines > MAX_FILE_LINES:
            found[str(path.relative_to(ROOT))] = lines
    assert found.keys() == LONG_FILES.keys(), found


def test_no_function_is_longer_than_a_screen():
    found = {}
    for path in tracked("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    found[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert found.keys() == LONG_FUNCTIONS.keys(), found


def test_no_import_hides_in_a_function_and_no_module_is_called_utils():
    assert tracked("*utils.py") == []
    hidden = []
    for path in tracked("channeld/*.py", "routing/*.py", "contracts/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                hidden += [
                    f"{path.relative_to(ROOT)}:{inner.lineno}"
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Import | ast.ImportFrom)
                ]
    assert hidden == []
