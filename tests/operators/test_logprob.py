"""Selection by log-probability: the best of each slot's candidates, or one clear error."""

import json
from dataclasses import replace

import polars as pl
import pytest

import simulator
from simulator.app import content
from targen.errors import EndpointError, StepError
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.store.completions import Store
from tests.operators.test_generation import tables_of
from tests.support.models import ScriptedModel, block_of, ok
from tests.support.specs import MOOD, spec_of

SELECTED = (
    MOOD[: MOOD.index("steps:")]
    + """\
steps:
  contexts: {operator: none}
  seeds: {operator: none}
  instances: {operator: select_by_logprob, over: 3, retries: 1}
  labels: {operator: intended}
  correction: {operator: none}
"""
)


def scored(score):
    """Answer each call with a note that names its sample, as likely as `score(sample)` says."""

    def answer(request):
        (slot,) = block_of(request)["slots"]
        name = block_of(request)["label"]["name"]
        outcome = ok(request, {"items": [{"slot": 1, "note": f"{name} {request.sample}"}]})
        assert slot["slot"] == 1
        return replace(outcome, mean_logprob=score(request.sample))

    return ScriptedModel(answer)


async def test_the_likeliest_of_a_slot_s_candidates_stands(tmp_path):
    """Six samples a slot (three candidates, one retry): of slot i the samples 6i to 6i + 2."""
    model = scored(lambda sample: {0: -2.0, 1: -0.5, 2: -1.0}[sample % 6])
    made = await tables_of(spec_of(tmp_path, SELECTED, rows=4), model)
    notes = made["instances"].table["note"].to_list()
    assert [int(note.split()[1]) for note in notes] == [1, 7, 13, 19]
    rejected = made["instances"].rejected
    assert rejected["reason"].to_list() == ["outranked"] * 8
    assert rejected["detail"][0] == (
        "log-probability: mean -2.0000 a token, the one kept has -0.5000"
    )
    assert sorted(made["instances"].table["intended_label"]) == ["glad", "glad", "sad", "sad"]


async def test_all_candidates_ask_for_log_probabilities(tmp_path):
    model = scored(lambda sample: -1.0)
    await tables_of(spec_of(tmp_path, SELECTED, rows=4), model)
    assert all(request.sampling.logprobs for request in model.history)
    assert len(model.history) == 1 + 4 * 3  # the probe is the first candidate: paid once


async def test_more_rows_keep_every_choice(tmp_path):
    score = lambda sample: -((sample * 7919) % 101) / 50  # noqa: E731
    few = await tables_of(spec_of(tmp_path, SELECTED, rows=4), scored(score))
    many = await tables_of(spec_of(tmp_path, SELECTED, rows=30), scored(score))
    kept = many["instances"].table.head(4)
    assert kept.equals(few["instances"].table)


async def test_an_endpoint_without_log_probabilities_costs_one_call(tmp_path):
    model = scored(lambda sample: None)
    with pytest.raises(StepError, match="the recipe selects rows by log-prob"):
        await tables_of(spec_of(tmp_path, SELECTED), model)
    assert len(model.history) == 1


async def test_an_endpoint_that_refuses_the_parameter_says_the_same(tmp_path):
    def refuse(request):
        raise EndpointError("m does not take the parameter 'logprobs': unsupported")

    with pytest.raises(StepError, match="endpoint returns none; use an endpoint that"):
        await tables_of(spec_of(tmp_path, SELECTED), ScriptedModel(refuse))


async def test_another_endpoint_error_stays_what_it_is(tmp_path):
    def refuse(request):
        raise EndpointError("check the API key")

    with pytest.raises(EndpointError, match="API key"):
        await tables_of(spec_of(tmp_path, SELECTED), ScriptedModel(refuse))


async def test_a_slot_without_a_valid_candidate_gets_as_many_again(tmp_path):
    def score(sample):
        return {3: -3.0, 4: -1.0, 5: -2.0}.get(sample % 6, 0.0)

    base = scored(score)

    def answer(request):
        if request.sample < 3:
            return replace(ok(request, {"items": [{"slot": 1, "note": " "}]}), mean_logprob=0.0)
        return base.answer(request)

    made = await tables_of(spec_of(tmp_path, SELECTED, rows=2), ScriptedModel(answer))
    assert made["instances"].table["note"][0].split()[1] == "4"


def mean(text):
    tokens = content(text)
    return sum(token["logprob"] for token in tokens) / len(tokens)


async def test_a_rerun_makes_the_same_choice_from_the_store(tmp_path):
    """The stored means are over the notes alone, and the kept row has the highest of its slot."""
    url = f"sqlite:///{tmp_path}/store.db"
    spec = spec_of(tmp_path, SELECTED, rows=6)
    found = []
    for _ in range(2):
        settings = EngineSettings(simulator=simulator.application, store_url=url)
        async with Engine(settings) as engine:
            found.append((await tables_of(spec, engine, "instances"))["instances"])
    assert engine.stats.calls == 0
    assert found[0].table.equals(found[1].table)
    rejected = found[0].rejected.filter(pl.col("reason") == "outranked")
    names = [*found[0].table["request_id"], *(one[0] for one in rejected["request_ids"])]
    store = Store(url)
    stored = {row["request_id"]: row for row in store.completions(names).to_dicts()}
    store.close()
    means = {name: stored[name]["mean_logprob"] for name in names}
    for row in stored.values():
        (item,) = json.loads(row["raw"])["items"]
        # The end of a note shares a token with the brackets, so the means are not quite equal.
        assert row["mean_logprob"] == pytest.approx(mean(item["note"]), abs=0.03)
    for row in found[0].table.iter_rows(named=True):
        others = rejected.filter(pl.col("slot") == row["slot"])["request_ids"]
        assert all(means[row["request_id"]] >= means[one[0]] for one in others)
        assert len(others) == 2
