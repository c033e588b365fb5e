"""The wheel, built with the project's build backend in a copy of the checkout."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from tests.support.specs import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = {"targen", "simulator", "targen_dagster"}
MOVED = ("assets", "resources", "dagster_project")
FROM_THE_CHECKOUT = (*MOVED, "tests", "bench")


def build(folder: Path) -> Path:
    """Build the wheel and return its file."""
    copy, built = folder / "checkout", folder / "built"
    for name in (*PACKAGES, *MOVED, "bench", "recipes"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests").mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
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
    return file


def install(folder: Path) -> Path:
    """Return a folder with the wheel's content, as pip puts it into site-packages."""
    site = folder / "site"
    with zipfile.ZipFile(build(folder)) as archive:
        archive.extractall(site)
    return site
