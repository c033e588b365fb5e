import gzip
import random
import warnings

import numpy as np
import polars as pl
import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from targen.quality import self_similarity
from targen.quality.collector import MetricCollector
from targen.quality.text import sample, tokens
from tests.support.report_inputs import inputs


def corpus(rows=40, words=30, seed=1):
    draw = random.Random(seed)
    return [
        " ".join(f"w{draw.randrange(words)}" for _ in range(draw.randint(1, 14)))
        for _ in range(rows)
    ]


def of(rows):
    return tokens(pl.DataFrame({"a": rows}, schema={"a": pl.String}), ["a"])


@pytest.mark.parametrize("rows", [corpus(), ["a b"] * 4, ["a b c d e", "f g h"], ["x", "x y", ""]])
def test_self_bleu_equals_nltk(rows):
    split = [row.split() for row in rows]
    smooth = SmoothingFunction().method1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = [
            sentence_bleu(split[:i] + split[i + 1 :], split[i], smoothing_function=smooth)
            for i in range(len(rows))
        ]
    assert self_similarity.self_bleu(of(rows)).tolist() == pytest.approx(wanted, abs=1e-9)


def lcs(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = (
                table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
            )
    return table[-1, -1]


def test_rouge_l_equals_the_textbook_recurrence():
    rows = corpus(25)
    split = [row.split() for row in rows]
    wanted = [
        max(2 * lcs(a, b) / (len(a) + len(b)) for j, b in enumerate(split) if j != i)
        for i, a in enumerate(split)
    ]
    assert self_similarity.rouge_l_nearest(of(rows)).tolist() == pytest.approx(wanted, abs=1e-9)


def test_rows_per_gram_counts_rows_not_occurrences():
    assert self_similarity.rows_per_gram(of(["a b c a b c", "a b c", "x y z"])) == pytest.approx(
        # abc: 2 rows; bca, cab and xyz: 1 row each
        (2 + 1 + 1 + 1) / 4
    )
    assert np.isnan(self_similarity.rows_per_gram(of(["a b"])))


def test_compression_is_gzips_without_its_header():
    text = " ".join(corpus(300))
    assert self_similarity.compression_ratio(text) == pytest.approx(
        len(text) / len(gzip.compress(text.encode(), 9)), rel=0.01
    )
    assert self_similarity.compression_ratio("abc " * 1000) > 50


def test_the_data_against_itself_is_equal_in_everything():
    given = inputs(80)
    sheet = MetricCollector()
    self_similarity.measure(inputs(80, reference=given.rows), sheet)
    assert len(sheet.measures) == 5
    for measure in sheet.measures:
        assert measure.value == measure.reference


def test_a_sample_is_seeded_and_keeps_row_order():
    frame = pl.DataFrame({"a": range(1000)})
    part = sample(frame, 100)
    assert part.height == 100
    assert part["a"].is_sorted()
    assert part.equals(sample(frame, 100))
    assert not part.equals(frame.head(100))


def test_rouge_l_reads_the_first_words_of_a_long_row() -> None:
    long = " ".join(f"w{n}" for n in range(self_similarity.WORDS))
    copies = self_similarity.rouge_l_nearest(of([long, f"{long} and more", f"other {long}"]))
    assert copies.tolist() == pytest.approx([1, 1, 1 - 1 / self_similarity.WORDS], abs=1e-9)


def test_leaving_rows_out_equals_measuring_the_others():
    rows = corpus()
    frame = pl.DataFrame({"a": rows})
    out = np.arange(len(rows)) % 3 == 1
    left = self_similarity.without(tokens(frame, ["a"]), out)
    others = tokens(frame.filter(pl.Series(~out)), ["a"])
    assert self_similarity.self_bleu(left) == pytest.approx(
        self_similarity.self_bleu(others), abs=1e-12
    )
    assert left.height == others.height


def test_groups_are_disjoint_and_cover_all_rows():
    groups = self_similarity.groups(53)
    assert len(groups) == self_similarity.GROUPS
    assert (np.sum(groups, axis=0) == 1).all()
    assert len(self_similarity.groups(3)) == 3
