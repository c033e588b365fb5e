"""The seeds: the first piece of each instance, within a context."""

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

STEP = "seeds"


def build(partitions: PartitionsDefinition) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its checks, one partition per task."""

    @asset(**attributes(STEP, partitions, "openai"))
    async def seeds(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        contexts: Stored,
    ) -> MaterializeResult[Stored]:
        """The first piece of each instance - a sentence, a passage, a word - within a context."""
        return await make(context, tasks, llm, data, contexts=contexts)

    return [seeds, table_checks(STEP, partitions)]
