"""The jobs."""

from typing import NamedTuple

from dagster import AssetSelection, define_asset_job, in_process_executor

from assets.scope import Scope
from assets.step import RELEASE
from dagster_project.dagster_internals import AssetJob
from targen.steps import COMPARISON, STEPS, TARGETS

DATASET_JOB = "dataset"
# A job and an asset cannot have the same name.
COMPARISON_JOB = "compare"
RELEASE_JOB = "publish"
PREVIEW_JOB = "preview"
TARGETS_JOB = "find_targets"
REFINE_JOB = "refine"

__all__ = ["COMPARISON", "COMPARISON_JOB", "DATASET_JOB", "RELEASE", "RELEASE_JOB", "Jobs", "build"]


class Jobs(NamedTuple):
    """The jobs of a scope."""

    dataset: AssetJob
    compare: AssetJob
    publish: AssetJob
    find_targets: AssetJob


def build(scope: Scope) -> Jobs:
    """Return the jobs.

    One process per run: assets are asynchronous, and seven processes would take 30 s longer.
    """
    made = {
        DATASET_JOB: (
            # Without the unpartitioned comparison, which the run of every partition would make
            # again, and without the release, which a person decides on.
            # Without the targets either, which a failed gate would block when they matter most.
            STEPS,
            "All tables of one task, from its vocabularies to its quality report.",
        ),
        COMPARISON_JOB: (
            [COMPARISON],
            "Side-by-side comparison of the methods of tasks that extend the same base task.",
        ),
        RELEASE_JOB: (
            [RELEASE],
            "An immutable release of one task's current rows; requires passed gates.",
        ),
        TARGETS_JOB: (
            [TARGETS],
            "The targets of one task from its current report, whether or not its gates passed.",
        ),
    }
    return Jobs(
        *(
            define_asset_job(
                scope.name(job),
                selection=AssetSelection.assets(*(scope.key(name) for name in names)),
                executor_def=in_process_executor,
                description=text,
            )
            for job, (names, text) in made.items()
        )
    )
