"""Errors of a student on gold rows: planted patterns are named, and noise is not."""

import numpy as np
import pytest

from targen.targeting import effect, errors
from targen.targeting.gaps import propose
from targen.targeting.student import above_chance
from tests.targeting.texts import pairs, plain, view_of


def negated(label, said, random):
    """The set: a negation is always without entailment."""
    word = "never" if label == "not_entailment" else "surely"
    return f"A {random.choice(said)} {word} came."


def sometimes_negated(label, said, random):
    """The gold rows: a third of the entailed hypotheses have a negation, too."""
    if label == "entailment" and random.random() < 1 / 3:
        return f"A {random.choice(said)} never came."
    return negated(label, said, random)


@pytest.fixture(scope="module")
def view():
    return view_of(pairs(160, 1, negated), pairs(160, 2, sometimes_negated))


def test_a_planted_pattern_is_named_with_its_evidence(view):
    (gap,) = errors.student_errors(view)
    assert (gap.kind, gap.slice) == ("student_error", "entailment: hypothesis has a negation")
    gold = view.exam.gold
    negated = gold.filter(gold["hypothesis"].str.contains("never"), label="entailment").height
    assert f"gets {negated} of {negated} gold entailment rows wrong (elsewhere" in gap.reason
    assert gap.value == 1
    assert gap.bound == 0
    assert gap.low < 1
    assert gap.asks["label"] == "entailment"
    assert gap.asks["demand"] == "Use a negation in `hypothesis`."
    # Of half of the set's 160 rows, as many as among the gold rows.
    assert gap.need == round(negated / 80 * 80)
    replaced = view.rows[list(gap.rows)]
    assert set(replaced["label"]) == {"entailment"}


def test_no_gold_text_gets_into_a_target(view):
    told = " ".join(
        str(one.model_dump(exclude={"rows", "sources"}))
        for one in propose(view, [errors.student_errors])
    )
    assert "negation" in told
    for text in (*view.exam.gold["premise"], *view.exam.gold["hypothesis"]):
        said = text.split()
        assert not any(" ".join(said[at : at + 4]) in told for at in range(len(said) - 3))


def test_the_figure_of_a_target_is_the_error_rate_now(view):
    (target,) = propose(view, [errors.student_errors])
    assert effect.current(view, target) == 1
    turned = {"entailment": "not_entailment", "not_entailment": "entailment"}
    other = pairs(160, 3, lambda label, *more: negated(turned[label], *more))
    assert effect.current(view_of(other, view.inputs.reference), target) == 0


def test_rows_that_the_set_has_already_are_not_asked_for(view):
    same = view_of(pairs(160, 3, sometimes_negated), view.inputs.reference)
    assert same.exam.accuracy < 1
    assert errors.student_errors(same) == []


def test_a_task_that_the_student_cannot_learn_has_no_patterns():
    view = view_of(pairs(120, 4, plain), pairs(120, 5, plain))
    assert errors.student_errors(view) == []
    assert "no better than chance" in errors.note(view)


def test_a_few_errors_are_no_pattern():
    gold = pairs(160, 2, negated)
    labels = gold["label"].to_list()
    for at in range(0, 160, 40):
        labels[at] = "entailment" if labels[at] != "entailment" else "not_entailment"
    view = view_of(pairs(160, 1, negated), gold.with_columns(label=np.array(labels)))
    assert view.exam.judges
    assert view.exam.accuracy == pytest.approx(156 / 160)
    assert errors.student_errors(view) == []
    assert errors.note(view) == "A student of this set gets 97.5% of 160 gold rows right."


def test_without_gold_rows_there_is_nothing_to_say():
    view = view_of(pairs(60, 1, negated))
    assert errors.student_errors(view) == []
    assert errors.note(view) is None


def test_too_few_gold_rows_are_said():
    view = view_of(pairs(60, 1, negated), pairs(20, 2, negated))
    assert errors.student_errors(view) == []
    assert "not looked for" in errors.note(view)


def test_holm():
    # 0.012 <= 0.05 / 4, 0.016 <= 0.05 / 3, but 0.03 > 0.05 / 2, so 0.031 is not looked at.
    assert errors.holm([0.03, 0.012, 0.031, 0.016]).tolist() == [False, True, False, True]
    assert errors.holm([0.01]).tolist() == [True]
    assert errors.holm([]).tolist() == []


def test_above_chance_is_that_of_all_permutations():
    from itertools import permutations

    rng = np.random.default_rng(7)
    probability = rng.dirichlet([1, 1, 1], size=6)
    labels = np.array([0, 0, 1, 2, 2, 1])
    sums = np.array(
        [probability[np.arange(6), list(p)].sum() for p in permutations(labels.tolist())]
    )
    own = probability[np.arange(6), labels].sum()
    assert above_chance(probability, labels) == pytest.approx((own - sums.mean()) / sums.std())


def test_a_student_that_always_says_the_same_is_not_above_chance():
    assert above_chance(np.tile([0.9, 0.1], (10, 1)), np.array([0] * 9 + [1])) == 0
