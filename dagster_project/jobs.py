"""Jobs: what is run together.

Here belongs the choice of assets. When a job runs belongs to schedules and sensors.
"""

from dagster import AssetSelection, define_asset_job

DATASET_JOB = "dataset"

dataset = define_asset_job(
    DATASET_JOB,
    selection=AssetSelection.all(),
    description="All tables of one task, from its vocabularies to its quality report.",
)
