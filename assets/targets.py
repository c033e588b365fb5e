"""The asset `targets`: the gaps that the report shows, as rows to write next."""

import time
from dataclasses import replace
from typing import Any

import polars as pl
from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    MaterializeResult,
    MetadataValue,
    asset,
)

from assets import markdown
from assets.scope import Scope
from assets.step import attributes, finish, page_link, readable_errors, seconds_since, start
from targen.errors import TableError
from targen.steps import (
    CONTEXTS,
    CORRECTED_SET,
    INSTANCES,
    QUALITY_REPORT,
    TARGETS,
)
from targen.tables.files import Stored, key_of
from targen.tasks.targets import TargetsFile

ABOVE = (CONTEXTS, INSTANCES, CORRECTED_SET)
SHOWN = ("status", "kind", "count", "reason", "label", "way", "field", "value", "after", "bound")


def build(scope: Scope) -> list[AssetsDefinition]:
    """Return the asset, one partition per task."""

    @asset(**attributes(TARGETS, scope), ins=scope.ins((*ABOVE, QUALITY_REPORT)))
    def targets(
        context: AssetExecutionContext, quality_report: Stored, **above: Stored
    ) -> MaterializeResult[Stored]:
        """Gaps of the finished rows, and the rows to write next; `refine` makes them."""
        from targen.quality import unchanged  # noqa: PLC0415 - not when loading
        from targen.tables import targets as files  # noqa: PLC0415
        from targen.targeting import proposals  # noqa: PLC0415
        from targen.tasks import references  # noqa: PLC0415
        from targen.tasks.targets import SUFFIX, text_of  # noqa: PLC0415

        started = time.monotonic()
        used = scope.resources(context)
        data = used.data
        with readable_errors():
            spec = start(context, used)
            tables = data.tables()
            report = tables.read_json(QUALITY_REPORT, spec.name)
            if report is None:
                raise TableError(f"The report of {spec.name} is missing. Materialize it first.")
            content = files.load(tables.storage, spec)

            def basis(content: TargetsFile) -> str:
                return unchanged.basis(
                    spec,
                    {
                        "report": report,
                        "tables": {name: one.data_version for name, one in above.items()},
                        "references": references.identity(spec),
                        "unlabeled": references.unlabeled_identity(spec),
                        "file": text_of(content),
                    },
                )

            stored = unchanged.stored(
                tables.storage, data.store(), TARGETS, spec.name, basis(content), ("html", SUFFIX)
            )
            if stored is None:
                stored, content = proposals.computed(
                    spec, above, report, quality_report.data_version, content
                )
                # Proposals are part of the file from now on.
                made_by = {**stored.made_by, unchanged.KEY: basis(content)}
                stored = replace(stored, made_by=made_by)
        rows, said = stored.table, stored.made_by["notes"]
        proposed = rows.filter(~rows["made"])
        extra: dict[str, Any] = {
            "page": page_link(scope, data, key_of(TARGETS, spec.name, "html")),
            "proposed": proposed.height,
            "rows_to_write": int(proposed.filter(proposed["status"] == "approved")["count"].sum()),
            "rounds_made": len(content.rounds),
            **({"notes": MetadataValue.md("\n\n".join(said))} if said else {}),
            **_shown(proposed),
            "file": MetadataValue.path(tables.address(TARGETS, spec.name, "yaml")),
            "seconds": seconds_since(started),
        }
        return finish(TARGETS, spec, stored, data, extra, scope.settings.pages_url)

    return [targets]


def _shown(proposed: pl.DataFrame) -> dict[str, MetadataValue]:
    """Return the proposed targets as metadata, none without targets."""
    if not proposed.height:
        return {}
    return {"targets": MetadataValue.md(markdown.table(proposed.to_dicts(), SHOWN))}
