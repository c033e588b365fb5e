"""The wheel holds `targen` and `simulator` with their data files, and nothing else."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support.specs import ROOT

PACKAGES = {"targen", "simulator"}
FROM_THE_CHECKOUT = ("assets", "resources", "dagster_project", "tests", "bench")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def source_files(package: str) -> set[str]:
    """Return the paths of the package's own files, without caches."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel with the project's build backend in a copy; return the paths in it."""
    folder = tmp_path_factory.mktemp("wheel")
    copy, built = folder / "checkout", folder / "built"
    for package in (*PACKAGES, *FROM_THE_CHECKOUT):
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, copy / name)
    built.mkdir()
    backend = PYPROJECT["build-system"]["build-backend"]
    done = subprocess.run(
        [sys.executable, "-c", f"import {backend} as it; it.build_wheel({str(built)!r})"],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        return set(archive.namelist())


def test_the_top_level_packages_are_targen_and_simulator(wheel: set[str]) -> None:
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
    ):
        assert name in wheel
