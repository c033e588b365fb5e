"""The corrected set: the instances that survive self-correction, with their labels."""

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

STEP = "corrected_set"


def build(partitions: PartitionsDefinition) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its checks, one partition per task."""

    @asset(**attributes(STEP, partitions, "openai"))
    async def corrected_set(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        instances: Stored,
        labels: Stored,
    ) -> MaterializeResult[Stored]:
        """The finished dataset: reviewed, relabelled or dropped, balanced, as many as asked."""
        return await make(context, tasks, llm, data, instances=instances, labels=labels)

    return [corrected_set, table_checks(STEP, partitions)]
