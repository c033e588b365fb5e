import time

import numpy as np
import polars as pl
import pytest
from scipy.special import softmax

from targen.quality import choices, difficulty, report, shortcuts, utility
from targen.quality.choices import OptionClassifier
from targen.quality.collector import MetricCollector
from targen.quality.inputs import MOST_ROWS
from targen.quality.intervals import bootstrap_mean
from tests.support.report_inputs import inputs

BY = OptionClassifier(["question"], ["options"])


def riddles(count, seed=0, options=5, told="overlap"):
    """Questions of random words with options of random words; the answer stands anywhere.

    `told`: by `overlap` one word of the answer is in the question; by a `pair` the word `key1` of
    the question goes with `lock1` of the answer, and so on; by `nothing` no word tells it.
    """
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        held = [f"o{random.integers(10**9)} o{random.integers(10**9)}" for _ in range(options)]
        question = [f"w{random.integers(300)}" for _ in range(10)]
        right = int(random.integers(options))
        if told == "pair":
            keys = random.permutation(8)[:options]
            held = [f"lock{key}" for key in keys]
            question[4] = f"key{keys[right]}"
        if told == "overlap":
            question[4] = held[right].split()[0]
        rows.append({"question": " ".join(question), "options": held, "label": held[right]})
    return pl.DataFrame(rows)


def shuffled(rows, seed=0):
    """Return rows whose answer is any of their options."""
    random = np.random.default_rng(seed)
    drawn = [random.choice(list(held)) for held in rows["options"]]
    return rows.with_columns(label=pl.Series(drawn, dtype=pl.String))


def accuracy(rows, by=BY):
    scores, answers = by.cross_validate(rows)
    return choices.credit(scores.probability, answers).mean()


def given(rows, **changes):
    return inputs(
        1,
        **{
            "fields": {"question": "text", "options": "texts"},
            "answer_kind": "span",
            "labels": (),
            "options": ("options",),
            "tables": {"corrected_set": rows},
            "rejected": {},
            "completions": None,
            "rows_asked": None,
            **changes,
        },
    )


@pytest.mark.parametrize("told", ["overlap", "pair"])
def test_answers_that_the_question_tells_are_found(told):
    rows = riddles(400, told=told)
    assert accuracy(rows) > 0.95
    values, _, scores = difficulty.row_information(rows, BY)
    # Never more than the surprise of one option of five.
    assert 0.8 * np.log2(5) < values.mean() <= np.log2(5)
    assert scores.null == pytest.approx(np.full((400, 5), 0.2))
    assert scores.probability.sum(axis=1) == pytest.approx(np.ones(400))
    # The options by themselves say nothing.
    assert accuracy(rows, OptionClassifier([], ["options"])) == pytest.approx(0.2, abs=0.08)


@pytest.mark.parametrize("seed", range(3))
def test_answers_at_random_are_worth_nothing(seed):
    rows = shuffled(riddles(250, seed), seed)
    values, _, _ = difficulty.row_information(rows, BY)
    low, high = bootstrap_mean(values, "v")
    assert low <= 0 <= high
    scores, answers = BY.cross_validate(rows)
    low, high = bootstrap_mean(choices.credit(scores.probability, answers), "accuracy")
    assert low <= 0.2 <= high


def test_the_place_of_an_answer_is_no_help():
    rows = riddles(300, told="nothing")
    first = rows.with_columns(label=pl.col("options").list.first())
    assert accuracy(first) == pytest.approx(0.2, abs=0.08)
    assert BY.accuracy(first[:150], first[150:]).mean() == pytest.approx(0.2, abs=0.1)


def test_rows_may_have_different_numbers_of_options():
    rows = pl.concat([riddles(90, n, n) for n in (2, 3, 7)]).sample(
        fraction=1, shuffle=True, seed=1
    )
    scores, answers = BY.cross_validate(rows)
    sizes = rows["options"].list.len().to_numpy()
    assert scores.probability.shape == (270, 7)
    for probability in (scores.probability, scores.null):
        assert ((probability > 0).sum(axis=1) == sizes).all()
    assert choices.credit(scores.probability, answers).mean() > 0.95
    assert BY.baseline_accuracy(rows) == pytest.approx((1 / 2 + 1 / 3 + 1 / 7) / 3)
    fewer = riddles(60, 9, 2)
    assert BY.accuracy(rows, fewer).mean() > 0.9


def test_the_softmax_is_scipys_row_by_row():
    scores, sizes = np.array([1.0, -2.0, 0.5, 3.0, 0.0]), np.array([2, 3])
    made = choices.softmax(scores, sizes)
    assert made[0] == pytest.approx([*softmax(scores[:2]), 0])
    assert made[1] == pytest.approx(softmax(scores[2:]))


def test_options_that_are_equally_likely_share_the_credit():
    probability = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [1 / 3] * 3])
    assert choices.credit(probability, np.array([1, 2, 0])) == pytest.approx([1 / 2, 0, 1 / 3])


def test_duplicate_options_count_once_and_answers_not_offered_are_left_out():
    rows = pl.DataFrame(
        {
            "question": ["a", "b", "c", "d", "e"],
            "options": [["x", "x", "y"], ["x", "x"], ["x", None, "y"], ["x", "y"], None],
            "label": ["y", "x", "y", "z", "x"],
        }
    )
    assert BY.usable(rows)["question"].to_list() == ["a", "c"]
    read = choices.read_options(rows, ["question"], ["options"])
    assert read.sizes.tolist() == [2, 1, 2, 2, 0]
    assert read.answers.tolist() == [1, 0, 1, -1, -1]
    assert BY.answer_text(rows[:1], 1) == "y"


