import numpy as np
import polars as pl
import pytest
from rouge_score.rouge_scorer import RougeScorer
from scipy.stats import hypergeom

from targen.quality import copies, duplicates, judgment, repeats
from targen.quality.collector import MetricCollector
from targen.quality.text import generator
from tests.support.report_inputs import inputs

WORDS = [f"w{i}" for i in range(4000)]


def texts(count, words=14, seed=0):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, words)) for _ in range(count)]


def third_changed(text, seed):
    random = np.random.default_rng(seed)
    words = text.split()
    for at in random.permutation(len(words))[: len(words) // 3]:
        words[at] = f"other{random.integers(10_000)}"
    return " ".join(words)


def measured(own, gold=None):
    frame = pl.DataFrame({"text": own, "label": ["a"] * len(own)})
    other = None if gold is None else pl.DataFrame({"text": gold, "label": ["a"] * len(gold)})
    given = inputs(
        1, fields={"text": "text"}, labels=("a", "b"), tables={"corrected_set": frame},
        rejected={}, completions=None, rows_asked=None, reference=other,
    )  # fmt: skip
    sheet = MetricCollector()
    for module in (duplicates, copies, repeats):
        module.measure(given, sheet)
    return sheet


def test_the_expected_share_is_the_mean_over_samples():
    sizes = np.array([1] * 30 + [2] * 10 + [5] * 4 + [30])
    owner = np.repeat(np.arange(sizes.size), sizes)
    for count in (2, 17, 60, 99, int(sizes.sum())):
        draws = [
            1 - np.unique(owner[generator("t", i).permutation(owner.size)[:count]]).size / count
            for i in range(2000)
        ]
        assert repeats.repeated_share(sizes, count) == pytest.approx(np.mean(draws), abs=0.01)
    assert repeats.repeated_share(np.ones(50, dtype=np.int64), 20) == pytest.approx(0, abs=1e-9)


def test_copies_with_one_third_of_the_words_changed_are_found():
    sources = texts(200)
    sheet = measured(sources + [third_changed(text, i) for i, text in enumerate(sources[:50])])
    assert sheet.get("edited_copies").value == pytest.approx(50 / 250, abs=0.025)
    assert sheet.get("near_duplicates").value == 0
    assert sheet.get("repeats", "250 rows").value == sheet.get("edited_copies").value


def test_unrelated_rows_do_not_repeat_each_other():
    assert measured(texts(300)).get("repeats", "300 rows").value == 0


def test_the_curve_compares_equal_numbers_of_rows():
    """A set with as many ideas as the gold rows repeats itself more only because it is larger."""
    ideas = texts(500)
    random = np.random.default_rng(3)
    own = [f"{ideas[i]} more{k}" for k, i in enumerate(random.integers(0, 500, 1200))]
    gold = [f"{ideas[i]} gold{k}" for k, i in enumerate(random.integers(0, 500, 200))]
    sheet = measured(own, gold)
    at = {m.n: m for m in sheet.measures if m.metric == "repeats"}
    assert list(at) == [100, 300, 1000, 1200]
    assert [m.value for m in at.values()] == sorted(m.value for m in at.values())
    equal = sheet.get("at_reference_size", "repeats, 200 rows")
    assert at[1200].value > 2 * equal.value
    assert equal.value == pytest.approx(equal.reference, abs=0.06)
    assert at[100].reference is not None and at[300].reference is None
    assert judgment.duplicates(sheet) == []
    assert judgment.duplicates(measured(own))[0][0] == "bad"


def test_the_expected_share_equals_scipys_hypergeometric_distribution():
    sizes = np.array([1] * 40 + [3] * 7 + [12])
    total = int(sizes.sum())
    for count in (1, 5, 30, total):
        groups = sum(1 - hypergeom.pmf(0, total, size, count) for size in sizes)
        share = repeats.repeated_share(sizes, count)
        assert share == pytest.approx(1 - groups / count, abs=1e-9)


def test_copies_with_changes_have_the_f_of_rouge_score():
    """Every pair that is returned, and every pair that a comparison of all pairs finds."""
    rows = texts(40, words=9, seed=4)
    rows += [third_changed(text, i) for i, text in enumerate(rows[:12])]
    first, second, scores = copies.edited(pl.DataFrame({"text": rows}), ["text"])
    found = dict(zip(zip(first.tolist(), second.tolist(), strict=True), scores, strict=True))
    scorer = RougeScorer(["rougeL"])
    theirs = {
        (i, j): scorer.score(rows[i], rows[j])["rougeL"].fmeasure
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
    }
    for pair, score in found.items():
        assert score == pytest.approx(theirs[pair], abs=1e-6)
    wanted = {pair for pair, score in theirs.items() if score >= copies.CLOSE}
    assert set(found) <= wanted and len(found) >= 0.8 * len(wanted) > 8
