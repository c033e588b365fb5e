"""Planned ways and difficulties: even in every prefix, and the same whatever the number of rows."""

from collections import Counter

import pytest

from targen.operators.plan import Plan
from targen.operators.ways import DIFFICULTIES, WayPlan
from tests.operators.test_generation import mood_model, tables_of
from tests.support.models import block_of, random_model
from tests.support.specs import MOOD, real_task, spec_of

WAYS = MOOD.replace("A glad writer.}", "A glad writer., ways: [news, a gift, rest]}").replace(
    "A sad writer.}", "A sad writer., ways: [loss, rain]}"
)


def plans(spec, difficulty=True):
    plan = Plan(spec, spec.per_call)
    ways = WayPlan(spec, plan, difficulty)
    return [(slot, ways.of(slot)) for slot in map(plan.slot, range(240))]


def test_ways_are_even_in_every_prefix_of_a_label(tmp_path):
    for label, count in (("glad", 3), ("sad", 2)):
        dealt = [m.way for slot, m in plans(spec_of(tmp_path, WAYS)) if slot.label == label]
        for end in range(count, len(dealt)):
            counts = Counter(dealt[:end])
            assert len(counts) == count and max(counts.values()) - min(counts.values()) <= 1
        blocks = {tuple(dealt[at : at + count]) for at in range(0, len(dealt), count)}
        assert len(blocks) > 1


def test_difficulty_is_even_within_each_label_and_way(tmp_path):
    counts = Counter((s.label, m.way, m.difficulty) for s, m in plans(spec_of(tmp_path, WAYS)))
    assert {key[2] for key in counts} == set(DIFFICULTIES)
    for label in ("glad", "sad"):
        mine = [n for key, n in counts.items() if key[0] == label]
        assert max(mine) - min(mine) <= 1


def test_a_task_without_ways_plans_the_difficulty_within_its_labels(tmp_path):
    found = plans(spec_of(tmp_path))
    assert {m.way for _, m in found} == {None}
    counts = Counter((slot.label, m.difficulty) for slot, m in found)
    assert set(counts.values()) == {40}
    assert {m.difficulty for _, m in plans(spec_of(tmp_path), difficulty=False)} == {None}


def test_each_label_of_several_gets_its_own_ways(tmp_path):
    spec = spec_of(tmp_path, WAYS.replace("kind: class", "kind: multi"))
    found = plans(spec)
    for slot, manner in found:
        assert sorted(manner.way or {}) == slot.label
    glad = Counter(manner.way["glad"] for slot, manner in found if "glad" in slot.label)
    assert max(glad.values()) - min(glad.values()) <= 1
    columns = next(m.columns() for slot, m in found if slot.label == ["glad", "sad"])
    assert columns["planned_way"].startswith("glad: ") and "; sad: " in columns["planned_way"]


def test_the_edition_deals_again(tmp_path):
    spec = spec_of(tmp_path, WAYS)
    later = spec.model_copy(update={"edition": 1})
    assert [m.way for _, m in plans(spec)] != [m.way for _, m in plans(later)]


async def test_way_and_difficulty_are_in_the_entry_and_in_the_row(tmp_path):
    text = WAYS.replace("{per_call: 2}", "{per_call: 2, difficulty: true}")
    model = mood_model()
    made = await tables_of(spec_of(tmp_path, text), model, "instances")
    entries = [
        (block["label"]["name"], slot)
        for block in map(block_of, model.history)
        for slot in block.get("slots", ())
    ]
    shown = Counter((label, slot["way"], slot["difficulty"]) for label, slot in entries)
    table = made["instances"].table
    columns = ("intended_label", "planned_way", "planned_difficulty")
    assert Counter(zip(*(table[c] for c in columns), strict=True)) == shown
    prompts = [r.messages[0]["content"] for r in model.history if "slots" in block_of(r)]
    assert all("`difficulty`: easy" in text and "use this way" in text for text in prompts)


async def test_prompts_say_nothing_of_ways_that_a_task_does_not_have(tmp_path):
    model = mood_model()
    made = await tables_of(spec_of(tmp_path), model, "instances")
    assert made["instances"].table["planned_way"].null_count() == 16
    for request in model.history:
        text = request.messages[0]["content"]
        assert "`way`" not in text and "`difficulty`" not in text


@pytest.mark.parametrize("name", ["stories", "stories-annotated"])
async def test_absent_features_are_named_with_their_meaning(name):
    model = random_model()
    spec = real_task(name, 12)
    await tables_of(spec, model, "instances")
    requests = [r for r in model.history if r.schema_name == "instances"]
    for request in requests:
        (slot,) = block_of(request)["slots"]
        assert sorted([*slot["labels"], *slot["without"]]) == sorted(spec.labels)
        for label, text in slot["without"].items():
            own = spec.labels[label]
            assert text == own.absent or own.definition.strip() in text
        assert "change the plot" in request.messages[0]["content"]


async def test_the_task_s_own_words_for_an_absent_label_come_first(tmp_path):
    text = MOOD.replace("kind: class", "kind: multi").replace(
        "A sad writer.}", "A sad writer., absent: Nothing sad happens.}"
    )
    model = random_model()
    await tables_of(spec_of(tmp_path, text), model, "instances")
    absent = [s["without"] for r in model.history for s in block_of(r).get("slots", ())
              if "without" in s]  # fmt: skip
    assert {one["sad"] for one in absent if "sad" in one} == {"Nothing sad happens."}
    assert {one["glad"] for one in absent if "glad" in one} == {
        "does not have this: A glad writer."
    }
