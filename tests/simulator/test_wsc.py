"""WSC: spans that are in the text, and seeds whose private truth is right."""

from itertools import islice
from random import Random

import pytest

from simulator.errors import near_duplicate
from simulator.grammar import ContextAsk, SeedAsk, Slot
from simulator.grammars.wsc import WscGrammar, _frames, _pairs
from simulator.truth import truth
from targen.tasks.validators import find_span
from tests.support.simulated import TEXT, Client, shares, write_rows

TASK = {
    "title": "Pronouns",
    "fields": {"text": "a text", "span1_text": "a noun phrase", "span2_text": "a pronoun"},
}
LABELS = {"true": "it means the noun phrase", "false": "it means another"}


@pytest.fixture(scope="module")
def rows():
    return write_rows(
        Client(),
        TASK,
        LABELS,
        1000,
        attributes={"first": {}, "second": {}},
        typed=[{"referent": one} for one in POSITIONS],
        seed_fields={
            "text": TEXT,
            "span2_text": TEXT,
            "candidates": {"type": "array", "items": TEXT},
        },
    )


POSITIONS = ("first", "second")


def seeds(pair, count=100, seed=1, positions=POSITIONS):
    attributes = {"first": pair[0], "second": pair[1]}
    iterators = [
        WscGrammar().seeds(SeedAsk("", attributes, {"referent": one}, {}), Random(seed))
        for one in positions
    ]
    return [next(iterators[n % len(iterators)]) for n in range(count)]


def span(seed, label):
    (found,) = WscGrammar().instances(Slot("", {}, seed), label, Random(2))
    return found["span1_text"]


@pytest.mark.parametrize("kind", ["person", "group", "fit", "rival"])
def test_spans_are_in_the_text_once(kind):
    for seed in seeds(_pairs(kind)[7]):
        words = seed["text"].split()
        for piece in (*seed["candidates"], seed["span2_text"]):
            at = find_span(seed["text"], piece)
            assert at is not None, seed
            assert find_span(seed["text"], piece, at + 1) is None, seed
            standing = " ".join(words[at : at + len(piece.split())])
            assert standing.strip(".,;:") == piece
        first, second = seed["candidates"]
        assert seed["text"].index(first) < seed["text"].index(second)
        assert near_duplicate(seed, Random(1)) is None


@pytest.mark.parametrize("kind", ["person", "group", "fit", "rival"])
def test_each_label_has_its_own_noun_phrase_and_the_truth_agrees(kind):
    for seed in seeds(_pairs(kind)[3]):
        right, wrong = span(seed, "true"), span(seed, "false")
        assert {right, wrong} == set(seed["candidates"])
        for noun, label in ((right, "true"), (wrong, "false")):
            row = {"text": seed["text"], "span1_text": noun, "span2_text": seed["span2_text"]}
            assert truth(row, tuple(LABELS)) == label


@pytest.mark.parametrize("kind", ["person", "group", "fit", "rival"])
def test_every_pair_has_more_than_seventy_seeds(kind):
    for pair in Random(4).sample(_pairs(kind), 4):
        assert len({one["text"] for one in seeds(pair, 250)}) >= 75, pair


@pytest.mark.parametrize(
    ("text", "candidates", "meant"),
    [
        (
            "My aunt could not fit the lamp into the metal trunk, because it was far too bulky.",
            ["the lamp", "the metal trunk"],
            0,
        ),
        (
            "My aunt could not fit the lamp into the metal trunk, because it was far too small.",
            ["the lamp", "the metal trunk"],
            1,
        ),
        (
            "The poet asked the miller for a loan, because she was broke.",
            ["The poet", "the miller"],
            0,
        ),
        (
            "The poet asked the miller for a loan, because she was said to be rich.",
            ["The poet", "the miller"],
            1,
        ),
    ],
)
def test_the_pronoun_refers_to_what_the_meaning_demands(text, candidates, meant):
    seed = {"text": text, "candidates": candidates}
    assert span(seed, "true") == candidates[meant]
    assert span(seed, "false") == candidates[1 - meant]


def test_unknown_pairs_work_too():
    assert seeds(("the robot", "the drone pilot"), 5)
    (seed,) = seeds(("the wolves", "the foxes"), 1)
    assert seed["span2_text"].lower() == "they"


def test_a_text_of_other_origin_needs_the_planned_referent():
    seed = {"text": "Anna saw Emma, and she waved.", "candidates": ["Anna", "Emma"]}
    assert list(WscGrammar().instances(Slot("", {}, seed), "true", Random(1))) == []
    for number, position in enumerate(POSITIONS):
        planned = {**seed, "referent": position}
        assert span(planned, "true") == seed["candidates"][number]
        assert span(planned, "false") == seed["candidates"][1 - number]


@pytest.mark.parametrize("position", POSITIONS)
def test_the_planned_referent_is_the_one_that_is_meant(position):
    for kind in ("person", "group", "fit", "rival"):
        for seed in seeds(_pairs(kind)[5], 40, positions=[position]):
            assert span(seed, "true") == seed["candidates"][POSITIONS.index(position)], seed


def test_without_a_plan_the_first_noun_phrase_is_favored():
    meant = []
    for number in range(100):
        asked = SeedAsk("", {}, {}, {})
        seed = next(WscGrammar().seeds(asked, Random(number)))
        meant.append(seed["candidates"].index(span(seed, "true")))
    assert sum(meant) < 35


def test_twenty_contexts_are_of_all_kinds_and_share_no_noun_phrase():
    found = list(islice(WscGrammar().contexts(ContextAsk({}, {}), Random(5)), 20))
    nouns = [one[name] for one in found for name in ("first", "second")]
    assert len(set(nouns)) == 40
    kinds = {
        kind
        for one in found
        for kind in ("group", "fit", "rival")
        if (one["first"], one["second"]) in _pairs(kind)
    }
    assert kinds == {"group", "fit", "rival"}


def test_every_frame_has_both_referents_for_its_kind():
    both = {(one.kind, one.referent) for one in _frames()}
    assert both == {(k, r) for k in ("person", "group", "fit", "rival") for r in "ab"}


def test_a_thousand_rows_have_their_labels_and_are_varied(rows):
    rows = [({name: row[name] for name in TASK["fields"]}, row["_label"]) for row in rows]
    assert all(truth(row, tuple(LABELS)) == label for row, label in rows)
    assert len({tuple(row.values()) for row, _ in rows}) == len(rows)
    share, field, skeleton = shares([row for row, _ in rows])[0]
    assert share <= 0.03, (field, skeleton)


def test_without_a_context_the_pairs_are_its_own():
    seeds = list(islice(WscGrammar().seeds(SeedAsk("", {}, {}, {}), Random(1)), 60))
    assert len({one["span2_text"].lower() for one in seeds}) >= 3
    assert len({tuple(one["candidates"]) for one in seeds}) > 30
