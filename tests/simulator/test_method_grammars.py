"""Reviews, stories, textbook sections, German tickets and questions about documents."""

import ast
import json
import re
from itertools import islice
from random import Random

import pytest

from simulator.app import completion, content, logprob
from simulator.errors import NONE, ErrorRates
from simulator.grammar import ContextAsk, SeedAsk, Slot
from simulator.grammars.german import GermanTicketGrammar
from simulator.grammars.passages import DocumentGrammar, opposite
from simulator.grammars.reviews import ReviewGrammar
from simulator.grammars.rte import RteGrammar
from simulator.grammars.stories import StoryGrammar, wanted_words
from simulator.grammars.textbook import TextbookGrammar
from simulator.truth import truths
from targen.prompts.render import items_schema, messages

WORDS = (
    '1. the story uses the noun "kite"',
    '2. the story uses the verb "dig", in any form',
    '3. the story uses the adjective "odd"',
)
TEXT = {"type": "string"}


def asked(block, properties, seed=0, rates=NONE, **body):
    schema = items_schema(properties, 1)
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    said = completion(
        {
            "model": "targen-embedded",
            "messages": list(messages("instances/compose.md", block, **SETTINGS)),
            "response_format": form,
            "seed": seed,
            **body,
        },
        rates,
    )
    return said["choices"][0]


SETTINGS = {"keys": ("labels",), "about": False, "named": False, "rationale": False}


def story(labels, seed=0, rates=NONE, without=None, **body):
    absent = [one for one in StoryGrammar.labels if one not in labels]
    slot = {"slot": 1, "requirements": list(WORDS), "labels": dict.fromkeys(labels, "c")}
    slot["without"] = dict.fromkeys(absent if without is None else without, "avoid it")
    block = {"task": {"fields": {"story": "the story"}}, "slots": [slot]}
    choice = asked(block, {"slot": {"type": "integer"}, "story": TEXT}, seed, rates, **body)
    return json.loads(choice["message"]["content"])["items"][0]["story"]


def test_requirements_are_read():
    more = ('4. the first word of the story is "Today"', "5. the story has 4 paragraphs")
    words = {"noun": "kite", "verb": "dig", "adjective": "odd"}
    assert wanted_words(WORDS + more) == (words, "Today", 4)
    assert wanted_words(()) == ({}, "", 0)


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_story_has_its_words_its_opening_and_its_paragraphs(count):
    more = ('4. the first word is "Behind"', f"5. the story has {count} paragraphs")
    slot = Slot("", {}, {"sentence": "It was as big as the moon."}, None, WORDS + more, ())
    for row in islice(StoryGrammar().instances(slot, "", Random(count)), 50):
        text = row["story"]
        assert text.startswith("Behind")
        assert len(text.split("\n\n")) == count
        assert all(re.search(rf"\b{word}\b", text) for word in ("kite", "dig", "odd"))
        assert "It was as big as the moon." in text
        assert not re.search(r"[{}\[\]|]", text)


def test_requested_dialogue_is_in_quotation_marks():
    for n in range(20):
        slot = Slot("", {}, {}, None, (), ("dialogue",))
        text = next(StoryGrammar().instances(slot, "", Random(n)))["story"]
        assert text.count('"') >= 4


@pytest.mark.parametrize("labels", [(), ("twist",), ("bad_ending", "conflict", "dialogue")])
def test_a_story_has_exactly_the_requested_features(labels):
    for seed in range(5):
        text = story(labels, seed)
        assert truths({"story": text}, StoryGrammar.labels) == sorted(labels)


def test_a_feature_that_is_not_excluded_comes_by_itself_now_and_then():
    found = [truths({"story": story((), n, without=())}, StoryGrammar.labels) for n in range(40)]
    assert sum("dialogue" in one for one in found) > 10
    assert sum(not one for one in found) > 3
    assert not any("bad_ending" in one for one in found)


def test_a_story_without_dialogue_has_no_direct_speech():
    assert not any('"' in story((), seed) for seed in range(20))


def test_a_wrong_story_has_one_feature_more_or_less():
    text = story(("twist",), rates=ErrorRates(1, 0, 0, 0, 0))
    assert len(set(truths({"story": text}, StoryGrammar.labels)) ^ {"twist"}) == 1


def test_annotators_err_in_one_feature_at_their_rate():
    row = {"story": story(("twist", "dialogue"))}
    options = {"type": "array", "items": {"type": "string", "enum": list(StoryGrammar.labels)}}
    schema = items_schema({"label": options}, 1)
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    block = {"task": {"fields": {"story": "s"}}, "labels": {}, "rows": [row]}
    body = {"model": "targen-embedded", "messages": list(messages("labels/annotate.md", block))}
    for rate in (0, 1):
        said = completion(body | {"response_format": form}, ErrorRates(0, 0, 0, rate, 0))
        (item,) = json.loads(said["choices"][0]["message"]["content"])["items"]
        label = item["label"]
        assert len(set(label) ^ {"dialogue", "twist"}) == rate


