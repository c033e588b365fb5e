import math

import numpy as np
import polars as pl
import pytest

from targen.quality import report, shortcuts
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs


def entailment(count, cue, seed=0):
    """Random premises and hypotheses; `cue` is put into the hypotheses of one label."""
    random = np.random.default_rng(seed)
    labels = [("entailment", "not_entailment")[i] for i in random.integers(0, 2, count)]

    def text(words):
        return " ".join(f"w{random.integers(300)}" for _ in range(words))

    return pl.DataFrame(
        {
            "premise": [text(15) for _ in labels],
            "hypothesis": [text(7) + (cue if x == "entailment" else " w1") for x in labels],
            "label": labels,
        }
    )


def given(rows):
    return inputs(1, tables={"corrected_set": rows}, rejected={}, completions=None, rows_asked=None)


def test_a_planted_cue_in_the_hypothesis_is_named_as_the_top_shortcut():
    built = report.build(given(entailment(200, " indeed")))
    cue = built.json["cues"][0]
    assert (cue["field"], cue["word"], cue["label"]) == ("hypothesis", "indeed", "entailment")
    assert built.value("shortcut", "hypothesis only") > 0.4
    assert built.value("shortcut", "premise only") < 0.1
    texts = " ".join(item["text"] for item in built.json["findings"])
    assert "hypothesis only" in texts
    assert "Words that come with one label: “indeed” in hypothesis (" in texts


def test_without_a_cue_nothing_is_named():
    sheet = MetricCollector()
    shortcuts.measure(given(entailment(200, " w1")), sheet)
    assert sheet.details["cues"] == []
    for part in ("premise only", "hypothesis only", "length only"):
        figure = sheet.get("shortcut", part)
        assert figure.low <= 0 <= figure.high


def test_length_alone_is_seen_even_where_it_is_not_monotonic():
    rows = entailment(200, " w1")
    middle = rows.with_columns(
        hypothesis=pl.when(pl.col("label") == "entailment")
        .then(pl.lit("a b c d"))
        .otherwise(
            pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("a b")).otherwise(pl.lit("a " * 9))
        )
    )
    sheet = MetricCollector()
    shortcuts.measure(given(middle), sheet)
    assert sheet.get("shortcut", "length only").value > 0.4


def test_log_odds_follow_the_published_formula():
    inside, outside = np.array([30, 5, 10]), np.array([10, 8, 40])
    prior = np.array([2.0, 1.0, 3.0])
    scores = shortcuts.log_odds(inside, outside, prior)
    for w in range(3):
        one = math.log((inside[w] + prior[w]) / (inside.sum() + prior.sum() - inside[w] - prior[w]))
        two = math.log(
            (outside[w] + prior[w]) / (outside.sum() + prior.sum() - outside[w] - prior[w])
        )
        spread = math.sqrt(1 / (inside[w] + prior[w]) + 1 / (outside[w] + prior[w]))
        assert scores[w] == pytest.approx((one - two) / spread, abs=1e-12)


def test_shares_of_a_cue_are_shares_of_rows():
    cue = shortcuts.word_cues(
        entailment(200, " indeed indeed"), ["hypothesis"], ["entailment", "not_entailment"]
    )[0]
    assert (cue["inside"], cue["outside"]) == (1.0, 0.0)
