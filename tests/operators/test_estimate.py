"""The estimate of a task against what its run then really asks, on the simulator."""

import asyncio
from pathlib import Path

import polars as pl
import pytest

import simulator
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.operators import run_step
from targen.operators.estimate import Estimate, rehearse
from targen.steps import UPSTREAM
from targen.store.completions import Store
from targen.tasks.spec import TaskSpec
from tests.support.specs import MOOD, real_task, spec_of

EMBEDDED = EngineSettings()


def estimated(spec: TaskSpec, url: str, settings: EngineSettings = EMBEDDED) -> Estimate:
    store = Store(url)
    try:
        return asyncio.run(rehearse(spec, lambda step, name: settings, store, simulator.complete))
    finally:
        store.close()


async def really(spec: TaskSpec, url: str) -> dict[str, tuple[int, int]]:
    """Return table -> calls and tokens of a real run."""
    tables: dict[str, pl.DataFrame] = {}
    found = {}
    for step, upstream in UPSTREAM.items():
        async with Engine(
            EngineSettings(
                simulator=simulator.application, store_url=url, task=spec.name, step=step
            )
        ) as llm:
            made = await run_step(step, spec, {name: tables[name] for name in upstream}, llm)
        tables[step] = made.table
        if llm.stats.calls:
            tokens = llm.stats.prompt_tokens + llm.stats.completion_tokens
            found[step] = (llm.stats.calls, tokens)
    return found


def calls(found: Estimate) -> dict[str, int]:
    return {step: sum(one.calls for one in asked) for step, asked in found.steps.items()}


@pytest.mark.parametrize("name", ["rte", "ticket_urgency", "sentiment-attrprompt", "instructions"])
def test_the_estimate_is_near_what_the_run_asks(name: str, tmp_path: Path) -> None:
    spec, url = real_task(name, 24), f"sqlite:///{tmp_path}/s.db"
    told = estimated(spec, url)
    assert told.problem is None
    real = asyncio.run(really(spec, url))
    assert set(told.steps) == set(real)
    for step, (made, tokens) in real.items():
        (asked,) = told.steps[step]
        assert asked.calls == pytest.approx(made, rel=0.15)
        assert asked.prompt_tokens + asked.output_tokens == pytest.approx(tokens, rel=0.15)
        assert (asked.cost_usd, asked.stored) == (0.0, 0)
    # Nothing of it was stored, and what the run has stored costs nothing more.
    again = estimated(spec, url)
    assert sum(calls(again).values()) == 0
    assert again.steps["instances"][0].stored >= real["instances"][0]


def test_more_rows_cost_what_is_missing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    asyncio.run(really(real_task("rte", 24), url))
    more = calls(estimated(real_task("rte", 48), url))
    new = calls(estimated(real_task("rte", 48), f"sqlite:///{tmp_path}/other.db"))
    assert 0 < more["labels"] < 0.7 * new["labels"]


def test_prices_are_those_of_the_real_endpoint(tmp_path: Path, prices: float) -> None:
    del prices
    spec, url = spec_of(tmp_path / "tasks", MOOD), f"sqlite:///{tmp_path}/s.db"
    told = estimated(spec, url, EngineSettings(model="m", endpoint_name="test"))
    for (asked,) in told.steps.values():
        cost = (asked.prompt_tokens * 1000 + asked.output_tokens * 2000) / 1e6
        assert asked.cost_usd == pytest.approx(cost)
        assert asked.batch_usd == pytest.approx(cost / 2)
        assert asked.most_usd is not None and asked.most_usd > cost
        assert (asked.model, asked.endpoint) == ("m", "test")
    unknown = estimated(spec, url, EngineSettings(model="nobody-knows", endpoint_name="test"))
    assert {asked.cost_usd for (asked,) in unknown.steps.values()} == {None}
    assert calls(unknown) == calls(told)


def test_what_cannot_be_played_through_is_told(tmp_path: Path) -> None:
    # No text has more than no words: every instance is rejected.
    text = MOOD.replace("{description: the note}", "{description: the note, max_words: 1}")
    told = estimated(spec_of(tmp_path / "tasks", text), f"sqlite:///{tmp_path}/s.db")
    assert told.problem is not None and told.problem.startswith("instances: ")
    assert {"contexts", "seeds", "instances"} <= set(told.steps)
    assert "labels" not in told.steps


def test_a_prompt_cache_saves_what_prompts_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("models:\n- {model: m, prompt: 1000, cached: 100, completion: 2000}\n")
    monkeypatch.setenv("TARGEN_PRICES", str(file))
    settings = EngineSettings(model="m", endpoint_name="test")
    short = estimated(spec_of(tmp_path / "tasks", MOOD), f"sqlite:///{tmp_path}/s.db", settings)
    (labels,) = short.steps["labels"]
    assert 0 < labels.prefix_tokens < 1024
    assert (labels.cacheable_tokens, labels.cache_saves_usd) == (0, 0)
    # A long description is part of the beginning of every prompt.
    text = MOOD.replace("description: ", "description: " + "Read it with care. " * 300, 1)
    long = estimated(spec_of(tmp_path / "tasks", text), f"sqlite:///{tmp_path}/s.db", settings)
    (labels,) = long.steps["labels"]
    assert labels.prefix_tokens > 1024
    assert labels.cacheable_tokens >= (labels.calls - 1) * labels.prefix_tokens
    saved = labels.cacheable_tokens * 900 / 1e6
    assert labels.cache_saves_usd == pytest.approx(saved)
    assert labels.cost_usd is not None and labels.cost_usd > saved
