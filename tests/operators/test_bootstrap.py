"""Self-Instruct: what a prompt shows, the published filters, novelty, and growing on."""

import json
from collections import Counter

import pytest

from targen.errors import StepError
from targen.operators.bootstrap import BootstrapParams, row_filter, text_filter
from tests.operators.test_example_growth import key
from tests.operators.test_generation import tables_of
from tests.support.models import ScriptedModel, block_of, judging, random_model
from tests.support.specs import real_task, spec_of

NOTES = """\
name: notes
title: Notes
description: An instruction.
rows: 40
headroom: 0
recipe: self-instruct
fields:
  kind: {description: kind, type: choice, values: [open, classification], planned: true}
  instruction: {description: what to do}
  input: {description: the material, optional: true}
  output: {description: the answer}
answer: {kind: none}
examples:
%s
steps:
  instances: {%s}
"""
NAMES = ["alder", "birch", "cedar", "dogwood", "elm", "fir", "gum", "hazel", "ivy", "juniper"]
HUMAN = [f"Name every {name} of the village" for name in NAMES]


def notes(tmp_path, steps="stalls: 3", rows=None):
    lines = [
        f"  - fields: {{kind: {'classification' if n >= 8 else 'open'}, instruction: "
        f"{text}, input: '', output: done {n}}}"
        for n, text in enumerate(HUMAN)
    ]
    return spec_of(tmp_path, NOTES % ("\n".join(lines), steps), rows)


def words(*content):
    """Return five words that no other content has."""
    text = "".join(
        chr(ord("a") + int(c)) if c.isdigit() else "z" for c in map(str, content) for c in c
    )
    return " ".join(f"{text}{letter}" for letter in "qrstu")


def writer(instruction=lambda request, n: f"Sing of {words(request.sample, n)}"):
    def say(request):
        slots = block_of(request)["slots"]
        texts = [(slot["slot"], instruction(request, slot["slot"])) for slot in slots]
        return {
            "items": [
                {"slot": n, "instruction": text, "input": f"in {n}", "output": f"out {n}"}
                for n, text in texts
                if text is not None
            ]
        }

    return ScriptedModel(say)


def shown(request):
    return [example["instruction"] for example in block_of(request)["examples"]]


async def test_the_prompt_explains_what_its_block_has(tmp_path):
    model = writer()
    await tables_of(notes(tmp_path, rows=7), model)
    request = model.history[0]
    said = request.messages[0]["content"]
    assert "`given`" in said and "`label`" not in said
    # Three fields without a bound of words, seven rows: the limit of an operator applies.
    assert request.sampling.max_output_tokens == 4096
    assert len(said) / 4 < 350
    # A chat model's sampling; the published values can be set.
    assert (request.sampling.temperature, request.sampling.top_p) == (1.0, None)
    published = writer()
    steps = "temperature: 0.7, top_p: 0.5, extra: {presence_penalty: 2}"
    await tables_of(notes(tmp_path, steps, rows=7), published, "instances")
    sampling = published.history[0].sampling
    assert (sampling.temperature, sampling.top_p) == (0.7, 0.5)
    assert sampling.extra == {"presence_penalty": 2}


async def test_a_prompt_shows_six_examples_of_people_and_two_of_the_model(tmp_path):
    model = writer()
    await tables_of(notes(tmp_path, rows=90), model)
    assert [r.sample for r in model.history] == list(range(13))
    for request in model.history:
        kinds = {slot["given"]["kind"] for slot in block_of(request)["slots"]}
        assert len(kinds) == 1
        assert len(block_of(request)["slots"]) == 7
        texts = shown(request)
        own = [text for text in texts if text not in HUMAN]
        mates = HUMAN[8:] if kinds == {"classification"} else HUMAN[:8]
        assert set(texts) - set(own) <= set(mates)
        if request.sample < 5:
            assert own == []
        if kinds == {"open"}:
            assert len(texts) == len(set(texts)) == 8
            assert len(own) == (2 if request.sample >= 5 else 0)


