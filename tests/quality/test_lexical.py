import numpy as np
import polars as pl
import pytest
from nltk import ngrams

from targen.quality import lexical
from targen.quality.collector import MetricCollector
from targen.quality.text import tokens
from tests.support.report_inputs import inputs


def test_distinct_n_of_a_whole_text_equals_nltk():
    rows = ["the cat sat on the mat", "the cat ran", "a dog sat on the cat"]
    text = tokens(pl.DataFrame({"a": rows}), ["a"])
    for n in (1, 2, 3):
        grams = [gram for row in rows for gram in ngrams(row.split(), n)]
        value, low, high = lexical.distinct_at(text, text.ids.size, n)
        assert value == pytest.approx(len(set(grams)) / len(grams), abs=1e-12)
        assert (low, high) == (None, None)


def test_equal_rows_have_the_least_distinct_n_and_different_ones_the_most():
    same = tokens(pl.DataFrame({"a": ["x y z"] * 10}), ["a"])
    assert lexical.distinct_at(same, 30, 3)[0] == pytest.approx(1 / 10)
    unlike = tokens(pl.DataFrame({"a": [f"w{i} v{i}" for i in range(10)]}), ["a"])
    assert lexical.distinct_at(unlike, 20, 1)[0] == 1


def test_a_cut_row_gives_no_n_gram_beyond_the_cut():
    text = tokens(pl.DataFrame({"a": ["a b c d"]}), ["a"])
    taken = text.take([0], 2)
    assert lexical.distinct(text.grams(2), taken, 2) == 1
    assert np.isnan(lexical.distinct(text.grams(3), taken, 3))


def test_diversity_does_not_change_with_the_number_of_rows():
    words = [f"w{i}" for i in range(3000)]
    random = np.random.default_rng(5)
    rows = [" ".join(random.choice(words, 10)) for _ in range(2000)]
    few = lexical.distinct_at(tokens(pl.DataFrame({"a": rows[:400]}), ["a"]), 2000, 1)
    many = lexical.distinct_at(tokens(pl.DataFrame({"a": rows}), ["a"]), 2000, 1)
    assert few[1] - 0.02 <= many[0] <= few[2] + 0.02


def test_the_reference_is_cut_to_the_same_number_of_words():
    given = inputs(100)
    sheet = MetricCollector()
    lexical.measure(inputs(100, reference=given.rows), sheet)
    for n in (1, 2, 3):
        figure = sheet.get(f"distinct_{n}", "1000 words")
        assert figure.value == figure.reference


def test_histogram_counts_everything_once():
    values = np.array([1, 2, 2, 3, 50, 1000])
    bins = lexical.histogram(values, np.array([5]))
    assert sum(bins["rows"]) == 6
    assert sum(bins["reference"]) == 1
    assert lexical.histogram(np.array([]))["rows"] == [0]


def test_rows_without_a_word_are_skipped():
    given = inputs(10)
    rows = given.rows.with_columns(premise=pl.lit(""), hypothesis=pl.lit("!"))
    sheet = MetricCollector()
    lexical.measure(inputs(10, tables={"corrected_set": rows}), sheet)
    assert "distinct_1" in sheet.skipped
