"""What a code location or a component consists of: resources, assets, jobs and automation.

Dagster imports this module in every process that it starts, so it must import no slow libraries.
"""

import warnings
from typing import Any

from dagster import (
    AssetChecksDefinition,
    BetaWarning,
    Definitions,
    StaticPartitionsDefinition,
)

from assets import comparison, quality_report, release, steps, targets
from assets.scope import DATA, IO_MANAGER, LLM, TASKS, Scope
from dagster_project import jobs, preview, refine, schedules, sensors
from resources.data import DataFolder
from resources.fields import private
from resources.io_manager import TablesIOManager
from resources.llm import LLMResource
from resources.tasks import TaskFolder
from targen.settings import Settings, s3_attempts


def task_folder(settings: Settings) -> TaskFolder:
    """Return the resource of the task files."""
    return TaskFolder(
        tasks_dir=settings.tasks_dir,
        recipes_dir=settings.recipes_dir,
        rows=settings.rows,
        references_dir=settings.references_dir,
        endpoints_file=settings.endpoints_file,
        sampling=settings.sampling,
        reasoning_tokens=settings.reasoning_tokens,
        style=settings.style,
    )


def data_folder(settings: Settings) -> DataFolder:
    """Return the resource of the data folder."""
    return DataFolder(
        data_dir=settings.data_dir,
        store_url=private(settings, "store_url"),
        s3=s3_client(settings.data_dir),
    )


def s3_client(data_dir: str) -> Any:
    """Return dagster-aws's resource for data on S3; None if the data is in a folder.

    Raises:
        TargenError: AWS_MAX_ATTEMPTS is not a number.
    """
    if not data_dir.startswith("s3://"):
        return None
    # Imported here, because it nearly doubles the time to load the code location.
    from dagster_aws.s3 import S3Resource  # noqa: PLC0415

    return S3Resource(max_attempts=s3_attempts())


def secrets_manager() -> Any:
    """Return dagster-aws's resource for AWS Secrets Manager."""
    from dagster_aws.secretsmanager import SecretsManagerResource  # noqa: PLC0415 - as above

    with warnings.catch_warnings():
        # A beta class, but the release is pinned and only its client is used.
        warnings.simplefilter("ignore", BetaWarning)
        return SecretsManagerResource()


def make_resources(settings: Settings, prefix: str = "") -> dict[str, Any]:
    """Return resource name -> resource; `prefix` begins the names."""
    data = data_folder(settings)
    secrets = secrets_manager() if settings.api_key_secret else None
    made = {
        TASKS: task_folder(settings),
        LLM: LLMResource(
            model=settings.model,
            base_url=private(settings, "base_url"),
            api_key=private(settings, "api_key"),
            api_key_secret=settings.api_key_secret,
            secrets=secrets,
            endpoint_name=settings.endpoint_name,
            store_url=private(settings, "store_url"),
            embedding_model=settings.embedding_model,
            mode=settings.mode,
            concurrency=settings.concurrency,
            budget_usd=settings.budget_usd,
            pay_again=settings.pay_again,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            timeout_s=settings.timeout_s,
            patience_s=settings.patience_s,
            endpoints_file=settings.endpoints_file,
            data_dir=settings.data_dir,
        ),
        DATA: data,
        IO_MANAGER: TablesIOManager(
            data_dir=settings.data_dir, store_url=private(settings, "store_url"), s3=data.s3
        ),
        **({"s3": data.s3} if data.s3 else {}),
        **({"secrets": secrets} if secrets else {}),
    }
    return {f"{prefix}{name}": resource for name, resource in made.items()}


def make_scope(settings: Settings, tasks: TaskFolder, **names: Any) -> Scope:
    """Return the scope of the tasks in a folder; `names` are other attributes of `Scope`.

    Raises:
        SpecError: the folder does not exist or contains no task.
    """
    gates = tasks.gates()
    return Scope(StaticPartitionsDefinition(list(gates)), settings, gates, **names)


def location(scope: Scope) -> Definitions:
    """Return assets, checks, jobs, schedule and sensors of a scope, without its resources.

    Raises:
        TargenError: a setting of the schedule is wrong.
    """
    built = [*steps.build(scope), *quality_report.build(scope)]
    built += [*targets.build(scope), *release.build(scope), *comparison.build(scope)]
    made = jobs.build(scope)
    return Definitions(
        assets=[one for one in built if not isinstance(one, AssetChecksDefinition)],
        asset_checks=[one for one in built if isinstance(one, AssetChecksDefinition)],
        jobs=[*made, preview.build(scope), refine.build(scope)],
        schedules=[schedules.nightly(scope, made.dataset)],
        sensors=[sensors.changed_steps(scope, made.dataset), sensors.automation(scope)],
    )
