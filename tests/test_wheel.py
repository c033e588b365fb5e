"""The wheel holds `targen`, `simulator` and `targen_dagster` with their data, nothing else."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import wheel as wheels
from tests.support.specs import ROOT
from tests.support.wheel import FROM_THE_CHECKOUT, MOVED, PACKAGES
from tests.test_python_page import BLOCKS


def source_files(package: str) -> set[str]:
    """Return the paths of the package's own files, without caches."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel(file: Path) -> set[str]:
    """Return the paths in the wheel."""
    with zipfile.ZipFile(file) as archive:
        return set(archive.namelist())


def test_the_top_level_packages_are_those(wheel: set[str]) -> None:
    top = {Path(name).parts[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES


@pytest.mark.parametrize("package", FROM_THE_CHECKOUT)
def test_what_runs_from_the_checkout_is_not_in_it(wheel: set[str], package: str) -> None:
    assert not [name for name in wheel if name.startswith(f"{package}/")]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_every_file_of_a_package_is_in_it(wheel: set[str], package: str) -> None:
    assert source_files(package) - wheel == set()


def test_each_kind_of_data_file_is_in_it(wheel: set[str]) -> None:
    for name in (
        "targen/py.typed",
        "targen/prompts/instances/label_constrained.md",
        "targen/llm/prices.yaml",
        "targen/quality/page.html.jinja",
        "targen/quality/style.css.jinja",
        "targen/release/card.md.jinja",
        "targen/store/migrations/env.py",
        "targen/store/migrations/versions/v0001_first.py",
        "simulator/data/rte.txt",
        "targen/recipes/targen.yaml",
        "targen_dagster/assets/steps.py",
        "targen_dagster/dagster_project/location.py",
    ):
        assert name in wheel


def test_the_dagster_code_imports_itself_and_needs_no_checkout(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.startswith("targen_dagster/")]
        texts = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
        archive.extractall(tmp_path / "site")
    for name, text in texts.items():
        assert not re.search(rf"^\s*(from|import) ({'|'.join(MOVED)})\b", text, re.M), name
    modules = [name[:-3].replace("/", ".") for name in texts if not name.endswith("__init__.py")]
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    wanted = [name for name in modules if not name.endswith("dagster_project.definitions")]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import assets", *wanted],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # There is no top-level `assets`, and nothing before that failed.
    assert done.stderr.strip().endswith("No module named 'assets'"), done.stderr


NOTEBOOK = """
import ast, asyncio, sys
import targen
assert targen.__file__.startswith(sys.argv[1]), targen.__file__
async def main():
    names = {}
    for cell in sys.argv[2:]:
        made = eval(compile(cell, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if made is not None:
            await made
asyncio.run(main())
assert not {"dagster", "assets", "resources"} & {*sys.modules}
"""


def test_the_notebook_of_the_page_on_python_runs_from_the_wheel(file: Path, tmp_path: Path) -> None:
    """In a folder with nothing in it: recipes, prompts and prices come from the wheel."""
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(file) as archive:
        archive.extractall(site)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", NOTEBOOK, str(site), *BLOCKS],
        cwd=empty, env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "<mood: 20 of 20 rows (simulated, not training data)" in done.stdout
    assert "verified" in done.stdout