async def test_examples_of_the_model_are_rows_of_earlier_rounds(tmp_path):
    made = (await tables_of(notes(tmp_path, rows=90), writer(), "instances"))["instances"]
    table = made.table
    by_id = {row["instance_id"]: row for row in table.iter_rows(named=True)}
    assert Counter(table["depth"])[0] >= 35
    for row in table.iter_rows(named=True):
        parents = [by_id[parent] for parent in row["parent_ids"]]
        assert row["depth"] == 1 + max((p["depth"] for p in parents), default=-1)
        assert {p["kind"] for p in parents} <= {row["kind"]}
        assert all(p["slot"] // 35 < row["slot"] // 35 for p in parents)


async def test_classification_is_written_output_first_and_the_rest_input_first(tmp_path):
    model = writer()
    await tables_of(notes(tmp_path, rows=90), model)
    orders = {
        (
            block_of(r)["slots"][0]["given"]["kind"],
            tuple(r.schema["properties"]["items"]["items"]["properties"]),
            tuple(block_of(r)["examples"][0]),
        )
        for r in model.history
    }
    assert orders == {
        ("open", ("slot", "instruction", "input", "output"), ("instruction", "input", "output")),
        (
            "classification",
            ("slot", "instruction", "output", "input"),
            ("instruction", "output", "input"),
        ),
    }


PUBLISHED = BootstrapParams()


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("Translate this proverb", "length"),
        ("Translate this old proverb", None),
        (" ".join(["word"] * 150), None),
        (" ".join(["word"] * 151), "length"),
        ("Describe what the image shows", "keyword"),
        ("Describe what you can imagine there", None),
        ("Look at both GRAPHS and compare", "keyword"),
        ("Go to the shop for me", "keyword"),
        ("Write a program that counts words", "program"),
        ("Explain how one would write a program", None),
        ("- list three kinds of cheese", "punctuation"),
        ("Écris une lettre à ta tante", "not_english"),
        ("3 reasons for keeping bees", None),
    ],
)
def test_the_published_filters_of_instructions(text, refused):
    found = text_filter(text, PUBLISHED)
    assert (found.split(":")[0] if found else None) == refused


def test_another_language_may_begin_with_its_own_letters():
    german = BootstrapParams(ascii_start=False)
    assert text_filter("Übersetze den Satz ins Englische", german) is None


@pytest.mark.parametrize(
    ("others", "refused"),
    [
        ({"input": "the same", "output": "The  same"}, "same"),
        ({"input": "", "output": ""}, None),
        ({"input": "a list:", "output": "x"}, "colon"),
        ({"input": "", "output": "It is: "}, "colon"),
        ({"input": "a: b", "output": "c"}, None),
    ],
)
def test_the_published_filters_of_instances(others, refused):
    found = row_filter(others)
    assert (found.split(":")[0] if found else None) == refused


async def test_every_refusal_is_counted_by_its_filter(tmp_path):
    bad = {
        1: "Too short text",
        2: "Please draw a house with a garden",
        3: "Name every elm of the villages",
        4: "name EVERY  alder of: the village",
        5: "  Sing   of the sea at  dawn ",
    }

    def say(request, n):
        return bad.get(n) if request.sample == 0 else f"Sing of {words(request.sample, n)}"

    made = (await tables_of(notes(tmp_path), writer(say), "instances"))["instances"]
    counts = Counter(detail.split(":")[0] for detail in made.rejected["detail"])
    assert (counts["length"], counts["keyword"], counts["rouge_l"]) == (1, 1, 2)
    reasons = Counter(made.rejected["reason"])
    assert reasons == {"invalid": 2, "duplicate": 2, "missing": 2, "surplus": reasons["surplus"]}
    alike = made.rejected.filter(made.rejected["detail"].str.contains("rouge_l: 0.8"))
    # Six words each, five in common: F = 2 * 5 / 12.
    assert "0.83 with 'Name every elm of the village'" in alike["detail"][0]
    assert "Sing of the sea at dawn" in set(made.table["instruction"])


async def test_rows_are_compared_with_all_that_were_accepted_before(tmp_path):
    def say(request, n):
        text = words(request.sample, n) if request.sample < 4 else words(request.sample - 3, n)
        return f"Sing of {text}"

    made = (await tables_of(notes(tmp_path, rows=28), writer(say), "instances"))["instances"]
    assert made.table["instruction"].n_unique() == 28
    repeated = await tables_of(notes(tmp_path, rows=35), writer(say), "instances")
    assert Counter(repeated["instances"].rejected["reason"])["duplicate"] >= 7


async def test_a_round_that_brings_nothing_ends_it_in_the_end(tmp_path):
    model = writer(lambda request, n: f"Sing of {words(0, n)}")
    with pytest.raises(StepError, match=r"bootstrap accepted 7 of .*rouge_l"):
        await tables_of(notes(tmp_path), model)
    assert len(model.history) == 5 + 3 * 5


