"""AX-g: premises can be read back, hypotheses name the right person, twins share their truth."""

import re
from itertools import islice
from random import Random

import pytest

from simulator.grammar import ContextAsk, SeedAsk, Slot
from simulator.grammars.axg import AxgGrammar, _frames
from simulator.truth import truth
from targen.tasks.validators import swap_gender
from tests.support.simulated import TEXT, Client, items_schema, shares, write_rows

PAIR = {"occupation": "security guard", "participant": "visitor"}
TASK = {
    "title": "Coreference and gender",
    "fields": {"premise": "a sentence with a gendered pronoun", "hypothesis": "what may follow"},
}
LABELS = {"entailment": "it follows", "not_entailment": "it does not"}
PRONOUN = re.compile(r"\b(?:he|she|him|her|his|hers|himself|herself)\b", re.IGNORECASE)


PLANS = [
    {"referent": referent, "case": case}
    for referent in ("occupation", "participant")
    for case in ("subject", "object", "possessive")
]
FORMS = {"subject": ("he", "she"), "object": ("him",), "possessive": ("his",)}


@pytest.fixture(scope="module")
def rows():
    return write_rows(
        Client(),
        TASK,
        LABELS,
        1000,
        attributes={"occupation": {}, "participant": {}},
        typed=PLANS,
        seed_fields={"premise": TEXT},
    )


def premises(count, pair=PAIR, seed=1, plans=PLANS):
    asked = [AxgGrammar().seeds(SeedAsk("", pair, one, {}), Random(seed)) for one in plans]
    return [next(asked[n % len(asked)])["premise"] for n in range(count)]


def hypotheses(premise, label, count=30, pair=PAIR):
    found = AxgGrammar().instances(Slot("", pair, {"premise": premise}), label, Random(2))
    return [one["hypothesis"] for one in islice(found, count)]


def test_every_premise_names_both_and_holds_one_pronoun():
    for premise in premises(3 * len(_frames())):
        assert "the security guard" in premise.lower()
        assert "the visitor" in premise.lower()
        assert len(PRONOUN.findall(premise)) == 1, premise
        assert "{" not in premise
        assert "[" not in premise


def test_every_premise_reads_back_and_its_hypotheses_name_one_person_each():
    for premise in premises(3 * len(_frames())):
        follows = hypotheses(premise, "entailment")
        other = hypotheses(premise, "not_entailment")
        assert follows, premise
        assert other, premise
        people = {"the security guard", "the visitor"}
        named = [{p for p in people if p in text.lower()} for text in follows]
        assert all(one == named[0] and len(one) == 1 for one in named), follows
        assert all({p for p in people if p in text.lower()} == people - named[0] for text in other)


@pytest.mark.parametrize(
    ("premise", "meant"),
    [
        ("The nurse gave way to the visitor on the stairs, since she was carrying a heavy box.", 1),
        ("The visitor trusted the nurse at once, for he had a calm voice.", 0),
        ("The nurse asked the visitor about his address and wrote it down.", 1),
        ("Because his watch had stopped, the nurse kept the visitor waiting until noon.", 0),
    ],
)
def test_the_referent_agrees_with_the_meaning(premise, meant):
    pair = {"occupation": "nurse", "participant": "visitor"}
    wanted = f"the {list(pair.values())[meant]}"
    assert all(wanted in text.lower() for text in hypotheses(premise, "entailment", pair=pair))
    assert not any(
        wanted in text.lower() for text in hypotheses(premise, "not_entailment", pair=pair)
    )


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_the_planned_referent_and_case_are_used(plan):
    for premise in premises(30, plans=[plan]):
        assert PRONOUN.findall(premise)[0].lower() in FORMS[plan["case"]], premise
        assert all(
            f"the {PAIR[plan['referent']]}" in t.lower() for t in hypotheses(premise, "entailment")
        )


def test_without_a_plan_the_occupation_as_the_subject_is_favored():
    found = [
        next(AxgGrammar().seeds(SeedAsk("", PAIR, {}, {}), Random(n)))["premise"]
        for n in range(100)
    ]
    subjects = [one for one in found if PRONOUN.findall(one)[0].lower() in ("he", "she")]
    named = ["security guard" in hypotheses(one, "entailment")[0].lower() for one in found]
    assert len(subjects) > 80
    assert sum(named) > 80


def test_a_premise_of_other_origin_yields_nothing():
    assert hypotheses("The cat sat on the mat.", "entailment") == []
    assert hypotheses("The security guard saw the visitor.", "entailment", pair={}) == []


def test_a_context_has_more_than_seventy_premises():
    assert len(set(premises(400))) > 200


def test_contexts_use_the_given_terms():
    terms = {
        "occupations": ("nurse", "plumber", "judge", "smith"),
        "participant": ("patient", "tenant", "witness", "child", "guest"),
    }
    ask = ContextAsk({"occupation": (), "participant": ()}, terms)
    found = list(AxgGrammar().contexts(ask, Random(3)))
    assert len({one["text"] for one in found}) == 20
    assert {one["occupation"] for one in found} == set(terms["occupations"])
    assert {one["participant"] for one in found} == set(terms["participant"])
    assert [one["occupation"] for one in found[:4]] != ["nurse"] * 4
    fitting = {("nurse", "patient"), ("plumber", "tenant"), ("judge", "witness")}
    assert len(fitting & {(one["occupation"], one["participant"]) for one in found[:4]}) == 3


def test_without_terms_contexts_use_the_grammar_s_own():
    ask = ContextAsk({"occupation": (), "participant": ()}, {})
    found = list(islice(AxgGrammar().contexts(ask, Random(3)), 20))
    assert len({one["text"] for one in found}) == 20


def test_context_attributes_distinguish_it_from_tasks_with_the_same_fields():
    block = {
        "task": {"title": "T", "description": "", "fields": {"premise": "p", "hypothesis": "h"}},
        "context": {"text": "a pair", "attributes": PAIR},
        "wanted": {"what": "texts", "kind": "sentence", "fields": {"premise": "a text"}},
        "exclude": [],
        "items": [{"item": 1}],
    }
    schema = items_schema({"item": {"type": "integer"}, "premise": TEXT}, 1)
    (seed,) = Client().ask(block, schema)["items"]
    assert hypotheses(seed["premise"], "entailment")


def test_a_thousand_rows_and_their_twins_have_their_labels(rows):
    labels = tuple(LABELS)
    for row in rows:
        fields = {name: row[name] for name in TASK["fields"]}
        twin = {name: swap_gender(text) for name, text in fields.items()}
        assert truth(fields, labels) == row["_label"], row
        assert twin["premise"] != fields["premise"], row
        assert truth(twin, labels) == row["_label"], twin


def test_a_thousand_rows_are_varied(rows):
    rows = [{name: row[name] for name in TASK["fields"]} for row in rows]
    assert len({tuple(row.values()) for row in rows}) == len(rows)
    share, field, skeleton = shares(rows)[0]
    assert share <= 0.03, (field, skeleton)


def test_without_a_context_the_pairs_are_its_own():
    grammar = AxgGrammar()
    for one in islice(grammar.seeds(SeedAsk("", {}, {}, {}), Random(4)), 40):
        assert next(grammar.instances(Slot("", {}, one), "entailment", Random(1)))["hypothesis"]
