"""Growing on the simulator: more rows keep every row and repeat every call of fewer rows."""

import pytest

import simulator
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.operators import run_step
from targen.steps import INSTANCES, UPSTREAM
from tests.support.specs import real_task


async def instances(name, rows, folder):
    """Return the instances of a task and the requests that their step made."""
    spec, tables = real_task(name, rows), {}
    for step, upstream in UPSTREAM.items():
        settings = EngineSettings(
            simulator=simulator.application,
            store_url=f"sqlite:///{folder}/{rows}.db",
            run_id="run",
            task=name,
            step=step,
        )
        async with Engine(settings) as engine:
            made = await run_step(step, spec, {n: tables[n] for n in upstream}, engine)
        tables[step] = made.table
        if step == INSTANCES:
            return made
    raise AssertionError


@pytest.mark.parametrize("name", ["rte", "ticket_urgency"])
async def test_growing_from_12_to_100_to_1000_keeps_the_rows(name, tmp_path):
    small = await instances(name, 12, tmp_path)
    assert small.table["slot"].max() < 24
    for rows in (100, 1000):
        large = await instances(name, rows, tmp_path)
        assert large.table.head(len(small.table)).equals(small.table), rows
        small = large


@pytest.mark.parametrize("name", ["axg", "record", "stories", "stories-annotated"])
async def test_pairs_spans_and_several_labels_grow_as_well(name, tmp_path):
    small, large = [await instances(name, rows, tmp_path) for rows in (12, 60)]
    assert 12 <= len(small.table) < len(large.table)
    assert large.table.head(len(small.table)).equals(small.table)
