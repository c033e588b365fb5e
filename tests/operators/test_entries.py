"""What a prompt for instances shows: examples, seeds in order, the plain style, and its limit."""

import pytest

from targen.operators.base import LLMParams
from targen.operators.bounds import bounded, words_at_most
from targen.operators.entries import in_order
from targen.tasks.sections import TaskField
from tests.operators.test_generation import mood_model, tables_of
from tests.support.models import block_of, random_model
from tests.support.specs import MOOD, real_task, spec_of


def asked(model):
    return [r for r in model.history if "slots" in block_of(r)]


EXAMPLES = """
examples:
  - {fields: {note: It rained on us.}, label: sad}
  - {fields: {note: She sang.}, label: glad}
  - {fields: {note: He wept.}, label: sad}
"""


async def test_examples_of_the_same_label_come_first(tmp_path):
    text = MOOD.replace("{per_call: 2}", "{per_call: 2, shots: 2}") + EXAMPLES
    model = mood_model()
    await tables_of(spec_of(tmp_path, text), model, "instances")
    for request in asked(model):
        block = block_of(request)
        shown = [(e["note"], e["label"]) for e in block["examples"]]
        if block["label"]["name"] == "sad":
            assert shown == [("It rained on us.", "sad"), ("He wept.", "sad")]
        else:
            assert shown == [("She sang.", "glad"), ("It rained on us.", "sad")]
        assert list(block) == ["task", "label", "examples", "slots"]
        assert "Do not reuse their content" in request.messages[0]["content"]


async def test_no_example_is_shown_by_default(tmp_path):
    model = mood_model()
    await tables_of(spec_of(tmp_path, MOOD + EXAMPLES), model, "instances")
    assert all("examples" not in block_of(r) for r in asked(model))


async def test_a_copy_of_a_shown_example_is_no_row(tmp_path):
    text = MOOD.replace("{per_call: 2}", "{per_call: 2, shots: 2}") + EXAMPLES

    def answer(request):
        value = base(request)
        if "slots" in block_of(request) and not request.sample:
            value["items"][0]["note"] = "she  SANG."
        return value

    model = mood_model()
    base, model.answer = model.answer, answer
    made = (await tables_of(spec_of(tmp_path, text), model, "instances"))["instances"]
    assert not {note for note in made.table["note"] if "sang" in note.lower()}
    assert set(made.rejected["detail"]) == {"echo: the row is an example of the prompt"}
    assert set(made.rejected["reason"]) == {"echo"}


def test_a_seed_is_shown_in_the_order_of_the_task():
    spec = real_task("stories-hierarchical")
    stored = {"sentence": "s", "summary": "t", "operator": "o"}
    assert list(in_order(spec, stored)) == ["summary", "sentence", "operator"]


async def test_a_plan_comes_before_the_sentence_that_it_was_made_for():
    model = random_model()
    await tables_of(real_task("stories-hierarchical", rows=6), model, "instances")
    assert {tuple(block_of(r)["slots"][0]["seed"]) for r in asked(model)} == {
        ("summary", "sentence")
    }


PLAIN = MOOD.replace("{per_call: 2}", "{per_call: 2, style: plain}").replace(
    "{page: 3}", "{page: 3, style: plain}"
)


async def test_the_plain_style_asks_for_one_item_with_the_order_last(tmp_path):
    spec, model = spec_of(tmp_path, PLAIN), mood_model(seeds_per_page=1)
    made = await tables_of(spec, model, "instances")
    assert len(made["instances"].table) == 16
    assert {len(block_of(r)["slots"]) for r in asked(model)} == {1}
    assert spec.per_call == 1
    seeds = [r for r in model.history if r.schema_name == "seeds"]
    assert {len(block_of(r)["items"]) for r in seeds} == {1}
    for request in (*asked(model), *seeds):
        data, order = request.messages[1]["content"].rsplit("```", 1)
        assert data.startswith("```json") and len(order) > len(request.messages[0]["content"])
    assert "Write the one example" in asked(model)[0].messages[1]["content"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (TaskField(description="5 to 14 words", max_words=30), 30),
        (TaskField(description="the event, 10 to 30 words"), 45),
        (TaskField(description="at most 20 words"), 30),
        (TaskField(description="two to five sentences"), 250),
    ],
)
def test_a_length_comes_from_max_words_or_the_description(field, words):
    assert words_at_most(field) == words


async def test_the_limit_of_tokens_follows_from_the_lengths_that_the_task_allows():
    model = random_model()
    await tables_of(real_task("rte", rows=40), model, "instances")
    limits = {(len(block_of(r)["slots"]), r.sampling.max_output_tokens) for r in asked(model)}
    # A hypothesis has at most 40 words: 88 tokens, besides keys and the first words of the premise.
    assert limits <= {(1, 176), (3, 502), (5, 794)}
    assert "maxLength" not in str([r.schema for r in asked(model)])


async def test_the_limit_never_exceeds_the_recipe_s_and_leaves_reasoning_alone(tmp_path):
    for more, limit in (("max_output_tokens: 99", 99), ("reasoning_effort: low", 4096)):
        text = MOOD.replace("{per_call: 2}", f"{{per_call: 2, {more}}}")
        model = mood_model()
        await tables_of(spec_of(tmp_path, text), model, "instances")
        assert {r.sampling.max_output_tokens for r in asked(model)} == {limit}


def test_other_languages_have_more_tokens_a_word():
    sizes = [
        bounded(LLMParams(), 1, 3, 180, language).max_output_tokens for language in ("en", "de")
    ]
    assert sizes[1] > 2 * sizes[0]


async def test_a_long_rationale_is_shortened(tmp_path):
    text = MOOD.replace("{per_call: 2}", "{per_call: 2, rationale: true}")

    def answer(request):
        value = base(request)
        for item in value["items"] if "slots" in block_of(request) else ():
            item["rationale"] = "because " * 90
        return value

    model = mood_model()
    base, model.answer = model.answer, answer
    made = await tables_of(spec_of(tmp_path, text), model, "instances")
    assert set(made["instances"].table["rationale"].str.len_chars()) == {400}
