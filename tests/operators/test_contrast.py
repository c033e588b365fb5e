"""Contrast sets: what a call asks for, which sets are kept, growth, and what is reported."""

import pytest

import simulator
from targen.errors import SpecError
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.operators import run_step
from targen.operators.contrast import changed
from targen.quality import report
from targen.quality.inputs import for_task
from targen.release.splits import together
from targen.steps import CORRECTED_SET, INSTANCES, LABELS, UPSTREAM
from tests.operators.test_generation import mood_model, tables_of
from tests.support.models import ScriptedModel, block_of
from tests.support.specs import MOOD, real_task, spec_of

SETS = MOOD.replace("steps:\n", "recipe: targen-contrast\nsteps:\n").replace(
    "  note: {description: the note}\n",
    "  note: {description: the note}\n  set_id: {description: d, type: integer, derived: true}\n",
)
SETS = SETS.replace("  instances: {per_call: 2}\n", "")
WORDS = {"glad": "gained", "sad": "lost"}


def writing(write=None, read=None):
    """Answer as `mood_model`, but write sets and read rows by functions of slot and row."""
    base = mood_model()

    def note(slot, shared):
        return f"{shared['seed']['event']} and so the writer {WORDS[slot['label']]} a day"

    def answer(request):
        block = block_of(request)
        if request.schema_name == "instances":
            said = [(slot, (write or note)(slot, block["shared"])) for slot in block["slots"]]
            return {"items": [{"slot": slot["slot"], "note": text} for slot, text in said]}
        if "rows" in block:
            (row,) = block["rows"]
            label = (read or truth)(row, request.schema_name)
            return {"items": [{"row": 1, "reasons": "r", "flaw": "none", "label": label}]}
        return base.answer(request)

    return ScriptedModel(answer)


def truth(row, reader=None):
    return "glad" if "gained" in row["note"] else "sad"


async def test_a_call_asks_for_one_row_per_label_from_one_seed(tmp_path):
    model = writing()
    spec = spec_of(tmp_path, SETS)
    made = await tables_of(spec, model)
    calls = [block_of(r) for r in model.history if r.schema_name == "instances"]
    assert all({slot["label"] for slot in c["slots"]} == {"glad", "sad"} for c in calls)
    assert all(c["labels"] == {**spec.label_constraints} for c in calls)
    # No label is always the one that is written first.
    assert {c["slots"][0]["label"] for c in calls} == {"glad", "sad"}
    rows = made[CORRECTED_SET].table
    assert rows.height == 8 and rows["label"].value_counts()["count"].to_list() == [4, 4]
    by_set = rows.group_by("set_id").agg("label", "instance_id")
    assert all(len(set(labels)) == 2 for labels in by_set["label"])
    instances = made[INSTANCES]
    assert instances.asked == instances.table.height // 2 + instances.rejected.height
    seeds = instances.table.group_by("slot").agg("seed_id")
    assert all(len(set(ids)) == 1 for ids in seeds["seed_id"])


def doubted_by_text(note):
    return sum(map(ord, note)) % 3 == 0


@pytest.mark.parametrize("reader", ["label", "correction"])
async def test_a_set_is_kept_only_if_the_readers_agree_on_all_its_rows(tmp_path, reader):
    def read(row, name):
        right = truth(row)
        doubtful = name == reader and "gained" in row["note"] and doubted_by_text(row["note"])
        return "sad" if doubtful else right

    text = SETS.replace("rows: 8", "rows: 4\nheadroom: 12")
    made = await tables_of(spec_of(tmp_path, text), writing(read=read))
    output, instances = made[CORRECTED_SET], made[INSTANCES].table
    doubted = {
        row["slot"]
        for row in instances.to_dicts()
        if "gained" in row["note"] and doubted_by_text(row["note"])
    }
    dropped = output.rejected.filter(output.rejected["reason"] == "dropped")
    assert doubted and set(dropped["slot"]) == doubted
    assert dropped.height == 2 * len(doubted)
    assert set(output.table["set_id"]).isdisjoint(doubted)
    assert "not every row of the set has its intended label" in dropped["detail"][0]


async def test_a_panel_keeps_sets_that_a_strong_reader_gets_right_and_a_weak_one_wrong(tmp_path):
    base = writing()

    def answer(request):
        block = block_of(request)
        if "rows" not in block:
            return base.answer(request)
        items = []
        for row in block["rows"]:
            weak = request.sample == 2 and "gained" in row["note"] and doubted_by_text(row["note"])
            scores = {"flaw": "none", "naturalness": 5, "constraint_met": True}
            items.append({"row": row["row"], "label": "sad" if weak else truth(row), **scores})
        return {"items": items}

    readers = "[{name: strong, seed: 1}, {name: weak, seed: 2}, {name: third, seed: 3}]"
    text = SETS.replace("rows: 8", "rows: 4\nheadroom: 12") + (
        "  labels: {operator: intended}\n  correction:\n    operator: panel\n"
        f"    readers: {readers}\n    difficulty: {{right: strong, wrong: weak}}\n"
    )
    made = await tables_of(spec_of(tmp_path, text), ScriptedModel(answer))
    output, instances = made[CORRECTED_SET], made[INSTANCES].table
    hard = {
        row["slot"]
        for row in instances.to_dicts()
        if "gained" in row["note"] and doubted_by_text(row["note"])
    }
    assert hard and set(output.table["set_id"]) <= hard
    easy = output.rejected.filter(output.rejected["reason"] == "difficulty")
    assert easy.height and set(easy["slot"]).isdisjoint(hard)
    assert "too easy: weak gives the final label as well" in easy["detail"][0]


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda slot, shared: shared["seed"]["event"] + " is all there is", "are equal"),
        (
            lambda slot, shared: f"{slot['label']} " * 2 + "One. Two! " * (slot["label"] == "sad"),
            "of the words differ from the first row",
        ),
    ],
)
async def test_sets_that_are_no_contrast_are_rejected_and_asked_for_again(tmp_path, write, says):
    seen = []

    def some(slot, shared):
        seen.append(slot["slot"])
        if len(seen) <= 2:
            return write(slot, shared)
        return f"{shared['seed']['event']} and so the writer {WORDS[slot['label']]} a day"

    made = await tables_of(spec_of(tmp_path, SETS), writing(write=some))
    (failure,) = (
        made[INSTANCES]
        .rejected.filter(made[INSTANCES].rejected["reason"] == "mismatched")
        .to_dicts()
    )
    assert says in failure["detail"]
    assert made[CORRECTED_SET].table.height == 8


