"""The report's inputs from the tables that a task's steps made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from targen.quality.accounting import step_of_requests
from targen.quality.inputs import COMPLETIONS, ReportInputs, for_task
from targen.steps import CORRECTED_SET
from targen.tables.files import Stored
from targen.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from targen.store.completions import Store


def gather(
    spec: TaskSpec,
    above: Mapping[str, Stored],
    store: "Store",
    data_docs: str | None = None,
    looked_at: pl.DataFrame | None = None,
) -> ReportInputs:
    """Return the inputs of a task's report.

    Raises:
        StoreError: the completion store cannot be read.
        TableError: the reference data cannot be read, or does not match the task.
    """
    from targen.tasks import references  # noqa: PLC0415 - not when loading

    frames = {name: stored.table for name, stored in above.items()}
    rejected = {name: s.rejected for name, s in above.items() if s.rejected is not None}
    planted = above[CORRECTED_SET].planted
    asked = store.with_chain(step_of_requests(frames, rejected, planted)["request_id"])
    # Sorted, so that the report of unchanged tables keeps its bytes.
    completions = store.completions(asked, tuple(COMPLETIONS)).sort("request_id")
    gold = references.of(spec)
    return for_task(
        spec,
        frames,
        rejected=rejected,
        completions=completions,
        models=tuple(completions["model"].unique().sort()),
        simulated=bool(completions["simulated"].any()),
        reference=gold.rows,
        reference_name=gold.name,
        elsewhere=gold.elsewhere,
        versions={name: stored.data_version for name, stored in above.items()},
        planted_errors=planted,
        reviewed=looked_at,
        data_docs=data_docs,
    )
