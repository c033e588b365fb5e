"""The instances: texts written for an intended label, from a seed."""

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

STEP = "instances"


def build(partitions: PartitionsDefinition) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its checks, one partition per task."""

    @asset(**attributes(STEP, partitions, "openai"))
    async def instances(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        contexts: Stored,
        seeds: Stored,
    ) -> MaterializeResult[Stored]:
        """Texts written for an intended label, each from its seed, valid but not yet judged."""
        return await make(context, tasks, llm, data, contexts=contexts, seeds=seeds)

    return [instances, table_checks(STEP, partitions)]
