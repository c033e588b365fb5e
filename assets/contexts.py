"""The contexts: situations, domains or settings that the texts are about."""

from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetsDefinition,
    MaterializeResult,
    PartitionsDefinition,
    asset,
)

from assets.checks import table_checks
from assets.step import attributes, make
from resources.data import DataFolder
from resources.llm import LLMResource
from resources.tasks import TaskFolder
from targen.tables.files import Stored

STEP = "contexts"


def build(partitions: PartitionsDefinition) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its checks, one partition per task."""

    @asset(**attributes(STEP, partitions, "openai"))
    async def contexts(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        vocabularies: Stored,
    ) -> MaterializeResult[Stored]:
        """Situations, domains or settings that the texts are about."""
        return await make(context, tasks, llm, data, vocabularies=vocabularies)

    return [contexts, table_checks(STEP, partitions)]
