"""The steps of a task run one after another, with their tables in memory."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

import polars as pl

from targen.llm.engine import EmbeddingEngine
from targen.llm.progress import Stats
from targen.llm.settings import EngineSettings
from targen.operators import StepOutput, run_step
from targen.operators.estimate import SettingsOf
from targen.steps import UPSTREAM
from targen.tasks.spec import TaskSpec

StepSettings = Mapping[tuple[str, str | None], EngineSettings]
"""(step, named endpoint) -> the settings of its engine."""


def live_settings(spec: TaskSpec, settings: SettingsOf) -> StepSettings:
    """Return the settings of all engines that the steps of a task use.

    They are made at once, so that a missing key is reported before the first paid call. A person
    waits for the result, so no step waits for a batch.

    Raises:
        EndpointError: a named endpoint is unknown, or its key is not set.
    """
    recipe = spec.recipe
    return {
        (step, name): replace(settings(step, name), mode="live", task_budget_usd=spec.budget_usd)
        for step in UPSTREAM
        for name in {recipe.endpoints.get(step), *recipe.reader_endpoints(step)}
    }


async def run_live(
    step: str, spec: TaskSpec, frames: Mapping[str, pl.DataFrame], live: StepSettings
) -> tuple[StepOutput, Stats]:
    """Run one step and return its output and what its calls used.

    Raises:
        StepError: the step cannot make its table.
        EndpointError, BudgetError, StoreError: raised by the engine.
    """
    async with AsyncExitStack() as stack:
        engines = {
            name: await stack.enter_async_context(EmbeddingEngine(found))
            for (of, name), found in live.items()
            if of == step
        }
        engine = engines.pop(spec.recipe.endpoints.get(step))
        readers = {str(name): reader for name, reader in engines.items()}
        inputs = {name: frames[name] for name in UPSTREAM[step]}
        output = await run_step(step, spec, inputs, engine, readers)
    return output, engine.stats.plus(*(reader.stats for reader in readers.values()))
