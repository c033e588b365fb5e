"""Lengths that tell the label: which ranges are asked for, and that the rows close the gap."""

import polars as pl
import pytest

from targen.hashing import rng
from targen.operators.demands import range_around, word_range
from targen.quality.collector import MetricCollector
from targen.quality.inputs import for_task
from targen.quality.shortcuts import LENGTH, measure
from targen.steps import CORRECTED_SET
from targen.targeting.gaps import View, propose
from targen.targeting.lengths import length_fields, length_label
from targen.tasks.targets import Round
from tests.support.specs import real_task

ROWS = 160
LIMIT = 40
"""Greatest length of a hypothesis of the task rte."""


def rows_of(lengths):
    """Return rows with hypotheses of these lengths, label -> lengths, in an order of their own."""
    rows = [
        {
            "instance_id": f"{number:016x}",
            "premise": "It is a day like all of the others.",
            "hypothesis": " ".join(["a"] * length),
            "label": label,
            "planned_way": None,
            "planned_difficulty": None,
            "target_id": None,
        }
        for number, (label, length) in enumerate(
            (label, length) for label, some in lengths.items() for length in some
        )
    ]
    rng("order").shuffle(rows)
    return pl.DataFrame(rows, schema_overrides={"planned_difficulty": pl.String})


def drawn(least, most, count=ROWS // 2):
    random = rng("lengths", least, most)
    return [random.randint(least, most) for _ in range(count)]


def of_two_fields(first, second):
    """Return rows with premises and hypotheses of these lengths, label -> lengths."""
    rows = rows_of({label: sorted(some) for label, some in second.items()}).sort("label")
    premises = [" ".join(["b"] * size) for label in sorted(first) for size in first[label]]
    rows = rows.with_columns(premise=pl.Series(premises))
    return rows.sample(fraction=1, shuffle=True, seed=1)


def view_of(rows, rounds=()):
    spec = real_task("rte", rows.height).with_rounds(rounds)
    inputs = for_task(spec, {CORRECTED_SET: rows})
    collector = MetricCollector()
    measure(inputs, collector)
    return View(spec, inputs, {"figures": collector.table().to_dicts(), "cues": []})


def gain(view):
    return view.figure("shortcut", LENGTH)["value"]


def after_round(view, found, number):
    """Return the rows in which each target's rows have the lengths that it asks for."""
    random = rng("written", number)
    texts = dict(zip(view.rows["instance_id"], view.rows["hypothesis"], strict=True))
    for target in found:
        for row in target.replaced:
            texts[row] = " ".join(["a"] * random.randint(target.least_words, target.most_words))
    return view.rows.with_columns(hypothesis=pl.Series(list(texts.values())))


@pytest.mark.parametrize(("least", "most"), [(24, 34), (34, 40), (14, 20)])
def test_two_rounds_close_the_gap(least, most):
    view = view_of(rows_of({"entailment": drawn(least, most), "not_entailment": drawn(6, 13)}))
    before, rounds, asked = gain(view), [], 0
    assert before > 0.4
    for number in (1, 2):
        found = propose(view, [length_label])
        rounds.append(Round(report="r", targets=found))
        asked += sum(one.count for one in found)
        rows = after_round(view, found, number)
        view = view_of(rows, rounds)
    assert gain(view) <= 0.05 + 0.2 * (before - 0.05)
    assert asked <= ROWS / 2


def test_no_range_is_asked_for_that_the_limit_makes_invalid():
    view = view_of(rows_of({"entailment": drawn(38, 40), "not_entailment": drawn(6, 13)}))
    found = propose(view, [length_label])
    assert {one.label for one in found} == {"entailment"}
    assert max(one.most_words for one in found) < 20


def test_equal_lengths_are_no_gap():
    view = view_of(rows_of({"entailment": drawn(6, 30), "not_entailment": drawn(6, 30)[::-1]}))
    assert length_label(view) == []


def test_a_gap_that_was_begun_goes_on_below_what_the_interval_shows():
    near = {"entailment": drawn(10, 19), "not_entailment": drawn(6, 13)}
    view = view_of(rows_of(near))
    figure = view.figure("shortcut", LENGTH)
    known = {**figure, "low": -0.01}
    unsure = View(view.spec, view.inputs, {"figures": [known], "cues": []})
    assert length_label(unsure) == []
    first = propose(view, [length_label])
    begun = View(
        view.spec.with_rounds([Round(report="r", targets=first)]),
        view.inputs,
        {"figures": [known], "cues": []},
    )
    assert length_label(begun)


def test_every_field_whose_length_tells_the_label_is_targeted():
    # The labels' premises have the same mean length.
    first = {"entailment": [12] * 40 + [28] * 40, "not_entailment": [20] * 80}
    second = {"entailment": drawn(20, 30), "not_entailment": drawn(6, 13)}
    view = view_of(of_two_fields(first, second))
    assert length_fields(view) == ["premise", "hypothesis"]
    found = propose(view, [length_label])
    assert {one.field for one in found} == {"premise", "hypothesis"}
    assert ROWS / 5 < sum(one.count for one in found) <= ROWS / 4
    even = {"entailment": drawn(6, 30), "not_entailment": drawn(6, 30)[::-1]}
    assert length_fields(view_of(of_two_fields(even, second))) == ["hypothesis"]


@pytest.mark.parametrize(
    ("least", "most", "limit", "expected"),
    [
        (7, 12, None, (7, 12)),
        (5, 5, None, (5, 5)),
        (10, 10, None, (8, 12)),
        (30, 39, LIMIT, (28, 36)),
        (38, 40, LIMIT, (28, 36)),
    ],
)
def test_a_range_that_a_writer_can_keep(least, most, limit, expected):
    assert word_range(least, most, limit) == expected


def test_like_lengths_have_one_range():
    ranges = {length: range_around(length, None) for length in range(1, 200)}
    assert all(least <= length <= most for length, (least, most) in ranges.items())
    assert len(set(ranges.values())) < 20
    assert range_around(39, LIMIT) == (28, 36)
