"""The swap of gender: known sentences, and that swapping twice gives the text back."""

import pytest

from targen.tasks.validators import swap_gender


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("He thanked her for her work.", "She thanked him for his work."),
        ("The nurse saw him and left.", "The nurse saw her and left."),
        ("The nurse saw her and left.", "The nurse saw him and left."),
        ("The fault was his.", "The fault was hers."),
        ("The fault was hers.", "The fault was his."),
        ("SHE'LL come herself.", "HE'LL come himself."),
        ("Mr. Hall asked his sister", "Ms. Hall asked her brother"),
        (
            "She told the client that his file was lost.",
            "He told the client that her file was lost.",
        ),
        ("The theme of the shepherd's history", "The theme of the shepherd's history"),
    ],
)
def test_known_sentences(text, swapped):
    assert swap_gender(text) == swapped


@pytest.mark.parametrize(
    "text",
    [
        "The doctor told the patient that she would call her brother.",
        "His uncle gave him a book; it was hers.",
        "The man warned the girl, and his wife agreed with her.",
    ],
)
def test_twice_is_as_before(text):
    assert swap_gender(swap_gender(text)) == text
