"""The comparison: the methods of each group of tasks side by side, from their reports."""

import time
from typing import TYPE_CHECKING, Any

from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    AutomationCondition,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    asset,
)

from assets import markdown
from assets.step import common_attributes, page_path, readable_errors, seconds_since
from resources.data import DataFolder
from resources.tasks import TaskFolder
from targen.errors import TableError
from targen.hashing import digest
from targen.settings import Settings
from targen.steps import COMPARISON, QUALITY_REPORT, SCHEMA_VERSION
from targen.tables.files import Stored, Tables

if TYPE_CHECKING:
    from targen.quality.comparison import Method

SHOWN = ("base", "task", "recipe", "rows", "calls_per_row", "label_noise", "self_bleu", "shortcut")

WHEN_REPORTS_CHANGE = (
    AutomationCondition.any_deps_updated().since_last_handled()
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
)
"""As `eager`, but partitions that are not there yet do not hold it up. It acts only where the
automation sensor is switched on in the UI."""


def build(settings: Settings) -> list[AssetsDefinition]:
    """Return the asset, which has no partitions; it reads the reports' files where they are."""

    @asset(
        **common_attributes(COMPARISON, settings),
        # No argument for the reports: the IO manager would read every partition, and fail on those
        # that are missing.
        deps=[AssetDep(QUALITY_REPORT, partition_mapping=AllPartitionMapping())],
        automation_condition=WHEN_REPORTS_CHANGE,
    )
    def comparison(
        context: AssetExecutionContext, tasks: TaskFolder, data: DataFolder
    ) -> MaterializeResult[Stored]:
        """The methods of tasks that extend one base, side by side, as far as they are made."""
        from targen.quality import comparison_page  # noqa: PLC0415 - not when loading
        from targen.quality.comparison import compare  # noqa: PLC0415

        started = time.monotonic()
        with readable_errors():
            data.hold(COMPARISON, context.run.run_id)
            methods = gather(tasks, data)
            made = compare(methods)
            pages = {"json": made.json_text(), "html": comparison_page.render(made)}
        version = comparison_digest(methods)
        origin = {"step": COMPARISON, "step_digest": version}
        stored = Stored(made.table, step_digest=version, pages=pages, made_by=origin)
        rows = made.table.to_dicts()
        metadata: dict[str, Any] = {
            "dagster/row_count": made.table.height,
            "made": int(made.table["made"].sum()),
            "stale": [method.task for method in methods if method.stale],
            "missing": [row["task"] for row in rows if not row["made"]],
            "step_digest": stored.step_digest,
            "data_version": stored.data_version,
            "sample": MetadataValue.md(markdown.table([row for row in rows if row["made"]], SHOWN)),
            "report": page_path(data, COMPARISON, COMPARISON),
            "seconds": seconds_since(started),
        }
        return MaterializeResult(
            value=stored, metadata=metadata, data_version=DataVersion(stored.data_version)
        )

    return [comparison]


def gather(tasks: TaskFolder, data: DataFolder) -> "list[Method]":
    """Return every task that has something to be compared with, and its report where it is made.

    Raises:
        SpecError: a task file is wrong.
    """
    from targen.quality.comparison import Method, groups  # noqa: PLC0415 - not when loading

    specs = tasks.load_all()
    grouped = groups({name: spec.extends for name, spec in specs.items()})
    found = []
    for members in grouped.values():
        for name in members:
            report, stale = read_report(data.tables(), name)
            found.append(
                Method(
                    task=name,
                    extends=specs[name].extends,
                    title=specs[name].title,
                    recipe=specs[name].recipe_name,
                    recipe_title=specs[name].recipe.title,
                    report=report,
                    stale=stale,
                )
            )
    return found


def read_report(tables: Tables, task: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return a task's report where it is made and readable, and why it is out of date, if it is."""
    from targen.quality.comparison import MADE_FROM, staleness  # noqa: PLC0415 - not when loading

    try:
        report = tables.read_json(QUALITY_REPORT, task)
    except TableError:
        # One report of another release must not hide all others.
        return None, f"is damaged or of another schema than this release's ({SCHEMA_VERSION})"
    if report is None:
        return None, None
    versions: dict[str, str | None] = {}
    for step in MADE_FROM:
        try:
            versions[step] = tables.read(step, task).data_version
        except TableError:
            versions[step] = None
    return report, staleness(report, versions)


def comparison_digest(methods: "list[Method]") -> str:
    """Return the sha256 of what the comparison reads of the tasks beyond their reports."""
    return digest(
        {
            "step": COMPARISON,
            "schema_version": SCHEMA_VERSION,
            "tasks": [[m.task, m.extends, m.title, m.recipe, m.recipe_title] for m in methods],
        }
    )