def test_a_plan_uses_the_required_words():
    ask = SeedAsk("", {}, {}, {}, WORDS)
    plans = list(islice(StoryGrammar().seeds(ask, Random(1)), 40))
    assert any("kite" in plan["summary"] for plan in plans)
    assert len({json.dumps(plan) for plan in plans}) > 35


def test_most_snippets_parse():
    slot = Slot("", {}, {}, None, ("1. the topic: recursion", "2. the reader: a pupil"))
    rows = list(islice(TextbookGrammar().instances(slot, "", Random(5)), 200))
    codes = [code for row in rows for code in row["snippets"]]
    slips = 0
    for code in codes:
        try:
            ast.parse(code)
        except SyntaxError:
            slips += 1
    assert 0 < slips < 0.08 * len(codes)
    assert all("recursion" in row["overview"] + row["example"] for row in rows[:5])


@pytest.mark.parametrize("label", ReviewGrammar.labels)
def test_reviews_keep_to_product_and_length(label):
    for length, low, high in (("one sentence", 1, 1), ("four to six sentences", 3, 6)):
        needs = ("1. it is about this product: dog bed", f"2. its length: {length}")
        slot = Slot("", {}, {}, None, needs)
        for row in islice(ReviewGrammar().instances(slot, label, Random(7)), 60):
            assert "dog bed" in row["review"]
            assert low <= len(re.findall(r"[.!?](?: |$)", row["review"])) <= high


def test_german_tickets_are_german():
    grammar = GermanTicketGrammar()
    context = next(grammar.contexts(ContextAsk({"produkt": (), "kunde": ()}, {}), Random(1)))
    seed = next(grammar.seeds(SeedAsk("", {}, {}, {"problem": "", "wirkung": ""}), Random(1)))
    english = re.compile(r"\b(?:the|and|of|is|with|to)\b")
    for label in grammar.labels:
        attributes = {name: context[name] for name in ("produkt", "kunde")}
        slot = Slot(context["text"], attributes, seed)
        rows = list(islice(grammar.instances(slot, label, Random(3)), 100))
        assert len({row["nachricht"] for row in rows}) > 90
        assert not any(english.search(row["nachricht"]) for row in rows)
        assert any(seed["problem"] in row["nachricht"] for row in rows)
    assert list(grammar.instances(Slot("", {}), "high", Random(1))) == []


def test_log_probabilities_are_returned_on_request():
    slot = {"slot": 1, "requirements": [], "labels": {}}
    block = {"task": {"fields": {"story": "s"}}, "slots": [slot]}
    properties = {"slot": {"type": "integer"}, "story": TEXT}
    assert asked(block, properties)["logprobs"] is None
    choice = asked(block, properties, logprobs=True)
    tokens = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in tokens) == choice["message"]["content"]
    assert all(-12 <= one["logprob"] < 0 for one in tokens)


def test_log_probabilities_depend_on_the_token_alone_and_rare_letters_lower_them():
    assert logprob("the") == logprob(" The")
    assert logprob("tea") > logprob("zyzzyva")
    assert "".join(one["token"] for one in content("a  b.\n")) == "a  b.\n"


PASSAGE = "A lock lifts a boat. Most locks need no pump, for the water comes from above."


def test_questions_about_documents_use_a_sentence_or_its_opposite():
    slot = Slot("", {}, {"passage": PASSAGE})
    yes = {
        row["question"] for row in islice(DocumentGrammar().instances(slot, "true", Random(1)), 90)
    }
    no = {
        row["question"] for row in islice(DocumentGrammar().instances(slot, "false", Random(1)), 90)
    }
    assert len(yes) > 20 and len(no) > 20 and not yes & no
    assert all("most locks need no pump" in q or "a lock lifts a boat" in q for q in yes)
    assert all("few locks need" in q or re.match("is it (?:wrong|untrue|a mistake)", q) for q in no)


@pytest.mark.parametrize(
    ("sentence", "turned"),
    [
        ("It is cold", "It is not cold"),
        ("Most of them left", "few of them left"),
        ("Nothing here to turn", None),
    ],
)
def test_the_first_word_with_an_opposite_is_replaced(sentence, turned):
    assert opposite(sentence) == turned


def test_entailment_has_values_for_its_dimensions():
    grammar = RteGrammar()
    assert len(set(grammar.terms("domain", Random(1)))) >= 20
    assert len(set(grammar.terms("relation", Random(1)))) >= 8
    assert list(grammar.terms("colour", Random(1))) == []
