"""A whole task played through without a cent: what each step would ask."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from targen.errors import StepError
from targen.llm.settings import EngineSettings
from targen.operators import run_step
from targen.operators.estimate import Asked, Complete, Rehearsal
from targen.steps import UPSTREAM
from targen.store.completions import Store
from targen.tasks.spec import TaskSpec


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a task would need.

    Attributes:
        steps: table -> what its step asks, one entry a model; steps that ask nothing are left out.
        problem: why the rest could not be played through; None where all of it was.
    """

    steps: dict[str, list[Asked]]
    problem: str | None = None


async def rehearse(
    spec: TaskSpec, settings: Callable[[str], EngineSettings], store: Store, complete: Complete
) -> Estimate:
    """Play a task through on the embedded model and count.

    Args:
        spec: the task.
        settings: table -> the settings that its step would have in a real run.
        store: what is in it is not counted as a call.
        complete: body of a chat completion request -> the reply's body (the simulator).

    Raises:
        StoreError: the completion store cannot be read.
        SpecError: the price file cannot be read.
    """
    tables: dict[str, pl.DataFrame] = {}
    steps: dict[str, list[Asked]] = {}
    for step, upstream in UPSTREAM.items():
        model = Rehearsal(settings(step), store, complete)
        try:
            output = await run_step(step, spec, {name: tables[name] for name in upstream}, model)
        except StepError as error:
            return Estimate(_with(steps, step, model), f"{step}: {error}")
        tables[step] = output.table
        steps = _with(steps, step, model)
    return Estimate(steps)


def _with(steps: dict[str, list[Asked]], step: str, model: Rehearsal) -> dict[str, list[Asked]]:
    return {**steps, step: model.asked} if model.asked else steps
