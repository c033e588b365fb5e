"""The jobs."""

from dagster import AssetSelection, define_asset_job

DATASET_JOB = "dataset"
COMPARISON = "comparison"
# A job and an asset cannot have the same name.
COMPARISON_JOB = "compare"
RELEASE = "release"
RELEASE_JOB = "publish"
PREVIEW_JOB = "preview"

dataset = define_asset_job(
    DATASET_JOB,
    # Without the unpartitioned comparison, which the run of every partition would make again, and
    # without the release, which a person decides on.
    selection=AssetSelection.all() - AssetSelection.assets(COMPARISON, RELEASE),
    description="All tables of one task, from its vocabularies to its quality report.",
)

compare = define_asset_job(
    COMPARISON_JOB,
    selection=AssetSelection.assets(COMPARISON),
    description="Side-by-side comparison of the methods of tasks that extend the same base task.",
)

publish = define_asset_job(
    RELEASE_JOB,
    selection=AssetSelection.assets(RELEASE),
    description="An immutable release of one task's current rows; requires passed gates.",
)
