"""Previews: the rows and requests of the run that follows, in memory, with their cost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

import simulator
from simulator.app import MODEL
from targen.llm.engine import Engine
from targen.llm.prices import Price
from targen.llm.progress import Stats
from targen.llm.settings import EngineSettings
from targen.operators import run_step
from targen.operators.preview import few_rows, preview
from targen.steps import CORRECTED_SET, INSTANCES, UPSTREAM
from targen.tasks.loading import load_task
from tests.support.endpoint import Endpoint, completion
from tests.support.specs import MOOD, RECIPES, real_task, spec_of, write_task


def settings(folder: Path, **more):
    def of(step, endpoint=None):
        return EngineSettings(
            simulator=simulator.application,
            store_url=f"sqlite:///{folder}/completions.db",
            **{"run_id": "preview-1", "task": "any", "step": step, **more},
        )

    return of


async def full_run(spec, of):
    """Return the tables of a run and the number of calls that it paid for."""
    tables, paid = {}, 0
    for step, upstream in UPSTREAM.items():
        async with Engine(of(step)) as engine:
            made = await run_step(step, spec, {n: tables[n] for n in upstream}, engine)
        tables[step] = made.table
        paid += engine.stats.calls
    return tables, paid


async def test_a_run_starts_with_the_rows_of_the_preview_and_does_not_pay_for_them(tmp_path):
    spec = real_task("rte", 24)
    found = await preview(few_rows(spec), settings(tmp_path))
    assert found.problem is None and len(found.kept) == 3
    assert all(call.paid_now for call in found.calls)
    (tmp_path / "other").mkdir()
    alone, calls = await full_run(spec, settings(tmp_path / "other", run_id="run"))
    tables, paid = await full_run(spec, settings(tmp_path, run_id="run"))
    assert tables[CORRECTED_SET].equals(alone[CORRECTED_SET])
    ids = [row.instance_id for row in found.rows]
    assert set(ids) <= set(tables[INSTANCES]["instance_id"])
    # A run corrects a part of the undisputed rows only; the preview corrects all of its few rows.
    used = {r for call in found.calls if call.step != CORRECTED_SET for r in [call.request_id]}
    assert calls - len(found.calls) <= paid <= calls - len(used)
    again = await preview(few_rows(spec), settings(tmp_path, run_id="preview-2"))
    assert not any(call.paid_now for call in again.calls)
    assert [row.instance_id for row in again.rows] == ids


async def test_the_cost_of_a_call_is_divided_among_the_rows_that_it_serves(tmp_path):
    price = Price(1.0, 2.0)
    async with Endpoint(simulated_endpoint()) as endpoint:
        of = settings(
            tmp_path, model="m", base_url=endpoint.url, api_key="k", own_key=True, price=price
        )
        found = await preview(few_rows(real_task("rte", 24)), of)
    assert found.problem is None
    total = found.costs()[-1]
    assert total["calls"] == len(endpoint.bodies) == len(found.calls)
    tokens = total["prompt_tokens"] + 2 * total["completion_tokens"]
    assert total["cost_usd"] == pytest.approx(tokens / 1e6)
    # Every call of this preview serves a row, so the shares add up.
    served = [call for call in found.calls if call.rows]
    assert sum(row.cost_usd for row in found.rows) == pytest.approx(
        sum(call.cost_usd for call in served)
    )
    first = next(call for call in found.calls if call.step == "contexts")
    assert first.rows == len(found.rows) == 6


def simulated_endpoint():
    """Answer over HTTP what the simulator would."""

    def answer(body, _):
        return web.json_response(simulator.complete({**body, "model": MODEL}))

    return answer


async def test_own_rows_are_previewed_from_the_start_of_the_file(tmp_path):
    spec = real_task("inbox")
    found = await preview(few_rows(spec, 2), settings(tmp_path))
    assert found.problem is None
    subjects = [row.fields for row in sorted(found.rows, key=lambda r: r.instance_id)]
    given = [{name: row[name] for name in spec.fields} for row in spec.given_rows]
    assert all(dict(fields) in given[: len(found.rows)] for fields in subjects)
    assert all(row.intended_label is None and row.votes for row in found.rows)
    assert {call.step for call in found.calls} <= {"labels", "corrected_set"}


def test_pairs_are_whole_and_a_small_task_stays_small(tmp_path):
    assert few_rows(real_task("axg")).rows == 4
    assert few_rows(real_task("rte", 2)).rows == 2
    more = few_rows(spec_of(tmp_path, MOOD.replace("rows: 8", "rows: 80\nheadroom: 40")))
    assert (more.rows, more.headroom) == (3, 3)


async def test_a_step_that_fails_shows_what_the_model_said(tmp_path):
    def answer(body, _):
        if "contexts" in body["response_format"]["json_schema"]["name"]:
            return completion(json.dumps({"items": [{"domain": "d", "text": "a bus stop"}]}))
        return completion("I would rather not.")

    async with Endpoint(answer) as endpoint:
        of = settings(tmp_path, model="m", base_url=endpoint.url, api_key="k", own_key=True)
        found = await preview(few_rows(spec_of(tmp_path / "tasks")), of)
    assert found.problem is not None and not found.kept
    assert "I would rather not." in {call.answer for call in found.calls}
    assert found.rejected and found.rejected[0]["request_ids"]


async def test_readers_of_a_panel_answer_at_their_own_endpoints(tmp_path):
    ends = tmp_path / "ends.yaml"
    lines = [f"  {name}: {{base_url: 'http://127.0.0.1:1/v1', model: m}}" for name in ("a", "b")]
    ends.write_text("\n".join(["endpoints:", *lines]) + "\n")
    readers = "[{name: one, endpoint: a}, {name: two, endpoint: b}, {name: three, seed: 3}]"
    steps = f"  labels: intended\n  correction: {{operator: panel, readers: {readers}}}\n"
    task = MOOD + steps.replace("labels: intended", "labels: {operator: intended}")
    spec = load_task("mood", write_task(tmp_path / "tasks", task), RECIPES, endpoints_file=ends)
    default = settings(tmp_path)
    async with Endpoint(simulated_endpoint()) as endpoint:
        own = {"model": "m", "base_url": endpoint.url, "api_key": "k", "own_key": True}

        def of(step, name):
            made = default(step)
            return made if name is None else replace(made, endpoint_name=name, **own)

        found = await preview(few_rows(spec), of)
    assert found.problem is None
    asked = {}
    for call in found.calls:
        if call.step == CORRECTED_SET:
            asked.setdefault(call.endpoint, []).append(call)
    # Every row is read once at each endpoint, and by the reader of the default one.
    assert {name: len(calls) for name, calls in asked.items()} == {
        "a": len(found.rows), "b": len(found.rows), "embedded": len(found.rows)
    }  # fmt: skip
    assert len(endpoint.bodies) == 2 * len(found.rows)
    readings = [one["reader"] for one in found.kept[0].verdict["readings"]]
    assert readings == ["(writer)", "one", "two", "three"]


def test_the_counts_of_several_engines_add_up():
    first = Stats(model="a", requests=2, calls=2, prompt_tokens=10, cost_usd=0.5)
    second = Stats(model="b", requests=3, calls=1, from_store=2, prompt_tokens=5, cost_usd=0.25)
    unknown = Stats(model="c", requests=1, calls=1, cost_usd=None, cached_tokens=4)
    both = first.plus(second).as_dict()
    assert (both["model"], both["calls"], both["from_store"]) == ("a, b", 3, 2)
    assert (both["prompt_tokens"], both["cost_usd"], both["cached_tokens"]) == (15, 0.75, None)
    every = first.plus(second, unknown, Stats(model="unused"))
    assert every.model == "a, b, c" and every.cost_usd is None and every.cached_tokens == 4
