"""Items that belong to another slot of their call, equal texts, and endless words."""

from collections import Counter

import pytest

from targen.operators.item_checks import (
    beginnings,
    same_texts,
    too_many_characters,
    unrelated,
    wrong_about,
)
from tests.operators.test_generation import mood_model, tables_of
from tests.support.models import ScriptedModel, block_of
from tests.support.specs import MOOD, real_task, spec_of

SOURCES = [
    "The bacteria in the sample doubled every twenty minutes.",
    "Corrosion weakened the bridge, which engineers closed in 1998.",
    "",
]


@pytest.mark.parametrize(
    ("about", "number", "fits"),
    [
        ("The bacteria in the sample", 0, True),
        ("the BACTERIA, in the", 0, True),
        ("Bacteria in a sample", 0, True),
        ("Corrosion weakened the bridge, which", 0, False),
        ("The bacteria in the sample", 1, False),
        ("something else entirely", 0, False),
        ("", 0, False),
        ("something else entirely", 2, True),  # the slot has no text
    ],
)
def test_about_must_name_the_text_of_the_own_slot(about, number, fits):
    problem = wrong_about(about, number, SOURCES)
    assert (problem is None) is fits
    assert fits or problem.startswith("about: ")


def test_texts_that_begin_alike_are_told_apart_or_pass():
    alike = ["The nurse met the guest at noon.", "The nurse met the owner at home."]
    assert wrong_about("The nurse met the", 0, alike) is None
    assert wrong_about("The nurse met the", 1, alike) is None
    assert wrong_about("The nurse met the owner", 0, alike) is not None


def test_beginnings_are_as_long_as_it_takes_to_tell_texts_apart():
    texts = ["The nurse met the tall guest at noon.", "The nurse met the tall owner at home.", ""]
    assert beginnings(texts) == ["The nurse met the tall guest", "The nurse met the tall owner", ""]
    assert beginnings(SOURCES)[0] == "The bacteria in the sample"
    assert len(beginnings(["one " * 30] * 2)[0].split()) == 12


@pytest.mark.parametrize(
    ("written", "number", "fits"),
    [
        ("Engineers closed a corroding bridge.", 1, True),
        ("Engineers closed a corroding bridge.", 0, False),
        ("It was closed.", 0, True),  # one word of another slot is no proof
        ("Every sample closed the bridges.", 0, True),  # it has a word of its own slot
        ("Nothing in common.", 0, True),
        ("Engineers closed a corroding bridge.", 2, True),
    ],
)
def test_a_text_of_another_slot_is_found(written, number, fits):
    assert (unrelated(written, number, SOURCES) is None) is fits


@pytest.mark.parametrize("task", ["rte", "cb"])
def test_a_hypothesis_that_repeats_its_premise_is_invalid(task):
    spec = real_task(task)
    values = {"premise": "The board met.", "hypothesis": "the  Board met."}
    assert same_texts(values, spec) == "differ: premise and hypothesis are the same"
    assert same_texts(values | {"hypothesis": "The board did not meet."}, spec) is None


def test_lists_choices_and_empty_texts_are_not_compared():
    spec = real_task("instructions")
    empty = dict.fromkeys(spec.fields, "")
    assert same_texts(empty, spec) is None
    copa = real_task("copa")
    values = {"premise": "cause", "choice1": "a", "choice2": "b", "question": "cause"}
    assert same_texts(values, copa) is None


PAIR = MOOD.replace("  note: {description: the note}", "  note: {}\n  reply: {%s}")


def test_a_task_may_allow_a_text_twice(tmp_path):
    values = {"note": "yes", "reply": "Yes"}
    assert same_texts(values, spec_of(tmp_path, PAIR % "")) is not None
    assert same_texts(values, spec_of(tmp_path, PAIR % "repeats: true")) is None


def test_an_endless_word_is_found():
    spec = real_task("rte")
    assert too_many_characters({"hypothesis": "x" * 541}, spec) is not None
    assert too_many_characters({"hypothesis": "x" * 540, "unknown": "x" * 999}, spec) is None


def model(item_of):
    """Return the model of `mood` with other items: `item_of` gets the slots and an index."""
    base = mood_model()

    def answer(request):
        block = block_of(request)
        slots = block.get("slots")
        if slots is None:
            if "count" in block.get("wanted", {}):
                return {"items": [{"text": "harbor"}, {"text": "meadow"}]}
            return base.answer(request)
        return {"items": [item_of(slots, index) for index in range(len(slots))]}

    return ScriptedModel(answer)


def item(slots, index, source):
    event = slots[source]["seed"]["event"]
    about = slots[source].get("about", "")
    assert event.startswith(about)
    return {"slot": slots[index]["slot"], "about": about, "note": f"A note: {event}"}


async def test_an_item_of_another_slot_is_asked_for_again_alone(tmp_path):
    """Two slots a call, and the model mixes them up; the texts are never paired by code."""
    mixed = model(lambda slots, index: item(slots, index, len(slots) - 1 - index))
    made = (await tables_of(spec_of(tmp_path, rows=6), mixed, "instances"))["instances"]
    rejected = Counter(made.rejected["reason"])
    assert rejected == {"mismatched": len(made.table)}
    calls = [block_of(r)["slots"] for r in mixed.history if "slots" in block_of(r)]
    assert Counter(map(len, calls)) == {2: 6, 1: 12}
    for row in made.table.to_dicts():
        seed = next(s for s in made_seeds(mixed) if s in row["note"])
        assert row["note"] == f"A note: {seed}"


def made_seeds(used):
    return {s["seed"]["event"] for r in used.history for s in block_of(r).get("slots", ())}


async def test_items_of_their_own_slots_are_all_kept(tmp_path):
    right = model(lambda slots, index: item(slots, index, index))
    made = (await tables_of(spec_of(tmp_path, rows=6), right, "instances"))["instances"]
    assert made.rejected.is_empty()
    properties = right.history[-1].schema["properties"]["items"]["items"]["properties"]
    assert list(properties) == ["slot", "about", "note"]


async def test_one_slot_a_call_names_no_source(tmp_path):
    text = MOOD.replace("{per_call: 2}", "{per_call: 1}")
    right = model(lambda slots, index: {"slot": 1, "note": slots[0]["seed"]["event"]})
    await tables_of(spec_of(tmp_path, text, 6), right, "instances")
    properties = right.history[-1].schema["properties"]["items"]["items"]["properties"]
    assert list(properties) == ["slot", "note"]
    assert "`about`" not in right.history[-1].messages[0]["content"]
