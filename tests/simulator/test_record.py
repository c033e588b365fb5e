"""ReCoRD: passages with their entities, queries for the right one, varied rows."""

import re
from itertools import islice
from random import Random

import pytest

from simulator.errors import near_duplicate
from simulator.grammar import ContextAsk, SeedAsk, Slot
from simulator.grammars.record import RecordGrammar, _cast, _passage, _read, _stories
from simulator.truth import truth
from simulator.words import sentences
from targen.tasks.validators import VALIDATORS
from tests.support.simulated import TEXT, Client, shares, write_rows

TEXTS = {"type": "array", "items": TEXT}
TASK = {
    "title": "Cloze",
    "fields": {"passage": "news", "query": "with a gap", "entities": "names"},
}


@pytest.fixture(scope="module")
def rows():
    return write_rows(Client(), TASK, {}, 1000, seed_fields={"passage": TEXT, "entities": TEXTS})


def told(story, seed):
    values = _cast(story, Random(seed))
    return values, _passage(story, values, Random(seed))


@pytest.mark.parametrize("number", range(len(_stories())))
def test_a_story_reads_back_with_everyone_in_their_role(number):
    story = _stories()[number]
    for seed in range(12):
        values, passage = told(story, seed)
        entities = [values[role] for role in story.roles]
        reading = _read(passage, entities)
        assert reading is not None, passage
        assert reading[0] is story
        assert all(reading[1][role] == values[role] for role in story.roles), passage
        assert not re.search(r"[{}\[\]|@]", passage)
        assert 4 <= len(sentences(passage)) <= 8


@pytest.mark.parametrize("number", range(len(_stories())))
def test_each_role_has_queries_of_its_own(number):
    story = _stories()[number]
    values, passage = told(story, 1)
    entities = [values[role] for role in story.roles]
    given = {"passage": passage, "entities": entities}
    asked = {}
    for answer in entities:
        found = RecordGrammar().instances(Slot("", {}, given, answer), answer, Random(3))
        queries = {one["query"] for one in islice(found, 250)}
        assert len(queries) >= 25, (answer, queries)
        for query in queries:
            assert query.count("@placeholder") == 1
            assert answer not in query
            assert query.replace("@placeholder", answer) not in sentences(passage)
            assert not re.search(r"[{}\[\]|]", query)
            assert query[0].isupper() or query[0] in '@"'
        asked[answer] = queries
    assert len(set.union(*asked.values())) == sum(map(len, asked.values()))


def test_the_query_follows_the_role_and_not_the_place_in_the_list():
    passage = (
        "Orvane has agreed to buy its rival Quintel for ninety million pounds. For Anna Costa, who "
        "runs the larger company, it is the third purchase since May. The seller is Ben Quinn, who "
        "built up the smaller company from nothing and owns most of it. The regulator will look at "
        "the deal before it can be completed in June. Both brands will be kept, at least for the "
        "time being."
    )
    for entities in (
        ["Orvane", "Quintel", "Anna Costa", "Ben Quinn"],
        ["Ben Quinn", "Anna Costa", "Quintel", "Orvane"],
    ):
        given = {"passage": passage, "entities": entities}
        found = RecordGrammar().instances(Slot("", {}, given, "Quintel"), "Quintel", Random(1))
        texts = " ".join(one["query"].lower() for one in islice(found, 40))
        assert "staff at @placeholder learned" in texts
        assert "borrow" not in texts


def test_a_near_duplicate_passage_still_reads():
    read = 0
    for seed in range(40):
        story = _stories()[seed % len(_stories())]
        values, passage = told(story, seed)
        fields = {"passage": passage, "entities": [values[role] for role in story.roles]}
        changed = near_duplicate(fields, Random(seed))
        read += changed is None or _read(changed["passage"], changed["entities"]) is not None
    assert read >= 38


def test_a_passage_of_other_origin_yields_nothing():
    given = {"passage": "Rain fell on Rome. Nero sang.", "entities": ["Rome", "Nero"]}
    assert list(RecordGrammar().instances(Slot("", {}, given, "Rome"), "Rome", Random(1))) == []


def test_contexts_are_distinct_and_their_seeds_many():
    found = list(islice(RecordGrammar().contexts(ContextAsk({}, {}), Random(1)), 20))
    assert len({one["text"] for one in found}) == 20
    for context in (found[0]["text"], "the history of buttons"):
        seeds = RecordGrammar().seeds(SeedAsk(context, {}, {}, {}), Random(2))
        assert len({one["passage"] for one in islice(seeds, 200)}) == 200


def test_a_thousand_rows_have_their_answers_and_keep_the_invariants(rows):
    for row in rows:
        fields = {name: row[name] for name in TASK["fields"]}
        assert truth(fields, row["entities"]) == row["_label"], row
        assert len(row["entities"]) >= 3
        parts = {"parts": "entities", "whole": "passage"}
        assert VALIDATORS["parts_of"].check(fields, parts) is None
        assert VALIDATORS["placeholder"].check(fields, {"query": "query"}) is None
        assert not any(a != b and a in b for a in row["entities"] for b in row["entities"])


def test_a_thousand_rows_are_varied(rows):
    rows = [{name: row[name] for name in TASK["fields"]} for row in rows]
    assert len({row["passage"] + row["query"] for row in rows}) == len(rows)
    share, field, skeleton = shares(rows)[0]
    assert share <= 0.03, (field, skeleton)
