"""Drawing: values by label, even within each label, the same whatever the rows."""

from collections import Counter

import pytest

from targen.errors import SpecError, StepError
from targen.operators import run_step, step_digest
from tests.operators.test_generation import tables_of
from tests.support.models import block_of, random_model
from tests.support.specs import MOOD, real_task, spec_of

DRAWN = (
    MOOD[: MOOD.index("steps:")]
    + """\
vocabularies:
  place: {terms: [park, shop, school], requirement: "it happens in the {}"}
  tone: {terms: [calm, loud]}
steps:
  vocabularies: {operator: inline}
  contexts: {operator: draw}
  seeds: {operator: none}
  instances: {requirements: true, per_call: 2}
"""
)


def named(row):
    return {pair["name"]: pair["value"] for pair in row["attributes"]}


async def drawn_of(spec, model=None):
    words = (await run_step("vocabularies", spec, {}, model)).table
    return words, (await run_step("contexts", spec, {"vocabularies": words}, None)).table


async def test_values_are_even_within_each_label(tmp_path):
    _, table = await drawn_of(spec_of(tmp_path, DRAWN, rows=40))
    seen = Counter()
    for row in table.iter_rows(named=True):
        attributes = named(row)
        seen[attributes["label"], attributes["place"]] += 1
    for label in ("glad", "sad"):
        counts = [seen[label, place] for place in ("park", "shop", "school")]
        assert max(counts) - min(counts) <= 1


async def test_more_rows_keep_every_draw(tmp_path):
    _, few = await drawn_of(spec_of(tmp_path, DRAWN, rows=8))
    _, many = await drawn_of(spec_of(tmp_path, DRAWN, rows=50))
    assert len(many) > len(few)
    assert many.head(len(few)).equals(few)
    assert many["context_id"].is_unique().all()


async def test_each_slot_gets_its_own_draw_and_label(tmp_path):
    made = await tables_of(spec_of(tmp_path, DRAWN, rows=20), random_model(), "instances")
    contexts = {row["context_id"]: named(row) for row in made["contexts"].table.to_dicts()}
    instances = made["instances"].table
    assert instances["context_id"].is_unique().all()
    for row in instances.iter_rows(named=True):
        assert contexts[row["context_id"]]["label"] == row["intended_label"]


async def test_a_prompt_lists_what_was_drawn_as_numbered_requirements(tmp_path):
    model = random_model()
    await tables_of(spec_of(tmp_path, DRAWN), model, "instances")
    slots = [slot for request in model.history for slot in block_of(request).get("slots", [])]
    assert slots
    for slot in slots:
        place, tone = slot["requirements"]
        assert place.startswith("1. it happens in the ") and tone.startswith("2. tone: ")
        assert "context" not in slot


async def test_values_of_a_label_are_drawn_for_its_slots_alone(tmp_path):
    spec = spec_of(tmp_path, DRAWN, rows=20)
    words, _ = await drawn_of(spec)
    rows = words.to_dicts()
    for row in rows:
        if row["category"] == "tone":
            row["label"] = "glad" if row["term"] == "calm" else "sad"
    from targen.steps import frame, schema

    changed = frame(rows, schema("vocabularies", {}))
    table = (await run_step("contexts", spec, {"vocabularies": changed}, None)).table
    assert {(named(r)["label"], named(r)["tone"]) for r in table.to_dicts()} == {
        ("glad", "calm"),
        ("sad", "loud"),
    }


async def test_stories_draw_each_set_of_features_once_before_any_comes_twice():
    spec = real_task("stories", rows=82)
    assert len(spec.label_sets) == 1 + 6 + 15 + 20
    _, table = await drawn_of(spec)
    sets = [named(row)["label"] for row in table.head(42).to_dicts()]
    assert len(set(sets)) == 42
    assert max(Counter(named(r)["label"] for r in table.head(84).to_dicts()).values()) == 2
    words = [named(row)["adjective"] for row in table.to_dicts()]
    assert len(set(words)) == len(words)


async def test_textbooks_cover_topics_and_audiences_evenly():
    _, table = await drawn_of(real_task("textbook-python", rows=38 * 6))
    pairs = Counter((named(r)["topic"], named(r)["audience"]) for r in table.head(228).to_dicts())
    assert set(pairs.values()) == {1} and len(pairs) == 228
    for name, size in (("topic", 38), ("audience", 6), ("style", 4)):
        counts = Counter(named(r)[name] for r in table.head(228).to_dicts())
        assert len(counts) == size
        assert max(counts.values()) - min(counts.values()) <= 1


def test_drawing_from_no_vocabulary_is_told_when_the_task_is_read(tmp_path):
    text = DRAWN.replace("vocabularies: {operator: inline}", "vocabularies: {operator: none}")
    with pytest.raises(
        SpecError, match="'draw', which needs terms, but its `vocabularies` is none"
    ):
        spec_of(tmp_path, text)


async def test_no_term_is_one_error(tmp_path):
    spec = spec_of(tmp_path, DRAWN)
    from targen.steps import frame, schema

    nothing = frame([], schema("vocabularies", {}))
    with pytest.raises(StepError, match="the vocabularies contain no terms to draw from"):
        await run_step("contexts", spec, {"vocabularies": nothing}, None)


def test_what_was_drawn_changes_with_what_the_plan_reads(tmp_path):
    before = spec_of(tmp_path, DRAWN, rows=8)
    assert step_digest("contexts", before) != step_digest(
        "contexts", spec_of(tmp_path, DRAWN, rows=9)
    )
    worded = spec_of(tmp_path, DRAWN.replace("it happens in", "it is set in"), rows=8)
    assert step_digest("contexts", before) == step_digest("contexts", worded)
    assert step_digest("instances", before) != step_digest("instances", worded)
