"""The private truth depends on the text alone and is the same for twins."""

import pytest

from simulator.truth import fingerprint, number, truth
from targen.tasks.validators import swap_gender

LABELS = ["entailment", "not_entailment"]


def test_derived_fields_case_and_space_do_not_count() -> None:
    row = {"word": "bank", "sentence1": "He sat on the  bank."}
    same = {"sentence1": "he sat on the bank.", "word": "BANK", "start1": 14, "pair_id": "17"}
    assert fingerprint(row) == fingerprint(same)
    assert fingerprint(row) != fingerprint({**row, "sentence1": "He sat on a bank."})


def test_order_of_list_fields_does_not_count() -> None:
    assert fingerprint({"entities": ["a", "b"]}) == fingerprint({"entities": ["b", "a"]})
    assert fingerprint({"entities": ["a", "b"]}) != fingerprint({"entities": ["a", "c"]})


@pytest.mark.parametrize(
    "text",
    [
        "The nurse told the man that she had lost her keys and asked him for his.",
        "Her nephew and his grandmother met the gentlemen; the ladies saw himself.",
        "Mr Reid gave the boys’ uncle a book of hers, madam.",
    ],
)
def test_twins_share_their_label(text: str) -> None:
    row = {"premise": text, "hypothesis": "He left."}
    twin = {name: swap_gender(value) for name, value in row.items()}
    assert twin != row
    assert fingerprint(twin) == fingerprint(row)


def test_labels_are_drawn_evenly_and_independently_of_their_order() -> None:
    rows = [{"premise": f"Sentence {n} stands here."} for n in range(2000)]
    found = [truth(row, LABELS) for row in rows]
    assert 900 < found.count("entailment") < 1100
    assert found == [truth(row, LABELS[::-1]) for row in rows]


def test_a_low_number_wins_against_unknown_rivals() -> None:
    rows = [{"body": f"Text {n}."} for n in range(20000)]
    sure = [row for row in rows if number(fingerprint(row), "low") < 1 / 200]
    right = [row for row in sure if truth(row, ["low", "normal", "high", "critical"]) == "low"]
    assert len(sure) > 50
    assert len(right) >= 0.95 * len(sure)
