"""Sets whose figures can be told in the head, through the whole report and its page."""

import numpy as np
import polars as pl
import pytest

from targen import hashing
from targen.quality.inputs import Embedded
from targen.quality.metrics import METRICS
from targen.quality.page import render
from targen.quality.report import build
from tests.quality.test_page import Reader
from tests.support.report_inputs import own_inputs

WORDS = [f"w{i}" for i in range(5000)]


def report(texts, labels=None, vectors=None):
    """Report of one text field; its figures by name and the page, which must be well formed."""
    rows = pl.DataFrame(
        {
            "text": texts,
            "label": labels or ["a", "b"] * (len(texts) // 2) + ["a"] * (len(texts) % 2),
        },
        schema={"text": pl.String, "label": pl.String},
    )
    made = build(
        own_inputs(
            rows,
            fields={"text": "text"},
            labels=("a", "b"),
            embeddings=None if vectors is None else Embedded(vectors, np.arange(len(texts))),
        )
    )
    assert not Reader(render(made)).open
    figures = {}
    for row in made.json["figures"]:
        figures.setdefault(row["metric"], row["value"])
        if row["low"] is not None:
            assert row["low"] - 1e-9 <= row["value"] <= row["high"] + 1e-9, row
    assert set(figures) <= set(METRICS)
    return figures, made


def test_all_rows_equal():
    figures, made = report(["one two three four five"] * 40, vectors=np.ones((40, 3)))
    wanted = {
        "rows": 40, "label_entropy": 1, "exact_duplicates": 39 / 40, "near_duplicates": 0,
        "self_bleu": 1, "rouge_l_nearest": 1, "novel": 0, "rows_per_3gram": 40,
        "vocabulary": 5, "distinct_1": 5 / 200, "distinct_2": 4 / 160, "distinct_3": 3 / 120,
        "words": 5, "mean_similarity": 1, "vendi_score": 1, "similarity": 1, "v_information": 0,
        "negative_pvi": 0, "shortcut": 0,
    }  # fmt: skip
    assert {name: figures[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)
    assert made.json["cues"] == []


def test_all_rows_different():
    texts = [" ".join(WORDS[i * 6 : i * 6 + 6]) for i in range(40)]
    figures, _ = report(texts, vectors=np.eye(40))
    wanted = {
        "exact_duplicates": 0, "near_duplicates": 0, "self_bleu": 0, "rouge_l_nearest": 0,
        "novel": 1, "rows_per_3gram": 1, "distinct_1": 1, "distinct_2": 1, "distinct_3": 1,
        "vocabulary": 240, "words": 6, "mean_similarity": 0, "vendi_score": 40, "similarity": 0,
    }  # fmt: skip
    assert {name: figures[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)


def test_one_label():
    figures, made = report([f"{a} {b}" for a, b in zip(WORDS[:40], WORDS[40:80], strict=True)],
                           ["a"] * 40)  # fmt: skip
    assert figures["label_share"] == 1
    assert figures["label_entropy"] == 0
    for name in ("v_information", "shortcut"):
        assert made.json["skipped"][name] == "there is only one label"


def test_two_rows():
    figures, _ = report(["red fish swims", "red fish sinks"], vectors=np.eye(2))
    # LCS 2 of 3 and 3 words; BLEU: 2/3 unigrams, 1/2 bigrams, 0.1 of 1 trigram and of no 4-gram.
    wanted = {
        "rows": 2, "rouge_l_nearest": 2 / 3, "self_bleu": (2 / 3 * 1 / 2 * 0.1 * 0.1) ** 0.25,
        "rows_per_3gram": 1, "distinct_1": 4 / 6, "vendi_score": 2, "mean_similarity": 0,
    }  # fmt: skip
    assert {name: figures[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_a_row(count):
    figures, made = report(["a lone row"] * count, vectors=np.ones((count, 3)))
    assert figures["rows"] == count
    for name in ("self_bleu", "mean_similarity", "v_information"):
        assert name in made.json["skipped"]


def test_empty_texts():
    figures, made = report([""] * 20)
    assert figures["exact_duplicates"] == 19 / 20
    assert figures["near_duplicates"] == 0
    assert "distinct_1" in made.json["skipped"]


def test_unicode():
    # Composed and decomposed, full-width and small: the same row; marks and joiners stay inside.
    texts = [
        "Café Über",
        "Cafe\u0301 U\u0308ber",
        "ＣＡＦÉ ÜBER",
        "समझौता एक्सप्रेस",
        "漢字",
        "👩‍👧 ok",
    ]
    figures, _ = report(texts * 5)
    assert figures["exact_duplicates"] == pytest.approx(1 - 4 / 30)
    # 2 words in each of the first four, a word a character in Chinese, none in a picture.
    assert figures["words"] == pytest.approx((2 + 2 + 2 + 2 + 2 + 1) / 6)


def test_a_text_of_a_megabyte():
    long = " ".join(WORDS) * 35
    assert len(long) > 1_000_000
    texts = [long, f"{long} more", *(hashing.digest(["short", i]) for i in range(38))]
    figures, made = report(texts)
    assert figures["near_duplicates"] == 1 / 40
    assert figures["words"] > 8000
    assert len(made.json_text()) < 100_000
    assert len(render(made)) < 200_000
