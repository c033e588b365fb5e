"""Puts what is at the top level of the checkout into the wheel's packages.

The recipes become `targen/recipes`. The Dagster code (`assets`, `resources`, `dagster_project`)
becomes part of `targen_dagster`, because other projects have packages of these names, too.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MOVED = ("assets", "resources", "dagster_project")
COMMANDS = {"run.py", "ui.py", "home.py", "comparing.py", "celery_launcher.py", "celery_worker.py"}
"""Modules that need the checkout."""
IMPORT = re.compile(rf"^(\s*)from ({'|'.join(MOVED)})\b", re.M)


class Build(build_py):
    """Builds the packages and adds the moved files."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib)
        shutil.copytree("recipes", target / "targen/recipes", dirs_exist_ok=True)
        own = target / "targen_dagster"
        for package in MOVED:
            for source in sorted(Path(package).rglob("*.py")):
                if source.name not in COMMANDS:
                    file = own / source
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(source.read_bytes())
        for file in own.rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            file.write_text(IMPORT.sub(r"\1from targen_dagster.\2", text), encoding="utf-8")


setup(cmdclass={"build_py": Build})
