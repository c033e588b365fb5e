"""Each detector finds what is planted, and is silent on the same rows without it."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from targen.quality import copies, languages, suspects, uniformity
from targen.quality.report import build
from targen.quality.surface import (
    found_in,
    has_remains,
    is_card,
    is_empty,
    is_iban,
    is_looped,
    is_refusal,
    is_ssn,
    is_truncated,
    personal,
)
from targen.quality.text import tokens
from targen.tasks.sections import Gate
from tests.support.report_inputs import inputs


def test_refusals_are_told_from_people_who_cannot_do_something():
    text = pl.Series(
        [
            "I'm sorry, but I can't help with this request.",
            "As an AI language model, I do not have opinions.",
            "I cannot be seen, cannot be felt. What am I?",
            "She was sorry, but she cannot come.",
            "They cannot create jobs out of nothing.",
        ]
    )
    assert is_refusal(text).tolist() == [True, True, False, False, False]


def test_remains_of_an_answer():
    text = pl.Series(
        [
            "Sure! Here is the review:",
            "Here's a new example:",
            "Here lies a king.",
            "Sure, why not?",
        ]
    )
    assert has_remains(text).tolist() == [True, True, False, False]


def test_empty_texts():
    text = pl.Series(["", "  ", "N/A", "…", None, "no", "nan bread", "0"])
    assert is_empty(text).tolist() == [True, True, True, True, True, False, False, False]


def test_truncation_needs_a_column_that_ends_in_punctuation():
    ends = ["This one is a whole sentence."] * 9 + ["This one is not a whole"]
    flags = is_truncated(pl.Series(ends))
    assert flags is not None and flags.tolist() == [False] * 9 + [True]
    assert is_truncated(pl.Series(["a question without any mark"] * 9)) is None


def test_loops():
    text = pl.Series(["the same way again " * 5, "no, no, no, I said", "a rose is a rose, or not"])
    assert is_looped(text).tolist() == [True, False, False]
    lists = pl.Series([["one text", "the same way again " * 5], ["one text", "another"], None])
    assert is_looped(lists).tolist() == [True, False, False]


def test_code_may_repeat_itself():
    frame = pl.DataFrame({"t": ["x = f(x, y, z)\n" * 12]})
    assert found_in(frame, ["t"])["loops"]["all"].tolist() == [True]
    assert found_in(frame, ["t"], code=["t"])["loops"]["all"].tolist() == [False]


def test_numbers_count_only_with_their_checksums():
    assert is_card("4111 1111 1111 1111") and not is_card("4111 1111 1111 1112")
    assert is_iban("DE89 3704 0044 0532 0130 00") and not is_iban("DE88370400440532013000")
    assert is_ssn("123-45-6789") and not is_ssn("666-45-6789") and not is_ssn("900-45-6789")
    text = pl.Series(
        [
            "write to ann@firm.co.uk",
            "call +1 (212) 555-0187",
            "from 1999--2000 and 2004-2008",
            "7,001",
        ]
    )
    found = personal(text)
    assert found["e-mail addresses"].tolist() == [True, False, False, False]
    assert found["phone numbers"].tolist() == [False, True, False, False]
    assert not found["card numbers"].any()


def test_languages():
    text = [
        "The house stands by the river and is old.",
        "Das Haus steht am Fluss und ist nicht neu.",
        "La maison est au bord de la rivière.",
        "这座城市今年决定修复河上的桥。",
        "El Niño is a climate pattern.",
        "Ja.",
    ]
    flags = languages.in_another_language(pl.DataFrame({"t": text}), "t", "en")
    assert flags.tolist() == [False, True, True, True, False, False]


def test_confident_learning_finds_flipped_labels_and_none_without():
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 400)
    probability = np.where(truth == 1, 0.85, 0.15) + random.normal(0, 0.05, 400)
    probability = np.column_stack([1 - probability, probability])
    labels = truth.copy()
    flips = random.choice(400, 60, replace=False)
    labels[flips] = 1 - labels[flips]
    assert not suspects.confident_errors(probability, truth).any()
    found = np.flatnonzero(suspects.confident_errors(probability, labels))
    assert set(found) <= set(flips) and len(found) >= 55


def test_confident_errors_are_the_off_diagonal_of_the_confident_joint():
    """Written out row by row, as in algorithm 1 of Northcutt, Jiang and Chuang (2021)."""
    random = np.random.default_rng(5)
    probability = random.dirichlet([1.0, 1.5, 0.7], 300)
    labels = random.integers(0, 3, 300)
    limits = [probability[labels == k, k].mean() for k in range(3)]
    expected = []
    for row, label in zip(probability, labels, strict=True):
        above = [k for k in range(3) if row[k] >= limits[k]]
        best = max(above, key=lambda k: row[k], default=label)
        expected.append(best != label and row.max() > row[label])
    assert suspects.confident_errors(probability, labels).tolist() == expected


def test_predictions_no_better_than_guessing_question_no_label():
    null = np.full((200, 2), 0.5)
    labels = np.arange(200) % 2
    assert "no better than guessing" in (suspects.too_weak(null, labels, 0.0) or "")


def test_contradictory_copies():
    rows = pl.DataFrame({"t": ["One.", "one.", "Two.", "two. ", ""], "label": list("abaab")})
    assert suspects.contradictions(rows, ["t"]).to_list() == [True, True, False, False, False]


def test_rows_that_state_their_label():
    rows = pl.DataFrame(
        {
            "t": ["It is not_entailment.", "a clear entailment", "not entailment", "nothing"],
            "label": ["not_entailment", "entailment", "entailment", "entailment"],
        }
    )
    assert suspects.stated(rows, ["t"], ["entailment", "not_entailment"]) == (2, 1)


def test_templates_and_phrases():
    fillers = [f"w{i}" for i in range(200)]
    made = [f"The {a} is often better than the {b}" for a, b in pairwise(fillers)]
    text = tokens(pl.DataFrame({"t": made}), ["t"])
    assert uniformity.templates(text) == [("the _ is often better than the _", 199)]
    assert uniformity.commonest_phrase(text) in {
        ("is often better than", 199),
        ("often better than the", 199),
    }
    names = pl.Series([f"Every day Elara Voss saw {word} in Rome." for word in fillers])
    dated = pl.Series([f"It rained on Monday in {town}." for town in ("Rome", "Oslo", "Rome")])
    assert uniformity.commonest_name(dated) == ("Rome", 2)
    assert uniformity.commonest_name(names) in {("Elara Voss", 200), ("Rome", 200)}


@pytest.mark.parametrize(("every", "found"), [(6, True), (2, False)])
def test_copies_with_changed_words(every, found):
    random = np.random.default_rng(2)
    rows = [" ".join(f"w{i}" for i in random.integers(0, 5000, 18)) for _ in range(300)]
    words = rows[0].split()
    rows.append(" ".join("other" if i % every == 0 else word for i, word in enumerate(words)))
    first, second, score = copies.edited(pl.DataFrame({"t": rows}), ["t"])
    assert (list(zip(first, second, strict=True)) == [(0, 300)]) is found
    assert (score >= copies.CLOSE).all()


def test_gold_changes_no_own_figure_and_no_gate():
    # `failures` counts findings, some of which gold rows excuse.
    beside_gold = {"contamination", "utility", "utility_gap", "at_reference_size", "failures"}

    def plain(figures):
        shown = [row for row in figures if row["metric"] not in beside_gold]
        return [{k: v for k, v in row.items() if k != "reference"} for row in shown]

    given = inputs(
        120,
        gates=(Gate(metric="shortcut", at_most=0.25), Gate(metric="near_duplicates", at_most=0.1)),
    )
    alone = build(given)
    for rows in (40, 90, 200):
        beside = build(inputs(120, gates=given.gates, reference=inputs(rows).rows))
        assert plain(beside.json["figures"]) == plain(alone.json["figures"])
        assert beside.json["gates"] == alone.json["gates"]
        assert any(row["metric"] == "at_reference_size" for row in beside.json["figures"])


def test_no_green_verdict_where_nothing_measured_the_labels():
    rows = pl.DataFrame(
        {
            "premise": [f"Fact number {i} of {i * 7} was told by w{i}." for i in range(40)],
            "hypothesis": [f"Thing {i * 3} holds for v{i}." for i in range(40)],
            "label": ["entailment", "not_entailment"] * 20,
        }
    )
    made = build(inputs(1, tables={"corrected_set": rows}, rows_asked=None, completions=None))
    unmeasured = [f["metric"] for f in made.json["findings"] if f["unmeasured"]]
    assert unmeasured == ["label_noise", "utility"]
    assert made.json["verdict"]["level"] != "good"


def test_severity_follows_from_the_share():
    def level(metric, value, n, **others):
        from targen.quality import rules
        from targen.quality.collector import Measure

        rule = next(rule for rule in rules.RULES if rule.metric == metric)
        return rules.level_of(rule, Measure(metric, value, n, **others))

    assert level("exact_duplicates", 1 / 6000, 6000) == "note"
    assert level("exact_duplicates", 0.1, 600) == "bad"
    assert level("truncated_texts", 0.25, 600, reference=0.2) is None
    assert level("truncated_texts", 0.25, 600, reference=0.02) == "bad"
    assert level("refusals", 0.25, 600, reference=0.25) == "bad", "gold does not excuse refusals"
