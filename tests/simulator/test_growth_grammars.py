"""Claims, choices, abstracts and instructions are right."""

import asyncio
import re
from itertools import islice
from random import Random

import pytest

import simulator
from simulator.grammar import SeedAsk, Slot
from simulator.grammars.choices import GapGrammar, GoalGrammar, RiddleGrammar, SenseGrammar
from simulator.grammars.claims import CLAIMS, CLOSED, STRATEGY
from simulator.grammars.instructions import InstructionGrammar
from simulator.grammars.passages import PASSAGES
from simulator.knowledge import animals, claims, rows, things
from simulator.truth import truth
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.operators.novelty import Pool
from tests.operators.test_generation import tables_of
from tests.support.specs import real_task

EMPTY = Slot("", {})
LEGS = {one.name: one.legs for one in animals()}


def written(grammar, label="", count=300, given=None, seed=1):
    slot = Slot("", {}, given or {})
    return list(islice(grammar.instances(slot, label, Random(seed)), count))


@pytest.mark.parametrize("true", [True, False])
def test_legs_of_several_animals_are_counted_correctly(true):
    seen = 0
    for claim in islice(claims(Random(2), true, steps=True), 800):
        said = re.match(r"have more than (\d+) legs", claim.rest)
        if said is None:
            continue
        seen += 1
        names = re.split(r", | and ", claim.subject)
        legs = sum(LEGS[name.split(" ", 1)[1]] for name in names)
        assert (legs > int(said[1])) is true
    assert seen > 50


@pytest.mark.parametrize("true", [True, False])
def test_a_thing_fits_into_a_longer_box(true):
    sizes = {one.a: one.length for one in (*things(), *animals())}
    inside = {name: float(size) for name, size in rows("box")}
    seen = 0
    for claim in islice(claims(Random(3), true, steps=True), 800):
        for name, size in inside.items():
            if claim.verb == "could" and claim.rest.endswith(f" {name}"):
                seen += 1
                assert (sizes[claim.subject] <= size) is true
    assert seen > 50


@pytest.mark.parametrize("grammar", [CLOSED, STRATEGY, CLAIMS])
def test_claims_and_questions_do_not_run_out(grammar):
    (field,) = grammar.fields
    for label in grammar.labels:
        texts = {row[field] for row in written(grammar, label, 1000)}
        assert len(texts) > 600
        assert not [text for text in texts if "{" in text or " a a" in text]


@pytest.mark.parametrize(
    ("grammar", "count"),
    [(GoalGrammar(), 2), (GapGrammar(), 2), (SenseGrammar(), 5), (RiddleGrammar(), 5)],
)
def test_choices_contain_their_answer_once_at_any_position(grammar, count):
    places = set()
    questions = set()
    for row in written(grammar, count=1000):
        assert len(set(row["options"])) == len(row["options"]) == count
        places.add(row["options"].index(row["answer"]))
        questions.add(row["question"])
    assert places == set(range(count))
    assert len(questions) > 300


def test_every_gap_sentence_has_one_gap():
    lines = rows("gap")
    assert all(len(pair) == 2 and all(text.count("_") == 1 for text in pair) for pair in lines)
    for row in written(GapGrammar(), count=200):
        assert row["question"].count("_") == 1
        assert all(option in row["question"] for option in row["options"])


def test_a_riddle_fits_only_its_answer():
    riddles = {one.name: one.riddles for one in (*things(), *animals())}
    for row in written(RiddleGrammar(), count=300):
        for option in row["options"]:
            said = any(text in row["question"] for text in riddles[option])
            assert said == (option == row["answer"])


@pytest.mark.parametrize("grammar", PASSAGES)
def test_a_context_answers_questions_with_yes_and_with_no(grammar):
    for seed in islice(grammar.seeds(SeedAsk("", {}, {}, {}), Random(4)), 150):
        yes = {row["question"] for row in written(grammar, "yes", 40, seed)}
        no = {row["question"] for row in written(grammar, "no", 40, seed)}
        assert yes
        assert no
        assert not yes & no


def test_instructions_are_carried_out_right():
    checked = set()
    for row in written(InstructionGrammar(), count=3000, given={"kind": "open"}):
        text, given, output = row["instruction"], row["input"], row["output"]
        if "alphabetical" in text or "dictionary" in text or "from A to Z" in text:
            assert output.split(", ") == sorted(given.split(", "))
            checked.add("order")
        elif "backwards" in text or "right to left" in text:
            assert output == given[::-1]
            checked.add("spell")
        elif re.search(r"(\d+) m(?:etres)?\b", text):
            assert output.startswith(str(100 * int(re.search(r"(\d+) m", text)[1])))
            checked.add("metres")
        elif "vowel" in text:
            assert int(output) == len(re.findall("[aeiou]", given))
            checked.add("vowels")
    assert checked == {"order", "spell", "metres", "vowels"}
    for row in written(InstructionGrammar(), count=2000, given={"kind": "classification"}):
        if row["output"] in ("odd", "even"):
            assert int(row["input"]) % 2 == (row["output"] == "odd")
            checked.add("parity")
        elif row["output"] in ("right", "wrong") and "+" in row["input"]:
            a, b, total = map(int, re.findall(r"\d+", row["input"]))
            assert (a + b == total) is (row["output"] == "right")
            checked.add("sum")
    assert {"parity", "sum"} <= checked


@pytest.mark.parametrize("kind", ["open", "classification"])
def test_instructions_stay_novel_long_enough(kind):
    pool = Pool(0.7)
    for row in written(InstructionGrammar(), count=600, given={"kind": kind}):
        if pool.nearest(row["instruction"]) is None:
            pool.add(row["instruction"])
    assert len(pool) > 250


@pytest.mark.parametrize("name", ["creak", "commonsenseqa", "pubmedqa", "instructions"])
def test_the_simulator_makes_whole_tasks(tmp_path, name):
    """About nine rows in ten have the requested label."""
    spec = real_task(name, rows=60)

    async def made():
        settings = EngineSettings(
            simulator=simulator.application,
            store_url=f"sqlite:///{tmp_path / 'store.db'}",
            task=name,
        )
        async with Engine(settings) as llm:
            return await tables_of(spec, llm)

    table = asyncio.run(made())["corrected_set"].table
    assert len(table) == 60
    if spec.answer.kind == "none":
        assert set(table["kind"]) == {"open", "classification"}
        assert "" in set(table["input"])
        return
    right = 0
    for row in table.iter_rows(named=True):
        fields = {field: row[field] for field in spec.fields}
        right += truth(fields, list(spec.labels) or row["options"]) == row["label"]
    assert 45 <= right < 60
