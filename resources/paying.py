"""What a run would pay for again because the completion store has lost it."""

from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

import simulator
from resources.data import DataFolder
from resources.llm import LLMResource

if TYPE_CHECKING:
    from targen.llm.settings import EngineSettings
    from targen.tasks.spec import TaskSpec


async def check(
    spec: "TaskSpec", llm: LLMResource, data: DataFolder, steps: Iterable[str]
) -> str | None:
    """Check that a run pays for no more than the setting `pay_again` allows again.

    Returns:
        A warning if it pays for some completions again; None if for none.

    Raises:
        StoreError: it would pay for more, or the store cannot be read.
        TableError: a table cannot be read.
    """
    from targen.operators.missing import missing  # noqa: PLC0415 - not when loading

    models: dict[str, set[str]] = {}
    for step in steps:
        for name in (spec.recipe.endpoints.get(step), *spec.recipe.reader_endpoints(step)):
            settings = _settings(llm, spec, step, name)
            if not settings.embedded:
                models.setdefault(step, set()).add(settings.model_name)
    if not models:
        return None
    with closing(llm.store()) as store:
        found = missing(store, data.tables(), spec.name, models, set().union(*models.values()))
        if not found.count:
            return None
        # A rehearsal on the simulator, which takes seconds.
        from targen.operators.estimate import estimate  # noqa: PLC0415

        def settings_of(step: str, name: str | None) -> "EngineSettings":
            return _settings(llm, spec, step, name)

        estimated = await estimate(spec, settings_of, store, simulator.complete)
    cost_usd = found.cost_usd(estimated)
    if found.share > llm.pay_again:
        raise found.error(cost_usd)
    return found.words(cost_usd)


def _settings(
    llm: LLMResource, spec: "TaskSpec", step: str, endpoint: str | None
) -> "EngineSettings":
    return llm.settings_at(endpoint, "", spec.name, step)
