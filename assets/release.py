"""The asset `release`: finished rows as an immutable folder, if all gates pass."""

import time
import warnings
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetRecordsFilter,
    AssetsDefinition,
    DagsterInstance,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    PartitionsDefinition,
    PreviewWarning,
    TableColumn,
    TableSchema,
    asset,
    multi_asset_check,
)

from assets import markdown
from assets.checks import CONTRACT
from assets.quality_report import digest_now
from assets.step import GROUP, OWNERS, readable_errors, seconds_since, start
from resources.data import DataFolder
from resources.llm import LLMResource
from resources.tasks import TaskFolder
from targen.steps import CORRECTED_SET, INSTANCES, QUALITY_REPORT

if TYPE_CHECKING:
    from targen.release.manifest import Contents

NAME = "release"
ABOVE = (INSTANCES, CORRECTED_SET, QUALITY_REPORT)
_CODE_VERSION: Final = "1"
"""Incremented when the same tables would give a different release."""


def build(partitions: PartitionsDefinition) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its check, one partition per task."""

    @asset(
        name=NAME,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars", "parquet", "huggingface"},
        code_version=_CODE_VERSION,
        partitions_def=partitions,
        # Not arguments: it reads all tables and the report's page itself.
        deps=list(ABOVE),
    )
    def release(
        context: AssetExecutionContext, tasks: TaskFolder, llm: LLMResource, data: DataFolder
    ) -> MaterializeResult[None]:
        """An immutable folder of splits, dataset card and manifest; requires passed gates."""
        from targen.release import (  # noqa: PLC0415 - not when loading
            inputs,
            manifest,
            registry,
        )

        started = time.monotonic()
        with readable_errors():
            spec = start(context, tasks, data)
            tables = data.tables()
            with closing(llm.store()) as store:
                gathered = inputs.gather(spec, tables, store, digest_now(spec, tables.storage))
            contents = manifest.build(gathered)
            new = registry.put(tables.storage, spec.name, contents)
            address = tables.storage.address(registry.folder(spec.name, contents.version))
        if not new:
            context.log.info(f"version {contents.version} already exists with identical content")
        failures = [item["text"] for item in gathered.report["findings"] if item["level"] == "bad"]
        for text in failures:
            context.log.warning(f"Released with a failure that no gate blocks: {text}")
        metadata = described(contents) | {
            "failures": failures,
            "path": MetadataValue.path(address),
            "new": new,
            "seconds": seconds_since(started),
        }
        return MaterializeResult(metadata=metadata, data_version=DataVersion(contents.version))

    return [release, _check(partitions)]


def described(contents: "Contents") -> dict[str, Any]:
    """Return the metadata of a release."""
    manifest = contents.manifest
    splits = manifest["splits"]
    columns = [
        TableColumn(name, type=str(dtype)) for name, dtype in _columns(contents, next(iter(splits)))
    ]
    return {
        "dagster/row_count": sum(split["rows"] for split in splits.values()),
        "dagster/column_schema": TableSchema(columns=columns),
        "version": manifest["version"],
        "rows_by_split": {name: split["rows"] for name, split in splits.items()},
        "rows_by_split_and_label": MetadataValue.md(
            markdown.table(
                [{"split": name, "rows": s["rows"], **s["labels"]} for name, s in splits.items()],
                ["split", "rows", *next(iter(splits.values()))["labels"]],
            )
        ),
        "files": len(manifest["files"]),
        "size_bytes": sum(file["size"] for file in manifest["files"].values()),
        "license": manifest["license"],
        "simulated": manifest["simulated"],
        "reviewed_by_people": manifest.get("reviewed_rows", 0),
    }


def _columns(contents: "Contents", split: str) -> list[tuple[str, Any]]:
    from io import BytesIO  # noqa: PLC0415 - not when loading

    import polars as pl  # noqa: PLC0415

    return list(pl.read_parquet_schema(BytesIO(contents.files[f"data/{split}.parquet"])).items())


def _check(partitions: PartitionsDefinition) -> AssetChecksDefinition:
    with warnings.catch_warnings():
        # `partitions_def` of checks is a preview feature.
        warnings.simplefilter("ignore", PreviewWarning)
        spec = AssetCheckSpec(
            CONTRACT,
            asset=NAME,
            blocking=True,
            partitions_def=partitions,
            description="Every file matches the manifest, the splits add up, and no row, near "
            "duplicate or pair is in two splits.",
        )

    @multi_asset_check(name=f"{NAME}_checks", specs=[spec])
    def check(
        context: AssetCheckExecutionContext, tasks: TaskFolder, data: DataFolder
    ) -> AssetCheckResult:
        from targen.release import registry  # noqa: PLC0415 - not when loading

        with readable_errors():
            task = tasks.load(context.partition_key)
            storage = data.tables().storage
            version = latest(context.instance, task.name) or ""
            known = {one.version: one.standing for one in registry.listed(storage, task.name)}
            if known.get(version):
                found = registry.violations(storage, registry.folder(task.name, version), task)
            else:
                # A withdrawn version was removed on purpose.
                found = [] if version in known else [f"release '{version}' no longer exists"]
        return AssetCheckResult(
            check_name=CONTRACT,
            asset_key=NAME,
            passed=not found,
            description="; ".join(found[:3]) or None,
            metadata={
                "version": version,
                "standing": known.get(version, False),
                "violations": len(found),
            },
        )

    return check


def latest(instance: DagsterInstance, task: str) -> str | None:
    """Return the version of the task's latest release, if any."""
    wanted = AssetRecordsFilter(asset_key=AssetKey(NAME), asset_partitions=[task])
    for record in instance.fetch_materializations(wanted, limit=1).records:
        if record.asset_materialization:
            return str(record.asset_materialization.metadata["version"].value)
    return None
