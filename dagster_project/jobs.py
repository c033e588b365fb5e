"""Jobs: what is run together."""

from dagster import AssetSelection, define_asset_job

from targen.steps import COMPARISON

DATASET_JOB = "dataset"
# A job must not be named like an asset.
COMPARISON_JOB = "compare"
RELEASE = "release"
RELEASE_JOB = "publish"

dataset = define_asset_job(
    DATASET_JOB,
    # Not what has no partitions: every partition's run would make that anew. Nor the release:
    # what goes out is for somebody to say, not for the clock.
    selection=AssetSelection.all() - AssetSelection.assets(COMPARISON, RELEASE),
    description="All tables of one task, from its vocabularies to its quality report.",
)

compare = define_asset_job(
    COMPARISON_JOB,
    selection=AssetSelection.assets(COMPARISON),
    description="The methods of tasks that extend one base, side by side, as far as they are made.",
)

publish = define_asset_job(
    RELEASE_JOB,
    selection=AssetSelection.assets(RELEASE),
    description="An immutable release of one task's rows as they stand; refused by a failed gate.",
)
