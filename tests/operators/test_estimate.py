"""The estimate of a task against what its run then really asks, on the simulator."""

import asyncio
from pathlib import Path

import polars as pl
import pytest

import simulator
from targen.llm.engine import Engine
from targen.llm.settings import EMBEDDED_ENDPOINT, EMBEDDED_MODEL, EngineSettings
from targen.operators import run_step
from targen.operators.estimate import Estimate, estimate
from targen.steps import UPSTREAM
from targen.store.completions import Store
from targen.tasks.spec import TaskSpec
from tests.support.specs import MOOD, real_task, spec_of

EMBEDDED = EngineSettings()


def estimated(
    spec: TaskSpec, url: str, settings: EngineSettings = EMBEDDED, rows: int | None = None
) -> Estimate:
    store = Store(url)
    try:
        made = estimate(spec, lambda step, name: settings, store, simulator.complete, rows)
        return asyncio.run(made)
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


@pytest.mark.parametrize("name", ["rte", "rte-attrprompt", "instructions"])
def test_a_short_rehearsal_foretells_a_long_run(name: str, tmp_path: Path) -> None:
    spec, url = real_task(name, 90), f"sqlite:///{tmp_path}/s.db"
    told = estimated(spec, url, rows=30)
    assert told.rehearsed in (30, 60, 90)
    real = asyncio.run(really(spec, url))
    sums = [sum(numbers) for numbers in zip(*real.values(), strict=True)]
    assert told.totals().calls == pytest.approx(sums[0], rel=0.1)
    assert told.totals().tokens == pytest.approx(sums[1], rel=0.15)


def test_a_real_models_calls_are_those_of_the_plan(tmp_path: Path, prices: float) -> None:
    # The simulator fails every note, so its run would need other calls.
    text = MOOD.replace("{description: the note}", "{description: the note, max_words: 1}")
    spec = spec_of(tmp_path / "tasks", text, 60)
    settings = EngineSettings(model="m", endpoint_name="test")
    told = estimated(spec, f"sqlite:///{tmp_path}/s.db", settings)
    (instances,) = told.steps["instances"]
    wanted = spec.wanted_instances
    assert instances.planned == instances.calls_low == -(-wanted // 2)
    assert instances.calls_low < instances.calls < instances.calls_high
    assert instances.basis == "assumption"
    assert instances.low_usd is not None and instances.high_usd is not None
    assert instances.low_usd < (instances.cost_usd or 0) < instances.high_usd


def test_stored_answers_of_a_model_are_its_history(tmp_path: Path, prices: float) -> None:
    spec, url = spec_of(tmp_path / "tasks", MOOD, 16), f"sqlite:///{tmp_path}/s.db"
    asyncio.run(really(spec, url))
    # A paid model that gave the simulator's answers.
    settings = EngineSettings(model=EMBEDDED_MODEL, endpoint_name=EMBEDDED_ENDPOINT)
    more = spec.model_copy(update={"rows": 160})
    told = estimated(more, url, settings, rows=16)
    for step in ("instances", "labels"):
        (asked,) = told.steps[step]
        assert asked.basis == "history" and asked.calls_low == asked.calls_high == asked.calls
        assert 0 < asked.stored < asked.calls
    assert estimated(spec, url, settings).totals().calls == 0


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
