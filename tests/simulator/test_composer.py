"""Rows of tasks that no grammar knows: placeholders that say so and pass the guards."""

import asyncio
from pathlib import Path

import polars as pl
import pytest

import simulator
from simulator.composer import PLACEHOLDER
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.operators import run_step
from targen.steps import UPSTREAM
from targen.tasks.draft import Draft, write
from targen.tasks.spec import TaskSpec
from tests.support.specs import RECIPES


def drafted(folder: Path, language: str, recipe: str = "targen") -> TaskSpec:
    draft = Draft(
        name="clauses",
        title="Clauses",
        description="A clause of a contract.",
        fields={"clause": "Write one clause, 20 to 60 words.", "note": "Write a short title."},
        question="Which risk does it carry?",
        labels={"payment": "Money may be late.", "liability": "One side answers for damage."},
        contexts="industries and kinds of contracts",
        rows=30,
        recipe=recipe,
        language=language,
    )
    return write(draft, folder / "clauses.yaml", RECIPES)


async def made(spec: TaskSpec, url: str) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    tables: dict[str, pl.DataFrame] = {}
    rejected = {}
    for step, above in UPSTREAM.items():
        settings = EngineSettings(
            simulator=simulator.application, store_url=url, task=spec.name, step=step
        )
        async with Engine(settings) as llm:
            output = await run_step(step, spec, {name: tables[name] for name in above}, llm)
        tables[step], rejected[step] = output.table, output.rejected
    return tables, rejected


@pytest.mark.parametrize(
    ("language", "recipe"),
    [("en", "targen"), ("en", "zerogen"), ("de", "targen"), ("ja", "targen")],
)
def test_a_new_task_runs_at_once_and_its_rows_say_what_they_are(
    tmp_path: Path, language: str, recipe: str
) -> None:
    spec = drafted(tmp_path / "tasks", language, recipe)
    tables, rejected = asyncio.run(made(spec, f"sqlite:///{tmp_path}/s.db"))
    rows = tables["corrected_set"]
    assert rows.height == 30
    word = {"en": PLACEHOLDER, "de": "Platzhalter", "ja": "\u4eee\u306e\u6587\u7ae0"}[language]
    for name in spec.fields:
        assert rows[name].str.starts_with(word).all() and rows[name].n_unique() == 30
    # Nothing is rejected because of what was written.
    reasons = set(pl.concat(rejected.values())["reason"]) - {"surplus", "dropped"}
    assert not reasons
    right = (rows["label"] == rows["intended_label"]).sum()
    assert 20 <= right <= 30
    contexts = tables["contexts"]["text"]
    assert contexts.str.starts_with(word).all()


def test_a_placeholder_names_the_plan_that_it_was_to_be_written_from(tmp_path: Path) -> None:
    spec = drafted(tmp_path / "tasks", "en")
    tables, _ = asyncio.run(made(spec, f"sqlite:///{tmp_path}/s.db"))
    seed = tables["seeds"]["fields"][0]
    number = seed.split(PLACEHOLDER)[1].split()[0]
    told = tables["instances"].filter(pl.col("seed_id") == tables["seeds"]["seed_id"][0])
    assert told["clause"].str.contains(f"The plan was: .*{PLACEHOLDER} {number}").all()
