"""Functions that can be read at a glance."""

import ast
from pathlib import Path

PROJECT = Path(__file__).parents[2]
MOST_LINES = 40


def test_no_function_is_longer_than_a_screen():
    assert not [
        f"{path.relative_to(PROJECT)}: {node.name}"
        for app in ("jwtpizza", "orders", "franchises", "menu", "tests")
        for path in (PROJECT / app).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MOST_LINES
    ]
