"""The asset `comparison`: methods of related tasks side by side, from their quality reports."""

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
from assets.scope import Scope
from assets.step import common_attributes, page_link, readable_errors, seconds_since
from resources.data import DataFolder
from resources.tasks import TaskFolder
from targen.errors import TableError
from targen.hashing import digest
from targen.steps import COMPARISON as NAME
from targen.steps import QUALITY_REPORT, SCHEMA_VERSION
from targen.tables.files import Stored, Tables, key_of

if TYPE_CHECKING:
    from targen.quality.comparison import Method

SHOWN = ("base", "task", "recipe", "rows", "calls_per_row", "label_noise", "self_bleu", "shortcut")

WHEN_REPORTS_CHANGE = (
    AutomationCondition.any_deps_updated().since_last_handled()
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
)
"""Like `eager`, but does not wait for missing partitions. Requires the automation sensor, which is
off by default."""


def build(scope: Scope) -> list[AssetsDefinition]:
    """Return the asset, which has no partitions."""

    @asset(
        **common_attributes(NAME, scope),
        required_resource_keys=scope.required(),
        # Not an argument: the IO manager would load every partition and fail on missing ones.
        deps=[AssetDep(scope.key(QUALITY_REPORT), partition_mapping=AllPartitionMapping())],
        automation_condition=WHEN_REPORTS_CHANGE,
    )
    def comparison(context: AssetExecutionContext) -> MaterializeResult[Stored]:
        """Side-by-side comparison of the methods of tasks that extend the same base task."""
        from targen.quality import page  # noqa: PLC0415 - not when loading
        from targen.quality.comparison import compare  # noqa: PLC0415

        started = time.monotonic()
        used = scope.resources(context)
        tasks, data = used.tasks, used.data
        with readable_errors():
            data.hold(NAME, context.run.run_id)
            methods = gather(tasks, data)
            found = compare(methods)
            pages = {"json": found.json_text(), **page.comparison_pages(found)}
        version = comparison_digest(methods)
        origin = {"step": NAME, "step_digest": version}
        stored = Stored(found.table, step_digest=version, pages=pages, made_by=origin)
        rows = found.table.to_dicts()
        metadata: dict[str, Any] = {
            "dagster/row_count": found.table.height,
            "made": int(found.table["made"].sum()),
            "stale": [method.task for method in methods if method.stale],
            "missing": [row["task"] for row in rows if not row["made"]],
            "report": page_link(scope, data, key_of(NAME, NAME, "html")),
            "sample": MetadataValue.md(markdown.table([row for row in rows if row["made"]], SHOWN)),
            "seconds": seconds_since(started),
            "step_digest": stored.step_digest,
            "data_version": stored.data_version,
        }
        return MaterializeResult(
            value=stored, metadata=metadata, data_version=DataVersion(stored.data_version)
        )

    return [comparison]


def gather(tasks: TaskFolder, data: DataFolder) -> "list[Method]":
    """Return the tasks that can be compared, with their reports if they exist.

    Raises:
        SpecError: a task file is wrong.
    """
    from targen.quality.comparison import Method, groups  # noqa: PLC0415 - not when loading

    specs = tasks.load_all()
    grouped = groups({name: spec.extends for name, spec in specs.items()})
    methods = []
    for spec in (specs[name] for members in grouped.values() for name in members):
        report, stale = read_report(data.tables(), spec.name)
        method = Method(
            task=spec.name,
            extends=spec.extends,
            title=spec.title,
            recipe=spec.recipe_name,
            recipe_title=spec.recipe.title,
            report=report,
            stale=stale,
        )
        methods.append(method)
    return methods


def read_report(tables: Tables, task: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return a task's report if it exists and is readable, and why it is out of date, if it is."""
    from targen.quality.comparison import MADE_FROM, staleness  # noqa: PLC0415 - not when loading

    try:
        report = tables.read_json(QUALITY_REPORT, task)
    except TableError:
        # One unreadable report must not prevent the comparison of the others.
        return None, f"is damaged or has another schema than this release's ({SCHEMA_VERSION})"
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
    """Return the sha256 of what the comparison reads from the tasks, besides their reports."""
    return digest(
        {
            "step": NAME,
            "schema_version": SCHEMA_VERSION,
            "tasks": [[m.task, m.extends, m.title, m.recipe, m.recipe_title] for m in methods],
        }
    )
