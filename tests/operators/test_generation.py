"""Vocabularies, contexts, seeds and instances: what is asked, kept, rejected and taken up again."""

import json
from collections import Counter

import pytest

from targen.errors import StepError
from targen.operators import run_step
from targen.steps import UPSTREAM
from targen.tables import contracts
from tests.support.models import (
    ScriptedModel,
    block_of,
    failing,
    judging,
    random_model,
    seeds_asked,
)
from tests.support.specs import MOOD, real_task, spec_of


async def tables_of(spec, model, last="corrected_set"):
    """Run the steps of a task up to `last` and check every contract on the way."""
    tables, outputs = {}, {}
    for step, upstream in UPSTREAM.items():
        given = {name: tables[name] for name in upstream}
        output = await run_step(step, spec, given, model)
        args = (step, spec, output.table, output.rejected, given, output.asked)
        assert contracts.violations(*args) == []
        tables[step], outputs[step] = output.table, output
        if step == last:
            break
    return outputs


def mood_model(broken=lambda block, slot, sample: False, seeds_per_page=3):
    """Answer the task `mood`: numbered contexts and seeds, notes that name their seed."""

    def answer(request):
        block = block_of(request)
        if "slots" in block:
            items = [
                {"slot": s["slot"], "note": f"{block['label']['name']} at {s['seed']['event']}"}
                for s in block["slots"]
                if not broken(block, s, request.sample)
            ]
        elif "items" in block:
            items = [
                {"item": item, "event": f"{text} event {place}"}
                for item, text, place in seeds_asked(block)[:seeds_per_page]
            ]
        elif "wanted" in block:
            items = [{"text": f"place {n}"} for n in range(block["wanted"]["count"])]
        else:
            return judging(request, lambda row: row["note"].split(" at ")[0])
        return {"items": items}

    return ScriptedModel(answer)


async def test_a_whole_task_from_nothing(tmp_path):
    spec = spec_of(tmp_path)
    made = await tables_of(spec, mood_model())
    final = made["corrected_set"].table
    assert len(final) == 8
    assert Counter(final["label"]) == {"glad": 4, "sad": 4}
    assert set(final["verdict"]) == {"kept"}


async def test_more_rows_keep_every_row_and_ask_only_for_what_is_new(tmp_path):
    few, many = mood_model(), mood_model()
    small = await tables_of(spec_of(tmp_path, rows=8), few, "instances")
    large = await tables_of(spec_of(tmp_path, rows=20), many, "instances")
    kept = large["instances"].table.head(len(small["instances"].table))
    assert kept.equals(small["instances"].table)
    asked = {json.dumps([dict(m) for m in r.messages]) + str(r.sample) for r in many.history}
    for request in few.history:
        assert json.dumps([dict(m) for m in request.messages]) + str(request.sample) in asked


async def test_a_slot_that_fails_is_asked_alone_and_then_given_up(tmp_path):
    spec = spec_of(tmp_path, MOOD.replace("rows: 8", "rows: 8\nheadroom: 0"))

    def broken(block, slot, sample):
        return slot["seed"]["event"].endswith("event 2")

    model = mood_model(broken)
    made = (await tables_of(spec, model, "instances"))["instances"]
    alone = [r for r in model.history if "slots" in block_of(r) and r.sample > 0]
    assert {len(block_of(r)["slots"]) for r in alone} == {1}
    assert {r.sample for r in alone} == {1, 2, 3}
    reasons = Counter(made.rejected["reason"])
    assert reasons["given_up"] == 2
    assert reasons["missing"] >= 6
    assert len(made.table) == spec.wanted_instances
    assert made.table["slot"].max() > spec.wanted_instances - 1


async def test_the_headroom_covers_slots_that_fail(tmp_path):
    def broken(block, slot, sample):
        return slot["seed"]["event"].endswith("event 2")

    spec = spec_of(tmp_path, rows=8)
    made = (await tables_of(spec, mood_model(broken), "instances"))["instances"]
    assert len(made.table) == spec.wanted_instances - 2
    assert made.table["slot"].max() == spec.slots_at_most - 1
    assert made.warnings == ["only 14 of 16 instances could be generated"]


