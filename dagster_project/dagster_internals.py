"""Names of Dagster that have no public import path.

- `AssetJob`: what `define_asset_job` returns.
- `PARTITION_NAME_TAG`: the tag that holds a run's partition.
- `CheckRunHealthResult`, `WorkerStatus`: the return values of a run launcher's health check, which
  a custom launcher must construct.
- `SerializableErrorInfo`: the type of the errors in Dagster's events.
- `run_dev`: `dagster dev` with another webserver.
- `execute`: a run in this process that does not keep what its steps return.
"""

import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as AssetJob,
)
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster_shared.error import SerializableErrorInfo

if TYPE_CHECKING:
    from dagster import DagsterInstance, JobDefinition, JobExecutionResult

__all__ = [
    "PARTITION_NAME_TAG",
    "AssetJob",
    "CheckRunHealthResult",
    "SerializableErrorInfo",
    "WorkerStatus",
    "execute",
    "run_dev",
]


def run_dev(webserver: str, arguments: Sequence[str]) -> None:
    """Run `dagster dev` until it is stopped, with another module as its webserver.

    Args:
        webserver: a module that takes the options of `dagster_webserver`.
        arguments: arguments of `dagster dev`.
    """
    dev: Any = import_module("dagster._cli.dev")
    start = dev.open_ipc_subprocess

    def started(command: Sequence[str], **options: Any) -> Any:
        named = [webserver if part == "dagster_webserver" else part for part in command]
        return start(named, **options)

    dev.open_ipc_subprocess = started
    with warnings.catch_warnings():
        # The recommended command needs one more package.
        warnings.filterwarnings("ignore", "Function `dev_command` is superseded")
        dev.dev_command.main(list(arguments), prog_name="dagster dev")


def execute(
    job: "JobDefinition",
    instance: "DagsterInstance",
    partition: str | None,
    config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> "JobExecutionResult":
    """Run a job in this process, with the executor of its definitions.

    `JobDefinition.execute_in_process` keeps every step's table in memory until the run ends, and
    the public `execute_job` takes only a job that another process can load.
    """
    from dagster._core.definitions.job_base import InMemoryJob  # noqa: PLC0415 - slow to import
    from dagster._core.execution.api import execute_run  # noqa: PLC0415

    of_partition = {} if partition is None else job.get_tags_for_partition_key(partition, None)
    run = instance.create_run_for_job(
        job, run_config=config, tags={**job.run_tags, **tags, **of_partition}
    )
    return execute_run(InMemoryJob(job), run, instance)
