"""Attribute values: whom the operator asks, what the filter takes away, and what is counted."""

from collections import Counter

import pytest

from targen.errors import SpecError, StepError
from targen.operators import run_step
from targen.steps import ASKED
from tests.operators.test_generation import tables_of
from tests.support.models import ScriptedModel, block_of, failing, random_model, request_id
from tests.support.specs import MOOD, spec_of

ATTRIBUTED = (
    MOOD[: MOOD.index("steps:")]
    + """\
vocabularies:
  place: {terms: [park, shop, park]}
  topic: {what: topics, count: 3, per_label: true}
steps:
  vocabularies: {operator: attribute_values}
  contexts: {operator: draw}
  seeds: {operator: none}
"""
)
FIVE = ATTRIBUTED.replace(
    "contexts:\n  what",
    "".join(f"    m{n}: {{constraint: c{n}, definition: d{n}}}\n" for n in range(3))
    + "contexts:\n  what",
)


def lists(relevant=(), names=None):
    """Answer with numbered terms of the label; the terms named in `relevant` fit other labels."""

    def answer(request):
        block = block_of(request)
        if request.schema_name == "terms":
            start = len(block["exclude"])
            label = block.get("label", {}).get("name", "any")
            count = block["wanted"]["count"]
            return {"items": [{"term": f"{label} {start + n}"} for n in range(1, count + 1)]}
        if request.schema_name == "relevance":
            return {
                "items": [
                    {"item": i["item"], "relevant": "yes" if i["term"] in relevant else "no"}
                    for i in block["items"]
                ]
            }
        if request.schema_name == "dimensions":
            return {"items": names}
        if request.schema_name == "confusable":
            others = request.schema["properties"]["items"]["items"]["properties"]["label"]["enum"]
            return {"items": [{"label": o} for o in others[: block["wanted"]["count"]]]}
        raise AssertionError(request.schema_name)

    return ScriptedModel(answer)


async def values_of(spec, model):
    made = await run_step("vocabularies", spec, {}, model)
    assert len(made.table) + len(made.rejected) == made.asked
    return made


def terms(made, category, label=None):
    rows = made.table.to_dicts()
    return [r["term"] for r in rows if (r["category"], r["label"]) == (category, label)]


async def test_given_terms_are_taken_and_values_of_each_label_asked_for(tmp_path):
    made = await values_of(spec_of(tmp_path, ATTRIBUTED), lists())
    assert terms(made, "place") == ["park", "shop"]
    assert terms(made, "topic", "glad") == ["glad 1", "glad 2", "glad 3"]
    assert terms(made, "topic", "sad") == ["sad 1", "sad 2", "sad 3"]
    assert made.rejected["reason"].to_list() == ["duplicate"]


async def test_a_value_that_fits_a_confusable_label_goes_and_another_is_asked_for(tmp_path):
    model = lists(relevant={"glad 2"})
    made = await values_of(spec_of(tmp_path, ATTRIBUTED), model)
    assert terms(made, "topic", "glad") == ["glad 1", "glad 3", "glad 4"]
    gone = made.rejected.filter(made.rejected["reason"] == "misleading").to_dicts()
    assert [(row["text"], row["intended_label"]) for row in gone] == [("glad 2", "glad")]
    assert gone[0]["detail"] == "relevant to another label: sad"
    assert len(gone[0]["request_ids"]) == 2
    later = [block_of(r) for r in model.history if r.sample]
    assert later[0]["exclude"] == ["glad 1", "glad 3", "glad 2"]


async def test_the_filter_takes_at_most_five_values_of_a_label(tmp_path):
    every = {f"{label} {n}" for label in ("glad", "sad") for n in range(30)}
    made = await values_of(spec_of(tmp_path, ATTRIBUTED), lists(relevant=every))
    gone = made.rejected.filter(made.rejected["reason"] == "misleading")
    assert Counter(gone["intended_label"]) == {"glad": 5, "sad": 5}
    assert len(terms(made, "topic", "glad")) == 3


