"""Anchors: large lists of many regions, drawn the same way every time and without favorites."""

import re
from collections import Counter

from targen.operators.anchors import anchors, family_names, given_names, places


def drawn(count=2000, language="en"):
    return [anchors(0, "c", n, language) for n in range(count)]


def test_the_lists_are_long_and_hold_no_entry_twice():
    for names, least in ((given_names(), 150), (family_names(), 150), (places(), 80)):
        assert len(set(names)) == len(names) >= least


def test_two_kinds_per_seed_each_equally_often():
    counts = Counter(kind for one in drawn() for kind in one)
    assert set(counts) == {"name", "place", "date", "amount"}
    assert all(900 < n < 1100 for n in counts.values())
    assert {len(one) for one in drawn()} == {2}


def test_other_languages_get_only_what_needs_no_translation():
    assert {kind for one in drawn(200, "de") for kind in one} == {"name", "place"}


def test_a_draw_depends_on_edition_context_and_number_alone():
    assert anchors(0, "c", 7) == anchors(0, "c", 7)
    others = [anchors(1, "c", 7), anchors(0, "d", 7), anchors(0, "c", 8), anchors(0, None, 7)]
    assert all(other != anchors(0, "c", 7) for other in others)


def test_no_value_is_a_favorite():
    for kind, share in (("name", 0.01), ("place", 0.03), ("amount", 0.02)):
        values = Counter(one[kind] for one in drawn() if kind in one)
        assert max(values.values()) <= share * values.total() + 2


def test_names_are_of_one_region_and_values_have_their_form():
    for one in drawn(300):
        if "name" in one:
            given, family = one["name"].split(" ", 1)
            first, second = given_names().index(given), family_names().index(family)
            assert first // 10 == second // 10
        if "amount" in one:
            assert re.fullmatch(r"[1-9][\d,]* [a-z]+", one["amount"])
        if "date" in one:
            assert re.fullmatch(r"(\d\d? )?[A-Z][a-z]+", one["date"])
