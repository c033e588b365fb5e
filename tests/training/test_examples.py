"""What a transformer is trained on and scored by. These tests need no extra."""

import polars as pl
import pytest

from targen.errors import TargenError
from targen.training.examples import check_scorable, examples, overlap_f1, texts_to_write
from tests.support.specs import real_task, spec_of

QUIZ = """\
name: quiz
title: Quiz
description: A question and words to choose from.
rows: 8
fields:
  question: {description: the question}
  options: {description: the words, type: texts}
answer: {kind: span, question: Which word is hot?, choices: options}
seeds: {kind: tuple, what: words, fields: {options: {description: the words, type: texts}}}
"""
HOT = ["fire", "oven", "sun", "stove"]
COLD = ["ice", "snow", "frost", "hail"]


def quiz_rows(count: int) -> pl.DataFrame:
    """Questions with two to four options, of which one is hot."""
    options, labels = [], []
    for i in range(count):
        listed = [COLD[(i + n) % 4] for n in range(1 + i % 3)]
        labels.append(HOT[(i // 3) % 4])
        listed.insert(i % (len(listed) + 1), labels[-1])
        options.append(listed)
    return pl.DataFrame(
        {
            "instance_id": [f"{i:016x}" for i in range(count)],
            "question": ["which is hot"] * count,
            "options": options,
            "label": labels,
        }
    )


def test_rows_with_options_are_scored_among_their_own(tmp_path) -> None:
    made = examples(spec_of(tmp_path, QUIZ), quiz_rows(6), "classification")
    assert made.task == "quiz" and made.names == ()
    answers = [made.candidates(row)[made.labels[row]] for row in range(6)]
    assert answers == ["fire"] * 3 + ["oven"] * 3
    assert [len(made.candidates(row)) for row in range(6)] == [2, 3, 4, 2, 3, 4]
    some = made.some([4, 1])
    assert some.options == [made.options[4], made.options[1]]
    assert some.labels == [made.labels[4], made.labels[1]]


def test_rows_without_a_usable_answer_are_left_out(tmp_path) -> None:
    rows = quiz_rows(4).with_columns(
        label=pl.Series([None, "lava", *quiz_rows(4)["label"].to_list()[2:]]),
        options=pl.Series([*quiz_rows(4)["options"].to_list()[:3], None]),
    )
    made = examples(spec_of(tmp_path, QUIZ), rows, "classification")
    assert len(made) == 1 and made.options == [quiz_rows(4)["options"][2].to_list()]
    mood = pl.DataFrame({"note": ["a", "b", "c"], "label": ["glad", None, "other"]})
    assert examples(spec_of(tmp_path), mood, "classification").labels == [0]


def test_an_instruction_names_the_labels_of_its_own_task(tmp_path) -> None:
    mood = pl.DataFrame({"note": ["a note"], "label": ["sad"]})
    made = examples(spec_of(tmp_path / "one"), mood, "instruction")
    assert made.candidates(0) == ["glad", "sad"] and made.labels == [1]
    assert "- glad: A glad writer." in made.prompts[0] and made.prompts[0].endswith("Answer:")
    quiz = examples(spec_of(tmp_path / "two", QUIZ), quiz_rows(1), "instruction")
    assert "Which word is hot?" in quiz.prompts[0] and "glad" not in quiz.prompts[0]


def test_what_cannot_be_scored_is_one_error_and_can_be_trained_on_before() -> None:
    for name, what in (("stories", "several labels per row"), ("instructions", "no answers")):
        spec = real_task(name)
        with pytest.raises(TargenError, match=f"{name} has {what}.*--pretrain"):
            check_scorable(spec)
        with pytest.raises(TargenError, match=f"{name} has {what}.*--pretrain"):
            examples(spec, pl.DataFrame(), "instruction")
        with pytest.raises(TargenError, match=f"{name}: .* Add --format instruction"):
            texts_to_write(spec, pl.DataFrame(), "classification")
    check_scorable(real_task("record"))
    rows = pl.DataFrame(
        {"kind": ["open"], "instruction": ["Name a tree."], "input": [""], "output": ["Oak."]}
    )
    made = texts_to_write(real_task("instructions"), rows, "instruction")
    assert "Name a tree." in made.prompts[0]
    assert (made.candidates(0), made.labels) == (["Oak."], [0])


def test_tasks_with_labels_are_the_same_before(tmp_path) -> None:
    mood = pl.DataFrame({"note": ["a note"], "label": ["sad"]})
    spec = spec_of(tmp_path)
    assert texts_to_write(spec, mood, "classification") == examples(spec, mood, "classification")


@pytest.mark.parametrize(
    ("guess", "gold", "f1"),
    [
        ("The White House", "white house!", 1.0),
        ("Paris", "London", 0.0),
        # One word of two and of three is common: 2 * 1 / (2 + 3).
        ("Anna Berg", "the mayor Anna Lind", 0.4),
        ("", "", 1.0),
        ("the", "Paris", 0.0),
    ],
)
def test_the_f1_of_worked_examples(guess: str, gold: str, f1: float) -> None:
    assert overlap_f1(guess, gold) == pytest.approx(f1)
