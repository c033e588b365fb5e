"""Traits of rows, each with a row that has it and one that lacks it."""

import polars as pl
import pytest

from targen.targeting.traits import names_of, relations, traits


def found(premise, hypothesis, language="en"):
    rows = pl.DataFrame({"premise": [premise], "hypothesis": [hypothesis]})
    return {one.name for one in relations(rows, list(rows.columns), language) if one.has[0]}


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("hypothesis has a negation", "It isn't so.", "It is so."),
        ("hypothesis speaks of all or none", "Every boat sank.", "The boat sank."),
        ("hypothesis compares", "It is more than that.", "It is that."),
        ("hypothesis has a number", "It cost 3.50.", "It cost three."),
        ("hypothesis has a number that is not in premise", "He had 7.", "He had 12."),
        ("hypothesis has a name that is not in premise", "It met Ana there.", "It met Bob there."),
        ("hypothesis has all its content words from premise", "Bob sails.", "Bob drowned."),
        (
            "hypothesis has less than half of its content words from premise",
            "Bob drowned near Malta.",
            "Bob sails with 12 women.",
        ),
    ],
)
def test_a_trait_is_of_the_rows_that_have_it(name, has, lacks):
    premise = "Bob sails with 12 men."
    assert name in found(premise, has)
    assert name not in found(premise, lacks)


def test_in_other_languages_lists_of_english_words_say_nothing():
    assert "hypothesis has a negation" not in found("Er kam.", "He did not come.", "de")
    assert "hypothesis has a number" in found("Er kam.", "Er kam um 8.", "de")


def test_a_word_of_few_rows_is_no_trait():
    texts = ["zebra crossing"] * 7 + ["traffic light"] * 8 + ["street"] * 15
    rows = pl.DataFrame({"note": texts})
    names = names_of(rows, ["note"], "en")
    assert names.terms["note"] == ["street", "light", "traffic"]
    assert names.openings["note"] == ["street", "traffic"]
    said = {one.name: one for one in traits(rows, ["note"], "en", names)}
    assert said["note has the word “light”"].has.sum() == 8
    assert said["note has at most 1 words"].most == 1
