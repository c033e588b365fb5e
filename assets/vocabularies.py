"""The vocabularies: word lists that a task's texts are made with."""

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

STEP = "vocabularies"


def build(partitions: PartitionsDefinition) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its checks, one partition per task."""

    @asset(**attributes(STEP, partitions))
    async def vocabularies(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
    ) -> MaterializeResult[Stored]:
        """Word lists that the texts are made with, from the task's file or from the model."""
        return await make(context, tasks, llm, data)

    return [vocabularies, table_checks(STEP, partitions)]
