import random

import numpy as np
import polars as pl
import pytest

from targen.quality import duplicates
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs


def shingle_set(text):
    """The definition, written out on Python sets."""
    text = " ".join(text.lower().split())
    if not text:
        return set()
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


def brute(texts, threshold=0.8):
    sets = [shingle_set(text) for text in texts]
    found = {}
    for j in range(len(sets)):
        for i in range(j):
            union = len(sets[i] | sets[j])
            if union and len(sets[i] & sets[j]) / union >= threshold:
                found[i, j] = len(sets[i] & sets[j]) / union
    return found


def test_pairs_equal_all_pairs_on_exact_sets():
    draw = random.Random(7)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 8))) for _ in range(300)]
    texts = [" ".join(draw.choices(words, k=draw.randint(1, 14))) for _ in range(400)]
    for _ in range(150):
        text = list(draw.choice(texts))
        text[draw.randrange(len(text))] = "é"
        texts.append("".join(text))
    texts = list(dict.fromkeys(texts))
    wanted = brute(texts)
    pairs = duplicates.near_pairs([pl.Series(texts)])
    found = dict(
        zip(
            zip(pairs.first.tolist(), pairs.second.tolist(), strict=True),
            pairs.similarity,
            strict=True,
        )
    )
    assert set(found) <= set(wanted)
    assert len(found) >= 0.97 * len(wanted) > 50
    for key, value in found.items():
        assert value == pytest.approx(wanted[key], abs=1e-12)


@pytest.mark.parametrize(
    "text", ["", "ab", "abcde", "x" * 100_000, "東京は良い", "\0\0 a", "🙂🙂🙂🙂🙂🙂"]
)
def test_shingles_count_as_defined(text):
    hashes, starts = duplicates.shingles([text, "filler text", text])
    first, last = hashes[starts[0] : starts[1]], hashes[starts[2] : starts[3]]
    assert np.array_equal(first, last)
    raw = {text[i : i + 5] for i in range(max(1, len(text) - 4))} if text else set()
    assert len(set(first.tolist())) == len(raw)


def test_different_questions_on_one_passage_are_not_duplicates():
    passage = "A long passage about the harbour and its ships. " * 6
    frame = [pl.Series([passage] * 3), pl.Series(["Is it deep?", "Who owns it?", "Is it deep??"])]
    pairs = duplicates.near_pairs(frame)
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(0, 2)]


def test_equal_and_empty_texts():
    assert duplicates.exact(pl.Series(["A  b", "a b", "c", None, ""])).to_list() == [
        False,
        True,
        False,
        False,
        True,
    ]
    pairs = duplicates.near_pairs([pl.Series(["", "", "x"])])
    assert pairs.first.size == 0
    assert duplicates.near_pairs([pl.Series([], dtype=pl.String)]).first.size == 0


def test_many_almost_equal_rows_do_not_explode():
    assert duplicates.near_pairs([pl.Series(["the same sentence"] * 3000)]).first.size == 0
    texts = [f"the very same long sentence, told once again to everybody {i}" for i in range(3000)]
    pairs = duplicates.near_pairs([pl.Series(texts)])
    assert np.unique(pairs.second).size == 2999
    assert pairs.first.size < 3000 * duplicates.CHAIN * duplicates.BANDS


def test_rows_tied_on_purpose_are_no_duplicates():
    given = inputs(20)
    rows = given.rows.head(2).with_columns(
        premise=pl.Series(
            ["He said that the nurse was late.", "She said that the nurse was late."]
        ),
        hypothesis=pl.lit("The nurse was late on that day."),
        pair=pl.lit("7"),
    )
    fields = {"premise": "text", "hypothesis": "text"}
    for pair_field, wanted in ((None, 0.5), ("pair", 0.0)):
        sheet = MetricCollector()
        duplicates.measure(
            inputs(2, fields=fields, tables={"corrected_set": rows}, pair_field=pair_field), sheet
        )
        assert sheet.get("near_duplicates").value == wanted


def test_the_planted_copies_are_found():
    sheet = MetricCollector()
    duplicates.measure(inputs(100), sheet)
    assert sheet.get("exact_duplicates").value == 0
    assert sheet.get("near_duplicates").value >= 0.04
    assert sheet.details["near_duplicates"][0]["similarity"] >= 0.8
