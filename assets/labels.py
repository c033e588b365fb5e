"""The labels: what an annotator who does not know the intended label says."""

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

STEP = "labels"


def build(partitions: PartitionsDefinition) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its checks, one partition per task."""

    @asset(**attributes(STEP, partitions, "openai"))
    async def labels(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        instances: Stored,
    ) -> MaterializeResult[Stored]:
        """One label per instance, given without knowledge of the label it was written for."""
        return await make(context, tasks, llm, data, instances=instances)

    return [labels, table_checks(STEP, partitions)]
