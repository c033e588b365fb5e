"""Names of Dagster that have no public import path.

- `AssetJob`: what `define_asset_job` returns.
- `PARTITION_NAME_TAG`: the tag that holds a run's partition.
- `CheckRunHealthResult`, `WorkerStatus`: the return values of a run launcher's health check, which
  a custom launcher must construct.
- `SerializableErrorInfo`: the type of the errors in Dagster's events.
"""

from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as AssetJob,
)
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "PARTITION_NAME_TAG",
    "AssetJob",
    "CheckRunHealthResult",
    "SerializableErrorInfo",
    "WorkerStatus",
]
