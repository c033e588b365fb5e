"""The registry of steps is the only place that spells the names of steps."""

import ast
from pathlib import Path

import polars as pl
import pytest

from targen import steps
from targen.steps import CORRECTED_SET, QUALITY_REPORT, STEPS
from tests.support.specs import ROOT

SOURCES = sorted(
    path
    for package in ("targen", "resources", "assets", "dagster_project")
    for path in (ROOT / package).rglob("*.py")
    if path != ROOT / "targen" / "steps.py"
)
DISTINCT = {CORRECTED_SET, QUALITY_REPORT}
"""Names that mean nothing but the step; `labels`, say, is also a key of a task."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def strings(node: ast.AST) -> set[str]:
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def places_of_a_step(tree: ast.AST) -> list[ast.AST]:
    """Return the subscripts of `tables[...]` and the first arguments of `@operator(...)`."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("tables"):
            found.append(node.slice)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "operator" and node.args:
            found.append(node.args[0])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_no_module_spells_the_name_of_a_step(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    spelled = strings(tree) & DISTINCT
    for place in places_of_a_step(tree):
        spelled |= strings(place) & set(STEPS)
    assert not spelled, f"use the constant of targen.steps for {', '.join(sorted(spelled))}"


def test_a_frame_of_many_batches_has_the_rows_in_order_and_empties_the_list():
    rows = [{"n": number, "text": f"row {number}"} for number in range(2_500)]
    columns = {"n": pl.Int64(), "text": pl.String(), "missing": pl.String()}
    framed = steps.frame(rows, columns)
    assert framed["n"].to_list() == list(range(2_500)) and framed.schema == pl.Schema(columns)
    assert framed["missing"].null_count() == len(rows) == 2_500
    assert steps.drained(rows, columns).equals(framed) and not rows
    assert steps.drained([], columns).schema == pl.Schema(columns)
