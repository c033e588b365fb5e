"""A small data folder as runs leave it: tables, store and records, on the simulator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

import simulator
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.operators import made_by, run_step, step_digest
from targen.steps import CORRECTED_SET, UPSTREAM
from targen.store import table_digests
from targen.store.completions import Store
from targen.tables import reviews
from targen.tables.files import Stored, Tables, key_of
from targen.tables.storage import LocalStorage
from targen.tasks.spec import TaskSpec
from tests.support.specs import real_task


def store_url(folder: Path) -> str:
    return f"sqlite:///{folder}/completions.db"


async def make(
    folder: Path,
    task: str,
    rows: int,
    spec: TaskSpec | None = None,
    application: Callable[[], Any] = simulator.application,
    verdicts: pl.DataFrame | None = None,
) -> None:
    """Make all tables of a task in `folder`, and record them.

    Args:
        folder: the data folder.
        task: name of a task of the repository, or of `spec`.
        rows: rows wanted, if `spec` is None.
        spec: the task, instead of one of the repository's.
        application: makes the simulator.
        verdicts: the stored verdicts of a human review.
    """
    reviewed = reviews.identity(verdicts)
    spec = spec or real_task(task, rows)
    tables = Tables(LocalStorage(str(folder)))
    made = {}
    for step in UPSTREAM:
        settings = EngineSettings(
            simulator=application,
            store_url=store_url(folder),
            run_id="run-1",
            task=task,
            step=step,
        )
        async with Engine(settings) as engine:
            output = await run_step(step, spec, made, engine, reviews=verdicts)
        made[step] = output.table
        digest = step_digest(step, spec, reviewed)
        stored = Stored(output.table, output.rejected, output.asked, digest)
        origin = made_by(step, spec, reviewed if step == CORRECTED_SET else None)
        store = Store(store_url(folder))
        upstream = {name: key_of(name, task) for name in origin["upstream"]}
        table_digests.record(store, tables.write(step, task, stored), origin, "run-1", upstream)
        store.close()