async def test_given_up_slots_do_not_move_the_others(tmp_path):
    def broken(block, slot, sample):
        return slot["seed"]["event"] in ("place 0 event 3", "place 1 event 5") and sample < 2

    small = await tables_of(spec_of(tmp_path, rows=8), mood_model(broken), "instances")
    large = await tables_of(spec_of(tmp_path, rows=40), mood_model(broken), "instances")
    size = len(small["instances"].table)
    assert large["instances"].table.head(size).equals(small["instances"].table)


async def test_exact_duplicates_are_rejected_before_annotation(tmp_path):
    def answer(request):
        block = block_of(request)
        if "slots" in block:
            note = block["slots"][0]["seed"]["event"]
            return {"items": [{"slot": s["slot"], "note": note} for s in block["slots"]]}
        return mood_model().answer(request)

    made = (await tables_of(spec_of(tmp_path), ScriptedModel(answer), "instances"))["instances"]
    assert made.table["note"].is_unique().all()
    assert "duplicate" in set(made.rejected["reason"])


async def test_a_changed_constraint_asks_only_for_its_label(tmp_path):
    before, after = mood_model(), mood_model()
    await tables_of(spec_of(tmp_path), before)
    changed = MOOD.replace("constraint: The writer is glad.", "constraint: Joy.")
    await tables_of(spec_of(tmp_path, changed), after)
    known = {json.dumps([dict(m) for m in r.messages]) for r in before.history}
    new = [r for r in after.history if json.dumps([dict(m) for m in r.messages]) not in known]
    assert new
    assert {block_of(r)["label"]["name"] for r in new} == {"glad"}


async def test_a_prompt_holds_only_its_label_s_constraint(tmp_path):
    model = mood_model()
    await tables_of(spec_of(tmp_path), model, "instances")
    for request in model.history:
        text = json.dumps([dict(m) for m in request.messages])
        assert not ("The writer is glad." in text and "The writer is sad." in text)


async def test_every_seed_is_used_before_any_is_used_twice(tmp_path):
    made = await tables_of(spec_of(tmp_path), mood_model(), "instances")
    assert made["instances"].table["seed_id"].is_unique().all()


async def test_an_exhausted_context_uses_its_seeds_again(tmp_path):
    def answer(request):
        block = block_of(request)
        if "items" in block:
            texts = {one["context"]: one["text"] for one in block["contexts"]}
            items = [{**one, "event": texts[one["context"]]} for one in block["items"]]
            return {"items": items}
        return mood_model().answer(request)

    made = await tables_of(spec_of(tmp_path), ScriptedModel(answer), "instances")
    assert len(made["seeds"].table) == 2
    assert "ran out of new seeds" in made["seeds"].warnings[0]
    assert set(made["seeds"].rejected["reason"]) == {"duplicate"}


async def test_contexts_that_come_twice_are_asked_for_again(tmp_path):
    def answer(request):
        block = block_of(request)
        if "count" in block.get("wanted", {}):
            items = [{"text": "Same"}] * block["wanted"]["count"] if not request.sample else []
            return {"items": items or [{"text": f"place {request.sample}"}]}
        return mood_model().answer(request)

    made = (await tables_of(spec_of(tmp_path), ScriptedModel(answer), "contexts"))["contexts"]
    assert made.table["text"].to_list() == ["Same", "place 1"]
    assert made.rejected["reason"].to_list() == ["duplicate"] * 2


async def test_no_context_is_one_error(tmp_path):
    model = ScriptedModel(lambda request: failing(request, "refused", "I cannot help with that"))
    with pytest.raises(StepError, match=r"the model gave no context: I cannot help"):
        await tables_of(spec_of(tmp_path), model)


