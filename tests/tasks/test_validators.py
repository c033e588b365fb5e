"""The hard invariants, each with what it accepts, fills in and rejects."""

from functools import partial

import pytest

from targen.tasks.validators import VALIDATORS, find_span, first_violation, fold
from tests.support.specs import ROOT


def check(name, row, **roles):
    return VALIDATORS[name].check(row, roles)


@pytest.mark.parametrize(
    ("word", "sentence", "form"),
    [
        ("bank", "They sat on the river banks all day.", "banks"),
        ("run", "She was running late.", "running"),
        ("bear", "He bore the cost.", "bore"),
        ("light", "The lighter of the two won.", "lighter"),
        ("carry", "It carried weight.", "carried"),
        ("building", "Two buildings burned.", "buildings"),
        ("cold", "Cold water helps.", "Cold"),
        ("match", "«Matches» are sold here.", "Matches"),
    ],
)
def test_word_form_cuts_the_form_out(word, sentence, form):
    row = {"w": word, "s": sentence}
    assert check("word_form", row, word="w", sentence="s", start="a", end="b") is None
    assert sentence[row["a"] : row["b"]] == form


@pytest.mark.parametrize(
    ("word", "sentence"),
    [("bank", "The embankment broke."), ("run", "A rune was found."), ("ring", "Spring came.")],
)
def test_word_form_rejects_other_words(word, sentence):
    row = {"w": word, "s": sentence}
    assert "no form" in check("word_form", row, word="w", sentence="s", start="a", end="b")


def test_spans_count_whitespace_tokens():
    text = (
        "The city councilmen refused the demonstrators' permit because they feared it, they said."
    )
    assert find_span(text, "the city councilmen") == 0
    assert find_span(text, "permit") == 6
    assert find_span(text, "they", 9) == 11
    assert find_span(text, "it") == 10
    assert find_span(text, "men") is None
    assert find_span(text, "...") is None


def test_the_pronoun_is_the_one_after_the_antecedent():
    row = {"t": "When she arrived, Anna saw Eva because she waved.", "a": "Eva", "p": "she"}
    roles = {"text": "t", "span": "p", "antecedent": "a", "index": "i"}
    assert check("pronoun_span", row, **roles) is None
    assert row["i"] == 7
    row["p"] = "Eva because"
    assert "not one word" in check("pronoun_span", row, **roles)


@pytest.mark.parametrize(
    ("query", "good"),
    [("@placeholder won", True), ("nobody", False), ("@placeholder @placeholder", False)],
)
def test_placeholder_exactly_once(query, good):
    assert (check("placeholder", {"q": query}, query="q") is None) is good


@pytest.mark.parametrize(
    ("parts", "good"),
    [(["Oslo", "Ann Lee"], True), (["Oslo", "oslo "], False), (["Os"], False), (["Bergen"], False)],
)
def test_parts_stand_in_the_whole(parts, good):
    row = {"p": parts, "w": "Ann Lee went to Oslo."}
    assert (check("parts_of", row, parts="p", whole="w") is None) is good


def test_differ_folds_case_and_space():
    assert check("differ", {"a": "It  rained", "b": "it rained "}, a="a", b="b")
    assert check("differ", {"a": "It rained", "b": "It snowed"}, a="a", b="b") is None


@pytest.mark.parametrize(
    ("question", "fits"),
    [
        ("is the sun a star", True),
        ("Whatever the weather, do the trains run?", True),
        ("Can it?", True),
        ("", True),
        ("What is the nature of the universe?", False),
        ("how important is movement in soccer", False),
        ("  Who's the author?", False),
        ("When it rains, do the trains run?", True),
        ("When it rains, how do the trains run?", False),
        ("In soccer, what is the main way goals are scored?", False),
        ("does the film, which won a prize, have a sequel", True),
        ("Is rugby played by teams of thirteen, which are called what?", False),
        ("Is it safe? Yes, as per the passage.", False),
        ("Is it safe? No one was hurt.", False),
        ("is there no way back", True),
    ],
)
def test_a_question_that_yes_does_not_answer_is_rejected(question, fits):
    assert (check("yes_no_question", {"q": question}, text="q") is None) == fits


@pytest.mark.parametrize(
    ("a", "b", "alike"),
    [
        ("An office worker arrives at work.", "The office worker arrives at work.", True),
        ("It rained", "it rained ", True),
        ("The man broke his toe.", "He dropped a hammer on his foot.", False),
        ("The girl opened the door.", "The girl closed the door.", False),
        ("", "It rained", False),
        ("...", "It rained", False),
    ],
)
def test_a_choice_that_changes_one_word_of_the_premise_repeats_it(a, b, alike):
    problem = check("differ_clearly", {"a": a, "b": b}, a="a", b="b")
    assert bool(problem) == alike
    assert fold(" A\n b") == "a b"


