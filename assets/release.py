"""The asset `release`: finished rows as an immutable folder, if all gates pass."""

import time
import warnings
from collections.abc import Iterator
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
    PreviewWarning,
    TableColumn,
    TableSchema,
    asset,
    multi_asset_check,
)

from assets import markdown
from assets.checks import CONTRACT
from assets.quality_report import digest_now
from assets.scope import LLM, Scope
from assets.step import RELEASE as NAME
from assets.step import identity, readable_errors, seconds_since, start
from targen.steps import CORRECTED_SET, INSTANCES, QUALITY_REPORT

if TYPE_CHECKING:
    from targen.release.manifest import Contents

ABOVE = (INSTANCES, CORRECTED_SET, QUALITY_REPORT)
_CODE_VERSION: Final = "1"
"""Incremented when the same tables would give a different release."""


def build(scope: Scope) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its check, one partition per task."""

    @asset(
        **identity(NAME, scope),
        required_resource_keys=scope.required(LLM),
        kinds={"polars", "parquet", "huggingface"},
        code_version=_CODE_VERSION,
        partitions_def=scope.partitions,
        # Not arguments: it reads all tables and the report's page itself.
        deps=[scope.key(name) for name in ABOVE],
        output_required=False,
    )
    def release(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        """An immutable folder of splits, dataset card and manifest; requires passed gates."""
        from targen.release import (  # noqa: PLC0415 - not when loading
            inputs,
            manifest,
            registry,
        )

        started = time.monotonic()
        if context.job_def.asset_layer.selected_asset_keys != {context.asset_key}:
            context.log.warning(
                "No release was made: a run makes a release only if it makes "
                "nothing else. Use the job publish, or materialize release alone."
            )
            return
        used = scope.resources(context)
        llm, data = used.llm, used.data
        with readable_errors():
            spec = start(context, used)
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
        yield MaterializeResult(metadata=metadata, data_version=DataVersion(contents.version))

    return [release, _check(scope)]


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


def _check(scope: Scope) -> AssetChecksDefinition:
    with warnings.catch_warnings():
        # `partitions_def` of checks is a preview feature.
        warnings.simplefilter("ignore", PreviewWarning)
        spec = AssetCheckSpec(
            CONTRACT,
            asset=scope.key(NAME),
            blocking=True,
            partitions_def=scope.partitions,
            description="Every file matches the manifest, the splits add up, and no row, near "
            "duplicate or pair is in two splits.",
        )

    @multi_asset_check(
        name=scope.name(f"{NAME}_checks"), specs=[spec], required_resource_keys=scope.required()
    )
    def check(context: AssetCheckExecutionContext) -> AssetCheckResult:
        from targen.release import registry  # noqa: PLC0415 - not when loading

        used = scope.resources(context)
        with readable_errors():
            task = used.tasks.load(context.partition_key)
            storage = used.data.tables().storage
            version = latest(context.instance, scope.key(NAME), task.name) or ""
            known = {one.version: one.standing for one in registry.listed(storage, task.name)}
            if known.get(version):
                found = registry.violations(storage, registry.folder(task.name, version), task)
            else:
                # A withdrawn version was removed on purpose.
                found = [] if version in known else [f"release '{version}' no longer exists"]
        return AssetCheckResult(
            check_name=CONTRACT,
            asset_key=scope.key(NAME),
            passed=not found,
            description="; ".join(found[:3]) or None,
            metadata={
                "version": version,
                "standing": known.get(version, False),
                "violations": len(found),
            },
        )

    return check


def latest(instance: DagsterInstance, asset: AssetKey, task: str) -> str | None:
    """Return the version of the task's latest release, if any."""
    wanted = AssetRecordsFilter(asset_key=asset, asset_partitions=[task])
    for record in instance.fetch_materializations(wanted, limit=1).records:
        if record.asset_materialization:
            return str(record.asset_materialization.metadata["version"].value)
    return None