@pytest.mark.parametrize("name", ["rte", "cb", "copa", "boolq", "ticket_urgency"])
async def test_a_foreign_model_without_sense_completes(name):
    made = await tables_of(real_task(name, rows=40), random_model())
    assert len(made["corrected_set"].table) >= 30


@pytest.mark.parametrize(("name", "invariant"), [("record", "parts_of"), ("wic", "max_words")])
async def test_a_foreign_model_that_breaks_invariants_ends_in_one_error(name, invariant):
    with pytest.raises(StepError, match=rf"none of \d+ seeds .*{invariant} \d+"):
        await tables_of(real_task(name, rows=40), random_model())


async def test_copa_s_answers_stand_in_both_places_evenly():
    made = await tables_of(real_task("copa", rows=40), random_model(), "instances")
    table = made["instances"].table.head(40)
    assert Counter(zip(table["intended_label"], table["question"], strict=True)) == {
        ("0", "cause"): 10,
        ("0", "effect"): 10,
        ("1", "cause"): 10,
        ("1", "effect"): 10,
    }


async def test_pairs_are_made_by_code_and_share_slot_and_label():
    def answer(request):
        block = block_of(request)
        if "slots" in block:
            n = len(block["slots"])
            return {
                "items": [{"slot": s, "hypothesis": "The nurse left."} for s in range(1, n + 1)]
            }
        if "items" in block:
            return {
                "items": [
                    {"item": item, "premise": f"The nurse of {text} left as she was {place}."}
                    for item, text, place in seeds_asked(block)
                ]
            }
        if "wanted" in block:
            return {
                "items": [
                    {"text": f"c{n}", "occupation": "nurse", "participant": "guest"}
                    for n in range(block["wanted"]["count"])
                ]
            }
        return judging(request, lambda row: "entailment")

    model = ScriptedModel(answer)
    made = await tables_of(real_task("axg", rows=10), model)
    table = made["instances"].table
    assert (table["pair_id"] == table["slot"]).all()
    for _, pair in table.group_by("pair_id"):
        assert len(pair) == 2
        assert pair["intended_label"].n_unique() == 1
        assert {"she" in p for p in pair["premise"]} == {True, False}
    assert made["contexts"].table["term_ids"].list.len().min() == 2


async def test_a_rationale_is_kept_out_of_the_fields(tmp_path):
    spec = spec_of(tmp_path, MOOD.replace("{per_call: 2}", "{per_call: 2, rationale: true}"))
    model = random_model()
    made = await tables_of(spec, model, "instances")
    table = made["instances"].table
    assert table["rationale"].null_count() == 0
    asked = [r for r in model.history if "slots" in block_of(r)]
    properties = asked[0].schema["properties"]["items"]["items"]["properties"]
    assert list(properties) == ["slot", "about", "rationale", "note"]


async def test_vocabularies_of_each_kind(tmp_path):
    (tmp_path / "w.txt").write_text("baker\nbaker\n", encoding="utf-8")
    terms = "vocabularies: {people: {%s}}\n"
    step = "  vocabularies: {operator: %s}\n"
    inline = spec_of(tmp_path, MOOD + step % "inline" + terms % "terms: [a, b, A]")
    made = await run_step("vocabularies", inline, {}, None)
    assert made.table["term"].to_list() == ["a", "b"]
    assert made.rejected["reason"].to_list() == ["duplicate"]
    file = spec_of(tmp_path, MOOD + step % "file" + terms % "file: w.txt")
    assert (await run_step("vocabularies", file, {}, None)).table["term"].to_list() == ["baker"]
    asked = spec_of(tmp_path, MOOD + step % "llm_list" + terms % "what: people, count: 4")
    made = await run_step("vocabularies", asked, {}, random_model())
    assert len(made.table) == 4
    nothing = spec_of(tmp_path, MOOD + step % "inline")
    with pytest.raises(StepError, match="lists no terms"):
        await run_step("vocabularies", nothing, {}, None)
