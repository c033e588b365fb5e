"""Rows that a bag of words gets right."""

import polars as pl

from targen.targeting import ease, effect
from targen.targeting.gaps import propose
from tests.targeting.texts import pairs, plain, view_of


def cued(label, said, random):
    return f"A {random.choice(said)} {'surely' if label == 'entailment' else 'never'} came."


def test_a_flood_of_easy_rows_asks_for_rows_without_the_words():
    view = view_of(pairs(120, 1, cued))
    targets = propose(view, [ease.too_easy])
    assert {one.label: one.avoid.words for one in targets} == {
        "entailment": ["surely"],
        "not_entailment": ["never"],
    }
    for one in targets:
        assert one.value > 0.9
        assert one.bound == ease.USUAL
        assert one.difficulty is None
        assert effect.current(view, one) == one.value


def test_difficulty_is_asked_for_where_the_task_plans_it():
    rows = pairs(120, 1, cued).with_columns(planned_difficulty=pl.lit("easy"))
    assert {one.difficulty for one in propose(view_of(rows), [ease.too_easy])} == {"hard"}


def test_rows_that_no_word_tells_are_not_easy():
    assert ease.too_easy(view_of(pairs(120, 1, plain))) == []


def test_gold_rows_that_are_as_easy_are_no_gap():
    assert ease.too_easy(view_of(pairs(120, 1, cued), pairs(120, 2, cued))) == []
    (first, *_) = ease.too_easy(view_of(pairs(120, 1, cued), pairs(120, 2, plain)))
    assert first.bound < 0.2
    assert "of the gold rows" in first.reason
