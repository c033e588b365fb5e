"""The check `expectations`, which runs Great Expectations, and its page."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue

from assets import markdown
from resources.data import DataFolder
from targen.steps import STEPS
from targen.tasks.spec import TaskSpec

EXPECTATIONS = "expectations"


def result(
    step: str,
    spec: TaskSpec,
    table: pl.DataFrame,
    above: Mapping[str, pl.DataFrame],
    data: DataFolder,
    judged: list[Mapping[str, Any]] | None = None,
) -> AssetCheckResult:
    """Validate a table against its suite, update the page, and return the check's result.

    Raises:
        SpecError: arguments of the task's expectations are wrong.
        TableError: the page cannot be written.
    """
    from targen.quality import expectations, suites  # noqa: PLC0415 - not when loading

    suite = suites.build(step, spec, table, above, judged or ())
    found = expectations.validate(step, spec, table, suite)
    expectations.write(data.tables().storage, spec, STEPS, found)
    missed = [one for one in found["results"] if not one["success"]]
    blocks = [one for one in missed if one["expectation_config"]["severity"] == "critical"]
    sentences = [one["words"] for one in blocks + [one for one in missed if one not in blocks]]
    return AssetCheckResult(
        check_name=EXPECTATIONS,
        asset_key=step,
        passed=not missed,
        severity=AssetCheckSeverity.ERROR if blocks else AssetCheckSeverity.WARN,
        description=" ".join(markdown.cell(text) for text in sentences[:3]) if missed else None,
        metadata={
            **found["statistics"],
            "result": MetadataValue.json(found),
            "page": link(data, spec.name),
        },
    )


def link(data: DataFolder, task: str) -> MetadataValue:
    """Return the page's path as metadata; browsers do not open links to local files."""
    return MetadataValue.path(data.tables().storage.address(_key(task)))


def relative_page(task: str) -> str:
    """Return the page's address relative to the report's page."""
    return f"../{_key(task)}"


def _key(task: str) -> str:
    from targen.quality.expectations import page_key  # noqa: PLC0415 - not when loading

    return page_key(task)
