"""Selection by log-probability: the best of each slot's candidates, or one clear error."""

from dataclasses import replace

import pytest

from targen.errors import EndpointError, StepError
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
