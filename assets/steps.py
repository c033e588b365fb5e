"""The six assets that make a task's rows: vocabularies -> ... -> corrected_set."""

from typing import Final, cast

from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetsDefinition,
    MaterializeResult,
    asset,
)

from assets.checks import table_checks
from assets.scope import Scope
from assets.step import attributes, make
from targen.steps import (
    CONTEXTS,
    CORRECTED_SET,
    INSTANCES,
    LABELS,
    ROW_STEPS,
    SEEDS,
    UPSTREAM,
    VOCABULARIES,
)
from targen.tables.files import Stored

Result = MaterializeResult[Stored]

DESCRIPTIONS: Final = {
    VOCABULARIES: "Word lists for the texts, from the task file or from the model.",
    CONTEXTS: "Situations, domains or settings for the texts.",
    SEEDS: "The first part of each instance within a context: a sentence, a passage or a word.",
    INSTANCES: "Texts written for an intended label, one per seed; valid but not yet reviewed.",
    LABELS: "Blind annotation: one label per instance, without knowledge of the intended label.",
    CORRECTED_SET: "The finished data set: reviewed, relabeled or dropped, balanced and cut to "
    "size.",
}


def build(scope: Scope) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the six assets and their checks, one partition per task."""
    return [
        *(_asset(step, scope) for step in ROW_STEPS),
        *(table_checks(step, scope) for step in ROW_STEPS),
    ]


def _asset(step: str, scope: Scope) -> AssetsDefinition:
    kinds = () if step == VOCABULARIES else ("openai",)

    @asset(
        **attributes(step, scope, *kinds),
        description=DESCRIPTIONS[step],
        ins=scope.ins(UPSTREAM[step]),
    )
    async def table(
        context: AssetExecutionContext, **upstream: Stored
    ) -> MaterializeResult[Stored]:
        return await make(context, scope, **upstream)

    return cast("AssetsDefinition", table)