async def test_more_rows_keep_every_row_and_ask_only_for_what_is_new(tmp_path):
    def uneven(request, n):
        return None if (request.sample + n) % 4 == 0 else f"Sing of {words(request.sample, n)}"

    few, many = writer(uneven), writer(uneven)
    small = (await tables_of(notes(tmp_path, rows=40), few, "instances"))["instances"]
    large = (await tables_of(notes(tmp_path, rows=140), many, "instances"))["instances"]
    assert large.table.head(40).equals(small.table)
    assert [key(r) for r in few.history] == [key(r) for r in many.history][: len(few.history)]
    over = small.rejected.filter(small.rejected["reason"] == "surplus")["text"].to_list()
    assert {json.loads(t)["instruction"] for t in over} <= set(large.table["instruction"])


async def test_a_killed_round_resumes_with_the_same_requests(tmp_path):
    whole = writer()
    full = (await tables_of(notes(tmp_path, rows=100), whole, "instances"))["instances"]
    stored = {}

    class KilledError(Exception):
        pass

    def until(count):
        def say(request):
            if key(request) not in stored:
                if len(stored) == count:
                    raise KilledError
                stored[key(request)] = whole.answer(request)
            return stored[key(request)]

        return ScriptedModel(say)

    with pytest.raises(KilledError):
        await tables_of(notes(tmp_path, rows=100), until(7), "instances")
    again = await tables_of(notes(tmp_path, rows=100), until(10_000), "instances")
    assert again["instances"].table.equals(full.table)
    assert len(stored) == len({key(r) for r in whole.history})


async def test_free_text_goes_through_labels_and_correction(tmp_path):
    made = await tables_of(notes(tmp_path), writer())
    assert made["labels"].table["label"].null_count() == 40
    final = made["corrected_set"].table
    assert len(final) == 40
    assert set(final["verdict"]) == {"kept"}
    assert final["request_ids"].list.len().to_list() == [1] * 40


LABELLED = """\
name: mood2
title: Mood
description: A note.
rows: 20
recipe: self-instruct
fields: {note: {description: the note}}
answer:
  kind: class
  question: What mood?
  labels:
    glad: {constraint: The writer is glad., definition: Glad.}
    sad: {constraint: The writer is sad., definition: Sad.}
examples:
  - {fields: {note: The sun came out at last}, label: glad}
  - {fields: {note: We won the whole thing}, label: glad}
  - {fields: {note: My train left without me}, label: sad}
steps: {correction: {operator: self_correct}}
"""


async def test_a_class_task_grows_each_label_from_its_own_examples(tmp_path):
    """Self-Instruct with self-correction: rows of a label, from examples of that label."""

    def say(request):
        block = block_of(request)
        if "slots" not in block:
            return judging(request, lambda row: row["note"].split()[0])
        name = block["label"]["name"]
        return {
            "items": [
                {"slot": s["slot"], "note": f"{name} {words(request.sample, s['slot'])}"}
                for s in block["slots"]
            ]
        }

    model = ScriptedModel(say)
    made = await tables_of(spec_of(tmp_path, LABELLED), model)
    human = {"glad": {"The sun came out at last", "We won the whole thing"}}
    human["sad"] = {"My train left without me"}
    for request in model.history:
        block = block_of(request)
        if "slots" in block:
            name = block["label"]["name"]
            texts = {example["note"] for example in block["examples"]}
            assert all(t in human[name] or t.startswith(name) for t in texts)
            assert json.dumps(dict(request.messages[1])).count("The writer is") == 1
    assert Counter(made["corrected_set"].table["label"]) == {"glad": 10, "sad": 10}


async def test_a_foreign_model_without_sense_completes():
    made = await tables_of(real_task("instructions", rows=60), random_model())
    table = made["corrected_set"].table
    assert len(table) == 60
    assert set(table["kind"]) == {"open", "classification"}


async def test_a_field_that_is_not_there_is_one_error(tmp_path):
    with pytest.raises(StepError, match="a field 'answer', which the task does not have"):
        await tables_of(notes(tmp_path, "field: answer"), writer())


def test_the_human_seed_tasks_are_varied():
    examples = real_task("instructions").examples
    kinds = Counter(example.fields["kind"] for example in examples)
    assert kinds["classification"] >= 12
    assert kinds["open"] >= 18
    texts = [example.fields["instruction"] for example in examples]
    assert len({text.split()[0] for text in texts}) >= 30
    assert sum(example.fields["input"] == "" for example in examples) >= 6
