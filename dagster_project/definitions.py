"""The code location: what Dagster loads."""

import warnings
from collections.abc import Mapping
from typing import Any

from dagster import AssetChecksDefinition, Definitions, colored_console_logger, in_process_executor

from assets import (
    comparison,
    contexts,
    corrected_set,
    instances,
    labels,
    quality_report,
    release,
    seeds,
    vocabularies,
)
from dagster_project import alerts, jobs, schedules, sensors
from dagster_project.partitions import task_partitions
from dagster_project.shell import SHELL_LOGGER, shell_logger
from resources.data import DataFolder
from resources.io_manager import TablesIOManager
from resources.llm import LLMResource
from resources.secrets import private
from resources.tasks import TaskFolder
from targen import environment
from targen.tables.storage import s3_attempts
from targen.tasks.endpoints import ENDPOINTS_DEFAULT

MODULES = (vocabularies, contexts, seeds, instances, labels, corrected_set, quality_report)


def task_folder() -> TaskFolder:
    """Return the task folder as the environment sets it.

    Raises:
        TargenError: TARGEN_ROWS is no number.
    """
    return TaskFolder(
        tasks_dir=environment.text(environment.TASKS_DIR, "tasks"),
        recipes_dir=environment.text(environment.RECIPES_DIR, "recipes"),
        rows=environment.rows(),
        references_dir=environment.optional(environment.REFERENCES_DIR),
        endpoints_file=endpoints_file(),
    )


def endpoints_file() -> str:
    """Return the file that defines the named endpoints, as the environment sets it."""
    return environment.text(environment.ENDPOINTS_FILE, ENDPOINTS_DEFAULT)


def data_folder() -> DataFolder:
    """Return the data folder as the environment sets it."""
    data_dir = environment.text(environment.DATA_DIR, "data")
    return DataFolder(
        data_dir=data_dir, store_url=private(environment.STORE_URL), s3=s3_client(data_dir)
    )


def s3_client(data_dir: str) -> Any:
    """Return dagster-aws's resource for data on S3; None where the data is in a folder.

    Raises:
        TargenError: AWS_MAX_ATTEMPTS is no number.
    """
    if not data_dir.startswith("s3://"):
        return None
    # Nearly doubles the time of loading.
    from dagster_aws.s3 import S3Resource  # noqa: PLC0415

    return S3Resource(max_attempts=s3_attempts())


def secrets_manager() -> Any:
    """Return dagster-aws's resource for secrets."""
    from dagster_aws.secretsmanager import SecretsManagerResource  # noqa: PLC0415 - as above
    from dagster_shared.utils.warnings import BetaWarning  # noqa: PLC0415

    with warnings.catch_warnings():
        # It is pinned, and all that is used of it is its client.
        warnings.simplefilter("ignore", BetaWarning)
        return SecretsManagerResource()


def resources_from_environment() -> dict[str, Any]:
    """Return the resources as the environment sets them.

    Raises:
        TargenError: a variable holds what it cannot hold.
    """
    data = data_folder()
    secret_name = environment.optional(environment.API_KEY_SECRET)
    secrets = secrets_manager() if secret_name else None
    return {
        "tasks": task_folder(),
        "llm": LLMResource(
            model=environment.optional(environment.MODEL),
            base_url=private(environment.BASE_URL),
            api_key=private(environment.API_KEY),
            api_key_secret=secret_name,
            secrets=secrets,
            endpoint_name=environment.optional(environment.ENDPOINT_NAME),
            store_url=private(environment.STORE_URL),
            embedding_model=environment.optional(environment.EMBEDDING_MODEL),
            mode=environment.mode(),
            concurrency=environment.whole(environment.CONCURRENCY, 64),
            budget_usd=environment.amount(environment.BUDGET_USD),
            requests_per_minute=environment.limit(environment.RPM),
            tokens_per_minute=environment.limit(environment.TPM),
            endpoints_file=endpoints_file(),
            data_dir=data.data_dir,
        ),
        "data": data,
        "io_manager": TablesIOManager(
            data_dir=data.data_dir, store_url=private(environment.STORE_URL), s3=data.s3
        ),
        **({"s3": data.s3} if data.s3 else {}),
        **({"secrets": secrets} if secrets else {}),
    }


def build_defs(overrides: Mapping[str, Any] | None = None) -> Definitions:
    """Return the definitions, with some resources replaced.

    Args:
        overrides: resource name -> what to use instead; tests put their own here. The partitions
            are those of the `tasks` in use.

    Raises:
        TargenError: a variable or a task file is wrong.
    """
    resources = {**resources_from_environment(), **(overrides or {})}
    partitions = task_partitions(resources["tasks"])
    built = [made for module in MODULES for made in module.build(partitions)]
    built += [*release.build(partitions), *comparison.build()]
    return Definitions(
        assets=[made for made in built if not isinstance(made, AssetChecksDefinition)],
        asset_checks=[made for made in built if isinstance(made, AssetChecksDefinition)],
        jobs=[jobs.dataset, jobs.compare, jobs.publish],
        schedules=[schedules.nightly(partitions)],
        sensors=[
            sensors.changed_steps(partitions),
            sensors.automation(),
            *alerts.build(),
        ],
        resources=resources,
        # One process a run: an asset is asynchronous inside, and seven processes cost 30 s.
        executor=in_process_executor,
        loggers={"console": colored_console_logger, SHELL_LOGGER: shell_logger},
    )


defs = build_defs()