async def test_only_the_fields_that_may_be_edited_differ(tmp_path):
    text = (
        SETS.replace("  set_id:", "  title: {description: a title}\n  set_id:")
        + "  instances: {edits: [note]}\n"
    )
    base, sets = writing(), []

    def answer(request):
        if request.schema_name != "instances":
            return base.answer(request)
        block = block_of(request)
        event = block["shared"]["seed"]["event"]
        sets.append(event)
        items = []
        for slot in block["slots"]:
            title = f"On {event}" if len(sets) > 1 else f"{slot['label']}: {event}"
            note = f"{event} and so they {WORDS[slot['label']]} it"
            items.append({"slot": slot["slot"], "title": title, "note": note})
        return {"items": items}

    model = ScriptedModel(answer)
    made = await tables_of(spec_of(tmp_path, text), model)
    rejected = made[INSTANCES].rejected
    assert "title differs from the first row of the set" in " ".join(rejected["detail"])


def test_changed_words_are_counted_like_difflib():
    assert changed(["a b c d"], ["a b c d"]) == 0
    assert changed(["a b c d"], ["a b x d"]) == 0.25
    assert changed(["a b"], ["c d"]) == 1
    assert changed(["a", "b"], ["a", "b c"]) == pytest.approx(0.2)
    assert changed([], []) == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  set_id: {description: d, type: integer, derived: true}\n", "", "add `set_id: {desc"),
        ("derived: true", "derived: false", "numbers its contrast sets in the field 'set_id'"),
        ("rows: 8", "rows: 1", "`rows` must be at least 2"),
        ("kind: class", "kind: multi", "needs an answer of kind class"),
        ("steps:\n", "steps:\n  instances: {edits: [nots]}\n", "did you mean 'note'"),
        ("steps:\n", "steps:\n  instances: {most_changed: 2}\n", "less than or equal to 1"),
        ("steps:\n", "steps:\n  instances: {per_call: 3}\n", "less than or equal to 1"),
    ],
)
def test_what_a_task_lacks_is_named(tmp_path, old, new, says):
    assert old in SETS
    with pytest.raises(SpecError) as error:
        spec_of(tmp_path, SETS.replace(old, new, 1))
    assert says in str(error.value) and "mood.yaml" in str(error.value)


async def run(name, rows, folder):
    spec, tables, rejected, calls = real_task(name, rows), {}, {}, 0
    for step, upstream in UPSTREAM.items():
        settings = EngineSettings(
            simulator=simulator.application, store_url=f"sqlite:///{folder}/c.db",
            run_id="run", task=name, step=step,
        )  # fmt: skip
        async with Engine(settings) as engine:
            made = await run_step(step, spec, {n: tables[n] for n in upstream}, engine)
        tables[step], rejected[step] = made.table, made.rejected
        calls += engine.stats.calls
    return spec, tables, rejected, calls


async def test_sets_grow_a_rerun_makes_no_call_and_the_report_shows_consistency(tmp_path):
    _, small, _, _ = await run("rte-contrast", 12, tmp_path)
    spec, large, rejected, calls = await run("rte-contrast", 60, tmp_path)
    assert calls and (await run("rte-contrast", 60, tmp_path))[3] == 0
    before = small[INSTANCES]
    assert large[INSTANCES].head(before.height).equals(before)
    kept = large[CORRECTED_SET]
    assert set(small[CORRECTED_SET]["instance_id"]) <= set(kept["instance_id"])
    inputs = for_task(spec, large, rejected=rejected)
    made = report.build(inputs)
    labels = large[LABELS].join(large[INSTANCES].select("instance_id", "slot"), on="instance_id")
    whole = [
        (part["label"] == part["intended_label"]).all() for part in labels.partition_by("slot")
    ]
    assert made.value("set_consistency", "annotator") == pytest.approx(sum(whole) / len(whole))
    # A student of single words is hardly ever right about rows that share nearly all words.
    assert made.value("set_consistency", "student") < 0.5
    assert 0 < made.value("set_changed") < 0.3
    # Rows of a set are alike on purpose, and are never in two splits.
    assert made.value("near_duplicates") == 0
    group = dict(zip(kept["instance_id"], together(spec, kept), strict=True))
    for part in kept.partition_by("set_id"):
        assert len({group[name] for name in part["instance_id"]}) == 1
