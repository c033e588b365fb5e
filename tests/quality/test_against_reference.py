"""What the report must say of sets whose answer is known beforehand."""

import numpy as np
import polars as pl
import pytest

from simulator.app import embed
from targen.quality import report
from targen.quality.semantic import with_embeddings
from tests.quality.test_shortcuts import entailment
from tests.support.report_inputs import inputs

COUNTRIES = ("Kenya", "Peru", "Norway", "Nepal")


class Embedded:
    async def embed(self, texts):
        return np.array([embed(text) for text in texts])


def gold(count=160, seed=5):
    """Rows of three kinds of premise, with names in them, that can be told apart a little."""
    rows = entailment(count, " indeed", seed=seed)
    places = [f" {COUNTRIES[i % 4]}" + " she" * (i % 3 == 0) for i in range(count)]
    return rows.with_columns(premise=pl.col("premise") + pl.Series(places))


async def built(rows, reference):
    given = inputs(
        1, tables={"corrected_set": rows}, rejected={}, completions=None, rows_asked=None,
        reference=reference,
    )  # fmt: skip
    return report.build(await with_embeddings(given, Embedded(), "hashed"))


async def test_a_set_against_itself_differs_in_nothing_and_is_called_a_copy():
    made = await built(gold(), gold())
    compared = [row for row in made.json["figures"] if row["reference"] is not None]
    assert {
        "label_share", "label_entropy", "distinct_1", "distinct_3", "words", "self_bleu",
        "rouge_l_nearest", "novel", "rows_per_3gram", "compression", "mean_similarity",
        "reference_similarity", "similarity", "vendi_score", "v_information", "negative_pvi",
        "shortcut", "mention", "utility",
    } <= {row["metric"] for row in compared}  # fmt: skip
    for row in compared:
        if row["low"] is None:
            assert row["value"] == pytest.approx(row["reference"], abs=1e-9), row
        else:
            assert row["low"] <= row["reference"] <= row["high"], row
    for part in ("all", "premise", "hypothesis"):
        assert made.value("contamination", part) == 1
    copied = next(f for f in made.json["findings"] if f["metric"] == "contamination")
    assert copied["level"] == "bad"
    assert copied["at"] == "reference"
    assert copied["text"].startswith("100% of the rows (160) copy text of the reference data")


async def test_shuffled_labels_hold_no_information_and_are_of_no_use():
    rows = entailment(160, " indeed")
    made = await built(rows.with_columns(label=rows["label"].shuffle(7)), gold())
    figures = {(row["metric"], row["slice"]): row for row in made.json["figures"]}
    information = figures["v_information", "all"]
    assert information["low"] <= 0 <= information["high"]
    assert information["reference"] > 0.3
    use = figures["utility", "set to gold"]
    assert abs(use["value"] - 0.5) < 0.1
    assert use["high"] < use["reference"]


async def test_a_planted_cue_is_the_top_shortcut_and_the_reference_has_it_not():
    made = await built(entailment(160, " indeed"), entailment(160, " w1", seed=3))
    parts = [row for row in made.json["figures"] if row["metric"] == "shortcut"]
    top = max(parts, key=lambda row: row["value"])
    assert top["slice"] == "hypothesis only"
    assert top["low"] > top["reference"]
    assert made.json["cues"][0]["word"] == "indeed"


async def test_one_set_of_columns_is_enough_for_gold_without_twins():
    """Gold rows without pair numbers are no pairs of each other."""
    rows = gold().with_columns(pair_id=pl.int_range(160) // 2)
    other = gold(seed=6).with_columns(pair_id=pl.lit(None, dtype=pl.Int64))
    given = inputs(
        1, tables={"corrected_set": rows}, rejected={}, reference=other, pair_field="pair_id",
        fields={"premise": "text", "hypothesis": "text", "pair_id": "integer"},
    )  # fmt: skip
    made = report.build(given)
    figures = {row["metric"]: row for row in made.json["figures"]}
    assert figures["v_information"]["reference"] > 0.3
