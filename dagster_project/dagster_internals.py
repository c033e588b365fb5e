"""Names of Dagster that have no public import path.

- `AssetJob`: what `define_asset_job` returns.
- `PARTITION_NAME_TAG`: the tag that holds a run's partition.
- `CheckRunHealthResult`, `WorkerStatus`: the return values of a run launcher's health check, which
  a custom launcher must construct.
- `SerializableErrorInfo`: the type of the errors in Dagster's events.
- `run_dev`: `dagster dev` with another webserver.
"""

import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

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