def test_gendered_and_lists():
    assert check("gendered", {"t": "They left."}, text="t")
    assert check("gendered", {"t": "She left."}, text="t") is None
    assert check("at_least_two", {"p": ["a"]}, parts="p")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (["x = 1", "def f():\n    return 2\n"], None),
        (["async def f():\n    await g()"], None),
        (["x = 1", "x ="], "snippet 2 of code is no Python: SyntaxError"),
        (["print 'a'"], "snippet 1 of code is no Python: SyntaxError"),
        (["x = '\\d'"], None),
        (["a\x00b"], "snippet 1 of code is no Python"),
        (["(" * 5000], "snippet 1 of code is no Python"),
        (["-" * 19000 + "1"], "snippet 1 of code is no Python"),
        (["x" * 20001], "snippet 1 of code has more than 20000 characters"),
    ],
)
def test_snippets_are_parsed_as_python(code, problem):
    found = check("python_syntax", {"code": code}, code="code")
    assert (found is None) if problem is None else problem in found


def test_snippets_are_never_run(tmp_path):
    mark = tmp_path / "mark"
    assert check("python_syntax", {"code": [f"open({str(mark)!r}, 'w')"]}, code="code") is None
    assert not mark.exists()


def test_the_page_on_tasks_tells_of_each_with_its_roles():
    page = (ROOT / "docs/tasks.md").read_text(encoding="utf-8")
    for name, known in VALIDATORS.items():
        roles = ", ".join(f"`{role}`" for role in known.roles)
        assert f"| `{name}` | {roles} |" in page


@pytest.mark.parametrize(
    ("text", "case", "problem"),
    [
        ("The nurse left because she was tired.", "subject", None),
        ("The nurse said she'd wait for the guest.", "subject", None),
        ("The nurse asked the guest to help him.", "object", None),
        ("The nurse saw the guest and called her at once.", "object", None),
        ("The nurse asked the guest about her address.", "possessive", None),
        ("The nurse found his keys.", "possessive", None),
        ("The nurse found his keys.", "subject", "no subject"),
        ("The nurse called her at once.", "possessive", "no possessive"),
        ("He said that she left.", "subject", "2 gendered pronouns"),
        ("The nurse left.", "subject", "0 gendered pronouns"),
    ],
)
def test_the_case_of_a_pronoun(text, case, problem):
    found = check("pronoun_case", {"text": text, "case": case}, text="text", case="case")
    assert found is None if problem is None else problem in found


PERSON = {"text": "hypothesis", "referent": "referent", "one": "job", "other": "guest"}


@pytest.mark.parametrize("referent", ["job", "guest"])
@pytest.mark.parametrize("label", ["entailment", "not_entailment"])
def test_the_hypothesis_names_the_planned_person_and_not_the_other(referent, label):
    people = {"job": "a nurse", "guest": "the visitor"}
    row = {**people, "referent": referent, "label": label}
    right = {"job": "The nurse", "guest": "The visitor"}
    meant = referent if label == "entailment" else {"job": "guest", "guest": "job"}[referent]
    other = {"job": "guest", "guest": "job"}[meant]
    roles = {**PERSON, "label": "entailment"}
    asked = partial(check, "planned_person", **roles)
    assert asked({**row, "hypothesis": f"{right[meant]} was late."}) is None
    assert "does not name" in asked({**row, "hypothesis": f"{right[other]} was late."})
    both = f"{right[meant]} was late, not {right[other].lower()}."
    assert f"names the {other}" in asked({**row, "hypothesis": both})
    assert "must be job or guest" in asked({**row, "referent": "dog", "hypothesis": "x"})


@pytest.mark.parametrize(
    ("referent", "label", "span", "right"),
    [
        ("first", "true", "the cup", True),
        ("first", "false", "The box", True),
        ("second", "true", "the box", True),
        ("second", "false", "The cup", True),
        ("second", "true", "the cup", False),
        ("first", "false", "the cup", False),
        ("first", "true", "the lid", False),
    ],
)
def test_the_span_is_the_planned_candidate(referent, label, span, right):
    row = {"c": ["The cup", "the box"], "s": span, "referent": referent, "label": label}
    found = check("planned_span", row, span="s", candidates="c", referent="referent", label="true")
    assert (found is None) == right


def test_planned_validators_are_skipped_where_the_plan_is_unknown():
    entry = {"span": "s", "candidates": "c", "referent": "referent", "label": "true"}
    validators = [{"planned_span": entry}]
    planned = {"c": ["the cup", "the box"], "referent": "first", "label": "true"}
    assert first_violation({"s": "the box"}, validators) is None
    assert "planned_span" in first_violation({"s": "the box"}, validators, planned=planned)
    assert first_violation({"s": "the cup"}, validators, planned=planned) is None


@pytest.mark.parametrize("name", sorted(VALIDATORS))
def test_an_optional_field_that_is_null_violates_nothing(name):
    roles = {role: role for role in VALIDATORS[name].roles}
    assert first_violation(dict.fromkeys(roles), [{name: roles}]) is None
