"""Tables, report and completions of small tasks, made once by the simulator."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from assets.quality_report import gather as report_inputs
from resources.llm import LLMResource
from targen.operators import run_step, step_digest
from targen.quality import page, report
from targen.quality.inputs import report_digest
from targen.release import inputs, manifest
from targen.release.inputs import ReleaseInputs
from targen.release.manifest import Contents
from targen.steps import UPSTREAM
from targen.tables.files import Stored, Tables
from targen.tables.storage import LocalStorage, Storage
from targen.tasks.spec import TaskSpec
from tests.support.specs import real_task

ROWS = 24


@dataclass(frozen=True)
class Made:
    """A task that is ready for its release."""

    spec: TaskSpec
    folder: Path

    @property
    def place(self) -> LocalStorage:
        return LocalStorage(str(self.folder))

    def gathered(self, spec: TaskSpec | None = None, place: Storage | None = None) -> ReleaseInputs:
        spec = spec or self.spec
        with closing(LLMResource(data_dir=str(self.folder)).store()) as store:
            tables = Tables(place or self.place)
            return inputs.gather(spec, tables, store, report_digest(spec))

    @cached_property
    def release(self) -> Contents:
        return manifest.build(self.gathered())


async def _tables(spec: TaskSpec, folder: Path) -> dict[str, Stored]:
    llm = LLMResource(data_dir=str(folder))
    stored: dict[str, Stored] = {}
    for step, names in UPSTREAM.items():
        frames = {name: stored[name].table for name in names}
        async with llm.engine("run", spec.name, step) as engine:
            made = await run_step(step, spec, frames, engine)
        stored[step] = Stored(made.table, made.rejected, made.asked, step_digest(step, spec))
    return stored


def make(spec: TaskSpec, folder: Path) -> Made:
    """Make everything that a release needs, as the assets do."""
    stored = asyncio.run(_tables(spec, folder))
    made = report.build(report_inputs(spec, stored, LLMResource(data_dir=str(folder))))
    pages = {"json": made.json_text(), "html": page.render(made)}
    tables = Tables(LocalStorage(str(folder)))
    for step, one in stored.items():
        tables.write(step, spec.name, one)
    digest = report_digest(spec)
    tables.write("quality_report", spec.name, Stored(made.table, step_digest=digest, pages=pages))
    return Made(spec, folder)


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Return a function that makes a task once; its folder is for reading only."""
    known: dict[str, Made] = {}

    def get(task: str) -> Made:
        if task not in known:
            spec = real_task(task, ROWS)
            # The gates of the repository's tasks may want more rows than these.
            spec = spec.model_copy(update={"gates": []})
            known[task] = make(spec, tmp_path_factory.mktemp("made") / "data")
        return known[task]

    return get


@pytest.fixture
def rte(ready: Callable[[str], Made], tmp_path: Path) -> Made:
    """A task of one's own to release, and to change."""
    made = ready("rte")
    shutil.copytree(made.folder, tmp_path / "data")
    return Made(made.spec, tmp_path / "data")
