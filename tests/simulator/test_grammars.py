"""Rows of RTE, CB, COPA, BoolQ and an unknown task are right, varied and distinct."""

import re
from functools import cache
from itertools import islice

import pytest

from simulator.banks import Bank, bank
from simulator.grammar import Grammar, SeedAsk, Slot
from simulator.grammars.cb import CbGrammar
from simulator.grammars.copa import CopaGrammar
from simulator.grammars.passages import BoolqGrammar
from simulator.grammars.rte import RteGrammar
from simulator.grammars.tickets import WAYS
from simulator.truth import truth
from simulator.words import entries, lexicons
from targen.hashing import rng
from tests.support.copa import explains
from tests.support.simulated import shares
from tests.support.simulated_tasks import TASKS, Row, public, rows_of

KNOWN = ("rte", "cb", "copa", "boolq")
LIMIT = {"tickets": 0.05}
GRAMMARS: dict[str, Grammar] = {
    g.name: g for g in (RteGrammar(), CbGrammar(), CopaGrammar(), BoolqGrammar())
}


@cache
def rows(name: str) -> list[Row]:
    return rows_of(name, 500 if name == "tickets" else 1000)


@pytest.mark.parametrize("name", [*KNOWN, "tickets"])
def test_no_skeleton_is_common(name: str) -> None:
    share, field, skeleton = shares([public(row) for row in rows(name)])[0]
    assert share <= LIMIT.get(name, 0.03), (field, skeleton)


@pytest.mark.parametrize("name", [*KNOWN, "tickets"])
def test_rows_are_distinct(name: str) -> None:
    texts = {" ".join(map(str, public(row).values())).casefold() for row in rows(name)}
    assert len(texts) >= len(rows(name)) - 2


@pytest.mark.parametrize("name", [*KNOWN, "tickets"])
def test_rows_have_the_requested_label(name: str) -> None:
    labels = list(TASKS[name]["labels"])
    right = [truth(public(row), labels) == row["_label"] for row in rows(name)]
    assert sum(right) >= (0.985 if name == "tickets" else 0.998) * len(right)


@pytest.mark.parametrize("name", [*KNOWN, "tickets"])
def test_texts_are_clean(name: str) -> None:
    for row in rows(name):
        for field, text in public(row).items():
            assert text.strip() == text != ""
            assert not re.search(r"[{}|\[\]_]|  | [,.?]|\.\.|\b(?:a a|a an|the the)\b", text), text
            if field not in ("question", "subject"):
                assert text[0].isupper() or text[0].isdigit(), text
                assert text.endswith((".", "?")), text


@pytest.mark.parametrize("name", KNOWN)
def test_a_context_has_seeds_for_all_of_its_rows(name: str) -> None:
    wanted = dict.fromkeys(TASKS[name]["seed_fields"], "text")
    ask = SeedAsk("a place that no lexicon knows", {}, {}, wanted)
    seeds = GRAMMARS[name].seeds(ask, rng("seeds", name))
    texts = {str(next(seeds)) for _ in range(400)}
    assert len(texts) >= 380


@pytest.mark.parametrize("name", ["rte.txt", "boolq.txt"])
def test_every_scenario_can_be_read_back(name: str) -> None:
    whole: Bank = bank(name)
    for scenarios in whole.domains.values():
        for number, scenario in enumerate(scenarios):
            random = rng(name, number)
            values: dict[str, str] = {}
            said = [scenario.main, *scenario.further]
            text = " ".join(random.choice(one.wordings).fill(values, random) for one in said)
            reading = whole.read(text)
            assert reading is not None, text
            assert reading.values == values, text
            assert len(reading.true) == sum(len(one.true) for one in said), text
            assert len(reading.denied) == sum(len(one.denied) for one in said), text


def test_rte_rarely_negates_so_that_no_word_reveals_the_label() -> None:
    negated = [row for row in rows("rte") if re.search(r"\bnot\b|n’t\b", row["hypothesis"])]
    assert len(negated) < 150


@pytest.mark.parametrize("operator", ["verb", "modal", "negation", "question"])
def test_cb_embeds_under_the_requested_operator(operator: str) -> None:
    cb, random = GRAMMARS["cb"], rng("operator")
    frames = {
        kind: [frame.split("{}")[0].split("{p}")[-1].strip().lower() for frame in listed.entries]
        for kind, listed in lexicons("cb_frames.txt").items()
        if kind.endswith(f" {operator}")
    }
    kinds = {"entailment": "K", "contradiction": "F", "neutral": "O"}
    for seed in islice(cb.seeds(SeedAsk("", {}, {}, {}), random), 20):
        for label, kind in kinds.items():
            given = {**seed, "operator": operator}
            row = next(cb.instances(Slot("", {}, given), label, random))
            assert seed["matter"] in row["premise"]
            last = re.split(r"(?<=[.?:]) ", row["premise"])[-1].lower()
            assert any(frame in last for frame in frames[f"{kind} {operator}"]), row
            assert last.endswith("?") == (operator == "question")
            clause = row["hypothesis"].rstrip(".")
            assert clause[1:].lower() in last, row


def test_cb_hypotheses_of_each_label_come_with_and_without_a_negation() -> None:
    for label in ("entailment", "contradiction", "neutral"):
        texts = [row["hypothesis"] for row in rows("cb") if row["_label"] == label]
        negated = sum(bool(re.search(r"\bnot\b", text)) for text in texts)
        assert 0.08 * len(texts) < negated < 0.92 * len(texts), label


def test_copa_puts_the_answer_where_the_label_says() -> None:
    first = [row for row in rows("copa") if row["_label"] == "0"]
    second = [row for row in rows("copa") if row["_label"] == "1"]
    assert abs(len(first) - len(second)) <= 5
    for row in rows("copa")[:200]:
        assert row["choice1"] != row["choice2"]
        chosen = row["choice1"] if row["_label"] == "0" else row["choice2"]
        assert explains(row["premise"], row["question"], chosen), row
        other = row["choice2"] if row["_label"] == "0" else row["choice1"]
        assert not explains(row["premise"], row["question"], other), row


def test_boolq_questions_are_lower_case_without_a_question_mark() -> None:
    questions = [row["question"] for row in rows("boolq")]
    assert all(q == q.lower() and not q.endswith("?") for q in questions)
    assert all(45 <= len(row["passage"].split()) <= 150 for row in rows("boolq")[:100])


def test_tickets_tell_what_makes_them_as_urgent_as_their_label() -> None:
    told = {
        label: {p for way in ways for p in entries("tickets.txt")[f"{label} {way}"]}
        for label, ways in WAYS.items()
    }
    for row in rows("tickets"):
        found = {
            label
            for label, patterns in told.items()
            for pattern in patterns
            if max(re.split(r"\{[^}]*\}|\[[^\]]*\]", pattern), key=len) in row["body"]
        }
        assert row["_label"] in found
    assert len({row["subject"] for row in rows("tickets")}) > 150