def test_labels_that_are_numbers_of_fields():
    rows = pl.DataFrame(
        {
            "premise": ["p"] * 5,
            "one": ["x", "x", "x", "x", None],
            "two": ["y", "y", "x", "y", "y"],
            "label": ["0", "1", "1", None, "1"],
        }
    )
    by = OptionClassifier(["premise"], ["one", "two"])
    read = choices.read_options(rows, ["premise"], ["one", "two"])
    assert read.answers.tolist() == [0, 1, 0, -1, 0]
    assert by.usable(rows)["label"].to_list() == ["0", "1"]
    asked = riddles(200, options=2)
    told = asked.select(
        "question",
        one=pl.col("options").list.get(0),
        two=pl.col("options").list.get(1),
        label=(pl.col("label") != pl.col("options").list.get(0)).cast(pl.Int64).cast(pl.String),
    )
    # The two fields change places from row to row: labels as such could not be learned.
    assert accuracy(told, OptionClassifier(["question"], ["one", "two"])) > 0.95
    fields = {"question": "text", "one": "text", "two": "text"}
    chosen = given(told, fields=fields, answer_kind="class", labels=("0", "1"),
                   options=("one", "two"))  # fmt: skip
    assert isinstance(difficulty.classifier_for(chosen), OptionClassifier)
    assert difficulty.classifier_for(chosen).fields == ["question"]


def test_any_script_and_texts_without_words():
    rows = riddles(90).with_columns(
        question=pl.col("question") + " 影 тень Ünïcode’s 🦉",
        options=pl.col("options").list.concat([pl.lit("🦉"), pl.lit("")]),
    )
    assert accuracy(rows) > 0.9
    empty = rows.with_columns(
        question=pl.lit(None, dtype=pl.String), options=pl.lit(["!", "?"]), label=pl.lit("!")
    )
    assert accuracy(empty) == pytest.approx(0.5)
    shadow = pl.DataFrame(
        {
            "question": ["影と木", "тень дуба", "l’été brûlant"] * 30,
            "options": [["影", "水"], ["вода", "тень"], ["hiver", "été"]] * 30,
            "label": ["影", "тень", "été"] * 30,
        }
    )
    assert accuracy(shadow) > 0.95


def test_the_report_measures_what_is_chosen():
    rows, gold, far = (riddles(n, seed) for n, seed in ((120, 1), (160, 2), (60, 3)))
    made = report.build(given(rows, reference=gold, elsewhere={"far": far}))
    figures = {(row["metric"], row["slice"]): row for row in made.json["figures"]}
    for slice_ in ("set to gold", "gold to gold", "set to far", "gold to far"):
        figure = figures["utility", slice_]
        assert figure["value"] > 0.9
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert figures["utility", "an option at random"]["value"] == pytest.approx(0.2)
    assert figures["v_information", "all"]["reference"] > 1.8
    shortcut = figures["shortcut", "options only"]
    assert shortcut["low"] <= 0 <= shortcut["high"]
    for row in made.json["hardest"]:
        assert row["predicted"] in row["options"]


def test_a_set_answered_at_random_is_of_no_use():
    sheet = MetricCollector()
    gold = riddles(160, 2)
    utility.measure(given(shuffled(riddles(120, 1)), reference=gold), sheet)
    assert sheet.get("utility", "set to gold").value == pytest.approx(0.2, abs=0.1)
    assert sheet.get("utility", "set to gold").reference > 0.9


def test_words_that_only_right_answers_have_are_a_shortcut():
    rows = riddles(150, told="nothing")
    told = [
        [f"{text} of {'wood' if text == label else 'iron'}" for text in held]
        for held, label in rows.select("options", "label").iter_rows()
    ]
    rows = rows.with_columns(options=pl.Series(told), label=pl.col("label") + " of wood")
    sheet = MetricCollector()
    shortcuts.measure(given(rows), sheet)
    assert sheet.get("shortcut", "options only").value == pytest.approx(4 / 5, abs=0.05)


def test_a_tested_question_is_not_trained_on_whatever_the_order_of_its_options():
    gold = riddles(100)
    turned = gold.with_columns(pl.col("options").list.reverse())
    assert utility._unseen(turned, gold[:60], BY.identity_fields).height == 40


def test_too_few_rows_are_skipped_with_a_reason():
    for rows in (riddles(29), riddles(60).with_columns(label=pl.lit("not offered"))):
        sheet = MetricCollector()
        for metric in (difficulty, utility, shortcuts):
            metric.measure(given(rows, reference=riddles(160)), sheet)
        for name in ("v_information", "utility", "shortcut"):
            assert sheet.skipped[name] == "needs 30 rows whose options include the answer"
    sheet = MetricCollector()
    utility.measure(given(riddles(100), reference=riddles(40)), sheet)
    assert sheet.skipped["utility"].startswith("the reference needs 60 rows")


def test_ten_thousand_rows_take_seconds():
    rows = riddles(10_000)
    BY.cross_validate(rows[:50])
    started = time.process_time()
    sheet = MetricCollector()
    difficulty.measure(given(rows), sheet)
    assert sheet.get("v_information").n == MOST_ROWS
    assert time.process_time() - started < 20
