"""The six assets that make a task's rows: vocabularies -> ... -> corrected_set."""

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
from targen.settings import Settings
from targen.steps import CONTEXTS, CORRECTED_SET, INSTANCES, LABELS, SEEDS, VOCABULARIES
from targen.tables.files import Stored

Result = MaterializeResult[Stored]


def build(
    partitions: PartitionsDefinition, settings: Settings
) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the six assets and their checks, one partition per task."""

    @asset(**attributes(VOCABULARIES, partitions, settings))
    async def vocabularies(
        context: AssetExecutionContext, tasks: TaskFolder, llm: LLMResource, data: DataFolder
    ) -> Result:
        """Word lists for the texts, from the task file or from the model."""
        return await make(context, tasks, llm, data)

    @asset(**attributes(CONTEXTS, partitions, settings, "openai"))
    async def contexts(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        vocabularies: Stored,
    ) -> Result:
        """Situations, domains or settings for the texts."""
        return await make(context, tasks, llm, data, vocabularies=vocabularies)

    @asset(**attributes(SEEDS, partitions, settings, "openai"))
    async def seeds(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        contexts: Stored,
    ) -> Result:
        """The first part of each instance within a context: a sentence, a passage or a word."""
        return await make(context, tasks, llm, data, contexts=contexts)

    @asset(**attributes(INSTANCES, partitions, settings, "openai"))
    async def instances(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        contexts: Stored,
        seeds: Stored,
    ) -> Result:
        """Texts written for an intended label, one per seed; valid but not yet reviewed."""
        return await make(context, tasks, llm, data, contexts=contexts, seeds=seeds)

    @asset(**attributes(LABELS, partitions, settings, "openai"))
    async def labels(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        instances: Stored,
    ) -> Result:
        """Blind annotation: one label per instance, without knowledge of the intended label."""
        return await make(context, tasks, llm, data, instances=instances)

    @asset(**attributes(CORRECTED_SET, partitions, settings, "openai"))
    async def corrected_set(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        instances: Stored,
        labels: Stored,
    ) -> Result:
        """The finished data set: reviewed, relabeled or dropped, balanced and cut to size."""
        return await make(context, tasks, llm, data, instances=instances, labels=labels)

    assets = [vocabularies, contexts, seeds, instances, labels, corrected_set]
    checks = [table_checks(one.key.path[-1], partitions, settings) for one in assets]
    return [*assets, *checks]
