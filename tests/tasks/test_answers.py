"""Equality of answers and majorities."""

import pytest

from targen.tasks.answers import label_key, majority, normalize_span


def test_spans_are_compared_as_superglue_does():
    assert normalize_span("The  U.S. Senate!") == "us senate"
    assert label_key("span", "The Senate") == label_key("span", "senate.")
    assert label_key("class", "The Senate") != label_key("class", "senate.")
    assert label_key("multi", ["b", "a"]) == label_key("multi", ["a", "b"])


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        (["a", "a", "b"], "a"),
        (["a", "b", "c"], None),
        (["a", "b"], None),
        (["a", None, None], "a"),
        ([None], None),
        ([], None),
        (["b", "a", "b", "a", "b"], "b"),
    ],
)
def test_majority(votes, winner):
    assert majority("class", votes) == winner


ORDER = ["none", "low", "high", "extreme"]


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        (["low", "low", "extreme"], "low"),
        (["none", "low", "extreme"], "low"),
        (["none", "none", "high", "extreme", "extreme"], "high"),
        (["low", "high"], None),
        (["none", "low", "high", "extreme"], None),
        (["none", None, "extreme"], None),
        ([], None),
    ],
)
def test_the_median_decides_where_no_ordinal_label_has_a_majority(votes, winner):
    assert majority("ordinal", votes, ORDER) == winner
    assert majority("ordinal", votes[::-1], ORDER) == winner
