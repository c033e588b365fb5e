"""Composing and expanding: requirements, features and plans reach the prompt and the row."""

import json

import pytest

from targen.errors import StepError
from tests.operators.test_generation import tables_of
from tests.support.models import ScriptedModel, block_of, failing, random_model
from tests.support.specs import real_task


async def test_a_story_is_asked_for_with_its_words_and_its_features():
    model = random_model()
    made = await tables_of(real_task("stories", rows=12), model, "instances")
    features = {row["slot"]: row["intended_label"] for row in made["instances"].table.to_dicts()}
    calls = [block_of(request) for request in model.history]
    assert len(calls) == 12 and all(len(block["slots"]) == 1 for block in calls)
    asked = [sorted(block["slots"][0]["labels"]) for block in calls]
    assert sorted(asked) == sorted(features.values())
    words = calls[0]["slots"][0]["requirements"]
    assert [text.split(' "')[0] for text in words] == [
        "1. the story uses the noun",
        "2. the story uses the verb",
        "3. the story uses the adjective",
    ]


async def test_features_are_the_labels_to_the_end():
    made = await tables_of(real_task("stories", rows=12), random_model())
    table = made["corrected_set"].table
    assert table["label"].to_list() == table["intended_label"].to_list()
    assert table["label"].to_list() == made["instances"].table["intended_label"].to_list()
    assert len({tuple(label) for label in table["label"]}) == 12
    assert made["labels"].table["votes"].list.len().max() == 0


async def test_no_headroom_is_paid_for_where_nothing_can_drop_a_row():
    assert real_task("stories", rows=100).wanted_instances == 100
    assert real_task("stories-annotated", rows=100).wanted_instances == 136


async def test_a_plan_is_made_for_each_story_and_stands_in_its_prompt():
    model = random_model()
    made = await tables_of(real_task("stories-hierarchical", rows=10), model, "instances")
    seeds = {row["context_id"]: row for row in made["seeds"].table.to_dicts()}
    for row in made["instances"].table.to_dicts():
        assert seeds[row["context_id"]]["seed_id"] == row["seed_id"]
    plans = [block_of(r) for r in model.history if r.schema_name == "seeds"]
    assert list(plans[0]["wanted"]["fields"]) == ["summary", "sentence"]
    assert len(plans[0]["requirements"]) == 5
    stories = [block_of(r)["slots"][0] for r in model.history if r.schema_name == "instances"]
    assert {tuple(sorted(story["seed"])) for story in stories} == {("sentence", "summary")}
    texts = {json.dumps(story["seed"], sort_keys=True) for story in stories}
    assert len(texts) == 10


async def test_a_story_whose_plan_fails_is_written_without_and_keeps_its_place():
    base = random_model()

    def answer(request):
        if request.schema_name == "seeds" and "Mia" in json.dumps(block_of(request)):
            return failing(request, "refused", "no")
        return base.answer(request)

    spec = real_task("stories-hierarchical", rows=30)
    made = await tables_of(spec, ScriptedModel(answer), "instances")
    table, contexts = made["instances"].table, made["contexts"].table
    assert 0 < table["seed_id"].null_count() < 10
    assert table["slot"].to_list() == list(range(30))
    assert table["context_id"].to_list() == contexts["context_id"].head(30).to_list()


async def test_no_plan_at_all_is_one_error():
    def answer(request):
        return failing(request, "refused", "never")

    spec = real_task("stories-hierarchical", rows=10)
    with pytest.raises(StepError, match=r"none of \d+ seeds was valid .*first: never"):
        await tables_of(spec, ScriptedModel(answer))


@pytest.mark.parametrize("name", ["stories", "stories-hierarchical", "sentiment-attrprompt"])
async def test_more_rows_keep_every_row(name):
    few = await tables_of(real_task(name, rows=8), random_model(), "instances")
    many = await tables_of(real_task(name, rows=21), random_model(), "instances")
    kept = many["instances"].table.head(len(few["instances"].table))
    assert kept.equals(few["instances"].table)


async def test_textbooks_have_no_label_and_their_code_parses():
    base = random_model()

    def answer(request):
        value = base.answer(request)
        for place, item in enumerate(value["items"]):
            code = "for n in range(3):\n    print(n)" if request.sample else "for n in"
            item["snippets"] = [code, f"x = {place}"]
        return value

    made = await tables_of(real_task("textbook-python", rows=6), ScriptedModel(answer))
    assert made["corrected_set"].table["label"].null_count() == 6
    assert set(made["instances"].rejected["detail"]) == {
        "python_syntax: snippet 1 of snippets is no Python: SyntaxError"
    }
