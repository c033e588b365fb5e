import random

import polars as pl
import pytest

from targen.quality import contamination
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs


def brute(rows, reference, size):
    """The definition on Python sets."""

    def runs(words):
        return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}

    theirs = set().union(*(runs(text.split()) for text in reference))
    whole = {tuple(text.split()) for text in reference}
    return [
        bool(runs(text.split()) & theirs)
        if len(text.split()) >= size
        else bool(text.split()) and tuple(text.split()) in whole
        for text in rows
    ]


@pytest.mark.parametrize("size", [3, 8])
def test_equals_the_definition_on_sets(size):
    draw = random.Random(size)
    texts = [" ".join(draw.choices("abcd", k=draw.randint(0, 14))) for _ in range(300)]
    rows, reference = texts[:200], texts[200:]
    hit = contamination.shared(pl.Series(rows), pl.Series(reference), size)
    wanted = brute(rows, reference, size)
    assert 0 < sum(wanted) < 200
    assert hit.tolist() == wanted


def test_the_data_against_itself_is_wholly_copied_and_against_none_not_measured():
    given = inputs(50)
    sheet = MetricCollector()
    contamination.measure(inputs(50, reference=given.rows), sheet)
    assert {m.value for m in sheet.measures} == {1.0}
    sheet = MetricCollector()
    contamination.measure(given, sheet)
    assert "contamination" in sheet.skipped


def test_case_and_punctuation_do_not_hide_a_copy():
    hit = contamination.shared(pl.Series(["A, B c!"]), pl.Series(["a b C"]))
    assert hit.tolist() == [True]
