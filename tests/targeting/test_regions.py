"""Regions of other texts that the set lacks, or in which a student is unsure."""

import polars as pl

from targen.targeting import effect, regions
from targen.targeting.gaps import propose
from tests.targeting.texts import KITCHEN, SPACE, pairs, plain, view_of


def texts(seed, *parts):
    return pl.concat([pairs(120, seed + at, plain, words) for at, words in enumerate(parts)])


def test_a_region_that_the_set_lacks_is_named_by_its_words():
    view = view_of(pairs(120, 1, plain), texts(2, KITCHEN, SPACE))
    targets = propose(view, [regions.missing_regions])
    assert targets
    for one in targets:
        assert one.kind == "missing_region"
        named = one.slice.removeprefix("reference: ").split(", ")
        assert set(named) & set(SPACE)
        assert not set(named) & set(KITCHEN)
        assert one.context == f"a subject to which these words belong: {', '.join(named)}"
        assert one.value == 0
        assert effect.current(view, one) == 0
    covered = view_of(texts(5, KITCHEN, SPACE), view.inputs.reference)
    assert effect.current(covered, targets[0]) > targets[0].bound / 2
    assert regions.missing_regions(covered) == []


def test_unlabeled_texts_may_have_some_fields_only():
    pool = texts(2, KITCHEN, SPACE).select("premise")
    view = view_of(pairs(120, 1, plain), pool=pool)
    found = regions.missing_regions(view)
    assert found
    assert all(one.slice.startswith("unlabeled texts: ") for one in found)
    assert regions.high_entropy(view) == []
    assert regions.note(view).endswith("they lack hypothesis.")


def test_texts_like_those_of_the_set_lack_nothing():
    assert (
        regions.missing_regions(view_of(texts(1, KITCHEN, SPACE), texts(7, KITCHEN, SPACE))) == []
    )


def test_few_texts_have_no_regions():
    assert regions.missing_regions(view_of(pairs(120, 1, plain), pairs(60, 2, plain, SPACE))) == []


def cued(label, said, random):
    """Kitchens tell the label by a word, space does not."""
    word = "surely" if label == "entailment" else "never"
    return f"A {random.choice(said)} {word if said[0] in KITCHEN else 'then'} came."


def test_a_student_is_unsure_of_what_it_has_not_learned():
    pool = pl.concat([pairs(120, 3, cued), pairs(120, 4, cued, SPACE)])
    view = view_of(pairs(160, 1, cued), pool=pool.drop("label"))
    targets = propose(view, [regions.high_entropy])
    assert targets
    for one in targets:
        assert one.kind == "high_entropy"
        assert set(one.slice.split(", ")) & set(SPACE)
        assert one.value > one.bound + regions.MORE_BITS
        assert effect.current(view, one) == one.value


def test_a_student_that_cannot_judge_names_no_region():
    view = view_of(pairs(160, 1, plain), pool=texts(3, KITCHEN, SPACE))
    assert regions.high_entropy(view) == []
    assert "no better than chance" in regions.note(view)
