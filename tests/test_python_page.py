"""The examples of the page on Python run as in a notebook, and print what the page says."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.specs import ROOT

BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.S
)


async def cells(names: dict[str, Any]) -> None:
    """Run the blocks one after another in the running event loop, with `await` at the top."""
    for block in BLOCKS:
        code = compile(block, "docs/python.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        made = eval(code, names)
        if made is not None:
            await made


async def test_the_examples_run_in_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A folder without tasks and recipes, as where the wheel is installed.
    monkeypatch.chdir(tmp_path)
    for name in ("TARGEN_MODEL", "TARGEN_DATA_DIR", "TARGEN_STORE_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    names: dict[str, Any] = {}
    await cells(names)
    said = capsys.readouterr()
    assert "<mood: 20 of 20 rows (simulated, not training data)" in said.out
    assert "corrected_set: 100%" in said.err
    assert names["data"].rows["label"].value_counts()["count"].to_list() == [10, 10]
    assert names["audit"].verdict == "verified"
    assert "task: fields" in said.out
    assert (tmp_path / "reports/mood.html").read_text().startswith("<!doctype html>")
