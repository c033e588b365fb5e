import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from targen.quality import difficulty, learner
from targen.quality.collector import MetricCollector
from targen.quality.intervals import bootstrap_mean
from tests.support.report_inputs import inputs


def rows_of(count, cue=1.0, seed=0):
    """Rows of random words; the word `tell` goes with label b in a share `cue` of its rows."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    texts = [
        " ".join(f"w{random.integers(200)}" for _ in range(8))
        + (" tell" if label and random.random() < cue else "")
        for label in labels
    ]
    return pl.DataFrame({"text": texts, "label": ["ab"[i] for i in labels]})


def information(frame):
    return difficulty.row_information(frame, learner.LabelClassifier(["text"], ["a", "b"]))


def test_a_certain_cue_is_worth_almost_one_bit():
    values, labels, scores = information(rows_of(300))
    assert values.mean() > 0.7
    assert (scores.probability.argmax(axis=1) == labels).mean() > 0.95
    assert scores.probability.sum(axis=1) == pytest.approx(np.ones(300))


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_labels_are_worth_nothing(seed):
    frame = rows_of(200, seed=seed)
    values, _, _ = information(frame.with_columns(label=frame["label"].shuffle(seed)))
    low, high = bootstrap_mean(values, "v")
    assert low <= 0 <= high


def test_pvi_is_the_gain_in_log2_probability():
    scores = learner.HeldOutScores(np.array([[0.5, 0.5], [0.1, 0.9]]), np.array([[0.25, 0.75]] * 2))
    values = difficulty.pvi(scores, np.array([0, 0]))
    assert values == pytest.approx([1.0, np.log2(0.1) - np.log2(0.25)])


def test_the_model_is_sklearns():
    frame = rows_of(150)
    matrix = learner.TextFeatures(frame, ["text"]).transform(frame)
    labels = learner.label_codes(frame["label"], ["a", "b"])
    theirs = LogisticRegression(C=3.0, max_iter=100, tol=1e-3).fit(matrix, labels)
    mine = learner.trained(matrix, labels, 2, 3.0)(matrix)
    assert mine == pytest.approx(theirs.predict_proba(matrix), abs=1e-6)


def test_folds_are_even_in_size_and_label():
    labels = np.array([0] * 50 + [1] * 27)
    fold = learner.folds(labels, np.arange(77), 5, "x")
    assert np.bincount(fold).max() - np.bincount(fold).min() <= 1
    for k in range(5):
        assert 5 <= (labels[fold == k] == 1).sum() <= 6


def test_twins_share_a_fold():
    groups = np.repeat(np.arange(40), 2)
    fold = learner.folds(np.repeat([0, 1] * 20, 2), groups, 5, "x")
    assert (fold[::2] == fold[1::2]).all()
    frame = pl.DataFrame({"pair": ["b", "a", "b"]})
    assert learner.groups_of(frame, "pair").tolist() == [2, 1, 2]
    # Rows without a pair are alone, not all of one.
    frame = pl.DataFrame({"pair": ["b", None, None]})
    assert len(set(learner.groups_of(frame, "pair").tolist())) == 3
    assert learner.groups_of(frame, None).tolist() == [0, 1, 2]


def test_a_field_without_words_and_a_label_outside_the_set():
    frame = pl.DataFrame({"text": ["", "!", None] * 20, "label": ["a", "b", "c"] * 20})
    assert learner.TextFeatures(frame, ["text"]).transform(frame).shape == (60, 1)
    assert set(learner.label_codes(frame["label"], ["a", "b"]).tolist()) == {0, 1, -1}


def test_mislabelled_rows_have_the_lowest_pvi():
    frame = rows_of(300)
    flipped = {3, 50, 111}
    labels = [
        ("b" if label == "a" else "a") if i in flipped else label
        for i, label in enumerate(frame["label"])
    ]
    values, _, _ = information(frame.with_columns(label=pl.Series(labels)))
    assert flipped <= set(np.argsort(values)[:5].tolist())


def test_the_report_names_the_hardest_rows_or_says_why_not():
    sheet = MetricCollector()
    difficulty.measure(inputs(100), sheet)
    assert sheet.get("v_information").value > 0.3
    for row in sheet.details["hardest"]:
        assert row["pvi"] < 0
        assert {"premise", "label", "predicted"} <= set(row)
    for change in ({"answer_kind": "span"}, {"answer_kind": "none"}):
        sheet = MetricCollector()
        difficulty.measure(inputs(20, **change), sheet)
        assert "v_information" in sheet.skipped
    sheet = MetricCollector()
    difficulty.measure(inputs(10), sheet)
    assert sheet.skipped["v_information"].startswith("needs 30 rows")
