"""Error rates and near-duplicates."""

import pytest

from simulator.errors import ErrorRates, near_duplicate
from targen.hashing import rng


def test_a_near_duplicate_has_the_same_change_in_all_fields() -> None:
    fields = {"a": "Anna lost her hat on the pier.", "b": ["Anna", "the pier"]}
    changed = near_duplicate(fields, rng(1))
    assert changed is not None
    name = changed["b"][0]  # type: ignore[index]
    assert name != "Anna"
    assert changed["a"] == f"{name} lost her hat on the pier."
    assert near_duplicate({"a": "nothing here"}, rng(1)) is None


def test_rates_are_between_0_and_1() -> None:
    with pytest.raises(ValueError, match="wrong_label"):
        ErrorRates(wrong_label=1.5)
