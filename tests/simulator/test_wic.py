"""WiC: forms that can be found, senses that agree with the label, varied rows."""

import re
from itertools import islice
from random import Random

import pytest

from simulator.grammar import ContextAsk, SeedAsk, Slot
from simulator.grammars.wic import WicGrammar, _lexicon
from simulator.templates import frame
from simulator.truth import truth
from simulator.words import lines
from targen.tasks.validators import VALIDATORS
from tests.support.simulated import TEXT, Client, shares, write_rows

PARTS = ("noun", "verb", "adjective")
TASK = {
    "title": "Words",
    "fields": {"word": "a word", "sentence1": "a sentence", "sentence2": "another"},
}
LABELS = {"true": "one sense", "false": "two senses"}


@pytest.fixture(scope="module")
def rows():
    return write_rows(
        Client(),
        TASK,
        LABELS,
        1000,
        attributes={"part_of_speech": {"values": list(PARTS)}, "theme": {}},
        seed_fields={"word": TEXT},
    )


def form(word, sentence):
    """Return the form that the project's own validator finds, as (start, form)."""
    row = {"w": word, "s": sentence}
    assert VALIDATORS["word_form"].check(row, {"w": "w", "s": "s"} | ROLES) is None, row
    return row["a"], sentence[row["a"] : row["b"]]


ROLES = {"word": "w", "sentence": "s", "start": "a", "end": "b"}


@pytest.mark.parametrize("part", PARTS)
def test_every_sentence_of_the_lexicon_has_its_word_once_where_marked(part):
    word = ""
    for line in lines(f"wic_{part}.txt"):
        if "*" not in line:
            word = line.partition(": ")[0] if ": " in line else word
            continue
        (marked,) = re.findall(r"\*([^*]+)\*", line)
        text = frame(line.replace("*", ""), {}).fill({}, Random(1))
        start, found = form(word, text)
        assert found.casefold() == marked.casefold(), (word, text)
        rest = text[:start] + "_" + text[start + len(found) :]
        row = {"w": word, "s": rest}
        assert VALIDATORS["word_form"].check(row, ROLES) is not None, (word, text)


@pytest.mark.parametrize("part", PARTS)
def test_the_lexicon_is_large_and_each_sense_has_four_sentences(part):
    words = _lexicon(part)
    assert len(words) >= 90
    for word, entry in words.items():
        assert len(entry.senses) >= 2, word
        assert all(len(sense) >= 4 for sense in entry.senses), word
        assert entry.themes, word


def senses(word, part, sentence):
    """Return the senses whose sentences could have become this one."""
    # What follows a subject or an opening is enough to know the sentence by.
    return {
        number
        for number, sense in enumerate(_lexicon(part)[word].senses)
        for template in sense
        if any(tail in sentence for tail in tails(template))
    }


def tails(template):
    for seed in range(12):
        text = template.fill({}, Random(seed))
        yield re.sub(r"^(?:He|She|[A-Z]\w*)\b", "", text)[:-1]


@pytest.mark.parametrize("part", PARTS)
def test_true_rows_have_one_sense_and_false_rows_two(part):
    grammar = WicGrammar()
    for word in Random(6).sample(sorted(_lexicon(part)), 12):
        slot = Slot("", {"part_of_speech": part}, {"word": word})
        for label, distinct in (("true", 1), ("false", 2)):
            for row in islice(grammar.instances(slot, label, Random(7)), 5):
                found = [senses(word, part, row[name]) for name in ("sentence1", "sentence2")]
                assert all(len(one) == 1 for one in found), row
                assert len(set.union(*found)) == distinct, row
                assert row["sentence1"] != row["sentence2"]


def test_twenty_contexts_spread_over_the_parts_of_speech():
    ask = ContextAsk({"part_of_speech": PARTS, "theme": ()}, {})
    found = list(islice(WicGrammar().contexts(ask, Random(1)), 20))
    assert len({one["text"] for one in found}) == 20
    assert {one["part_of_speech"] for one in found} == set(PARTS)


def test_seeds_of_the_theme_come_first():
    attributes = {"part_of_speech": "noun", "theme": "money and trade"}
    words = [s["word"] for s in WicGrammar().seeds(SeedAsk("", attributes, {}, {}), Random(1))]
    assert len(words) == len(set(words)) >= 90
    assert all("money" in _lexicon("noun")[word].themes for word in words[:5])
    unknown = {"part_of_speech": "verb", "theme": "beekeeping"}
    assert len(list(WicGrammar().seeds(SeedAsk("", unknown, {}, {}), Random(1)))) >= 90


def test_an_unknown_word_yields_nothing():
    slot = Slot("", {"part_of_speech": "noun"}, {"word": "quark"})
    assert list(WicGrammar().instances(slot, "true", Random(1))) == []


def test_a_thousand_rows_have_their_labels_and_findable_forms(rows):
    for row in rows:
        fields = {name: row[name] for name in TASK["fields"]}
        assert truth(fields, tuple(LABELS)) == row["_label"], row
        for name in ("sentence1", "sentence2"):
            start, found = form(row["word"], row[name])
            rest = {"w": row["word"], "s": row[name][:start] + row[name][start + len(found) :]}
            assert VALIDATORS["word_form"].check(rest, ROLES) is not None, row


def test_a_thousand_rows_are_varied(rows):
    rows = [{name: row[name] for name in TASK["fields"]} for row in rows]
    assert len({tuple(row.values()) for row in rows}) >= 985
    share, field, skeleton = shares(rows)[0]
    assert share <= 0.03, (field, skeleton)


def test_without_a_context_every_part_of_speech_comes_up():
    words = {
        next(WicGrammar().seeds(SeedAsk("", {}, {}, {}), Random(n)))["word"] for n in range(40)
    }
    assert all(words & set(_lexicon(part)) for part in PARTS)