async def test_of_two_labels_the_other_is_confusable_and_nobody_is_asked(tmp_path):
    model = lists()
    made = await values_of(spec_of(tmp_path, ATTRIBUTED), model)
    assert terms(made, "confusable", "glad") == ["sad"]
    assert "confusable" not in {r.schema_name for r in model.history}


async def test_of_many_labels_the_nearest_are_asked_for(tmp_path):
    text = FIVE.replace("operator: attribute_values", "operator: attribute_values, confusable: 2")
    model = lists()
    made = await values_of(spec_of(tmp_path, text), model)
    assert terms(made, "confusable", "m0") == ["glad", "sad"]
    asked = [r for r in model.history if r.schema_name == "confusable"]
    assert len(asked) == 5
    shown = [set(block_of(r)["labels"]) for r in model.history if r.schema_name == "relevance"]
    assert all(len(labels) == 2 for labels in shown)


async def test_the_filter_asks_at_its_own_temperature(tmp_path):
    model = lists()
    await values_of(spec_of(tmp_path, ATTRIBUTED), model)
    by_name = {r.schema_name: r.sampling.temperature for r in model.history}
    assert by_name == {"terms": 1.0, "relevance": 0.7}


async def test_dimensions_can_be_asked_for_and_their_names_are_made_safe(tmp_path):
    text = ATTRIBUTED.replace("attribute_values", "attribute_values, dimensions: 3, values: 2")
    names = [
        {"name": "Time of Day!", "what": "times", "depends_on_label": "no"},
        {"name": "label", "what": "labels", "depends_on_label": "no"},
        {"name": "../../Cause", "what": "causes", "depends_on_label": "yes"},
    ]
    made = await values_of(spec_of(tmp_path, text), lists(names=names))
    assert terms(made, "time_of_day") == ["any 1", "any 2"]
    assert len(terms(made, "cause", "glad")) == 2
    assert made.warnings == ["the model named 2 of 3 dimensions"]


async def test_confusable_labels_become_a_requirement_of_the_draw(tmp_path):
    text = ATTRIBUTED + "  instances: {requirements: true}\n"
    model = random_model()
    await tables_of(spec_of(tmp_path, text), model, "instances")
    (slot, *_) = next(block_of(r)["slots"] for r in model.history if r.schema_name == "instances")
    assert slot["requirements"][-1].startswith("3. it must clearly not be: ")


async def test_no_value_is_one_error(tmp_path):
    model = ScriptedModel(lambda request: failing(request, "refused", "no"))
    with pytest.raises(StepError, match="the model gave no value for 'topic' for glad"):
        await run_step("vocabularies", spec_of(tmp_path, ATTRIBUTED), {}, model)


def test_without_dimensions_the_recipe_is_refused(tmp_path):
    text = MOOD + "  vocabularies: {operator: attribute_values}\n"
    with pytest.raises(SpecError, match="needs `vocabularies` or a number of `dimensions`"):
        spec_of(tmp_path, text)


async def test_calls_that_bring_no_term_stand_in_the_table_and_are_drawn_by_nobody(tmp_path):
    text = ATTRIBUTED.replace(
        "{operator: attribute_values}", "{operator: attribute_values, dimensions: 1}"
    )
    named = [{"name": "tone", "what": "tones", "depends_on_label": "no"}]
    model = lists(relevant={"glad 2"}, names=named)
    spec = spec_of(tmp_path, text)
    made = await values_of(spec, model)
    noted = [r for r in made.table.to_dicts() if r["category"] == ASKED]
    assert [(r["term"], r["label"]) for r in noted] == [
        ("about dimensions, turn 1", None),
        ("about topic, turn 1", "glad"),
        ("about topic, turn 1", "sad"),
        ("about topic, turn 2", "glad"),
    ]
    asked = {request_id(r) for r in model.history}
    assert asked == set(made.table["request_id"].drop_nulls())
    drawn = await run_step("contexts", spec, {"vocabularies": made.table}, None)
    assert not any("turn" in text for text in drawn.table["text"])
