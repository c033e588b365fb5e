"""The plan: balanced at every prefix, and the same whatever the number of rows."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targen.operators.plan import Plan
from tests.support.specs import real_task

TASKS = ("rte", "cb", "copa", "ticket_urgency", "record")


@given(st.sampled_from(TASKS), st.integers(1, 300))
def test_labels_are_balanced_at_every_prefix(name, slots):
    plan = Plan(real_task(name), 5)
    counts = Counter(plan.slot(n).label for n in range(slots))
    assert max(counts.values()) - min(counts.values()) <= (1 if len(counts) > 1 else slots)


def test_planned_values_are_balanced_within_each_label():
    plan = Plan(real_task("copa"), 5)
    slots = [plan.slot(n) for n in range(101)]
    for label in ("0", "1"):
        counts = Counter(s.planned["question"] for s in slots if s.label == label)
        assert abs(counts["cause"] - counts["effect"]) <= 1


def test_labels_come_in_no_fixed_order():
    plan = Plan(real_task("rte"), 5)
    firsts = Counter(plan.slot(2 * block).label for block in range(200))
    assert min(firsts.values()) > 60


@given(st.sampled_from(TASKS), st.integers(0, 500), st.integers(1, 7))
def test_a_group_holds_its_slot_and_consecutive_slots_of_its_label(name, number, per_call):
    plan = Plan(real_task(name), per_call)
    group = plan.group_of(number)
    numbers = [slot.number for slot in group.slots]
    assert number in numbers
    assert len(numbers) == (per_call if plan.ordinal(number) >= 12 else min(per_call, 3))
    assert {slot.label for slot in group.slots} == {group.label}
    between = [n for n in range(numbers[0], numbers[-1]) if plan.slot(n).label == group.label]
    assert between == numbers[:-1]


@given(st.integers(1, 120), st.integers(1, 120))
def test_more_rows_keep_the_groups_of_fewer(few, more):
    plan = Plan(real_task("cb"), 5)
    small, large = sorted((few, more))
    assert all(group in plan.groups(range(large)) for group in plan.groups(range(small)))
    covered = [s.number for g in plan.groups(range(large)) for s in g.slots]
    assert len(covered) == len(set(covered))
    assert set(range(large)) <= set(covered)


def test_the_first_calls_of_a_label_are_small_whatever_the_number_of_rows():
    plan = Plan(real_task("rte"), 5)
    sizes = [len(g.slots) for g in plan.groups(range(60)) if g.label == "entailment"]
    assert sizes == [3, 3, 3, 3, 5, 5, 5, 5]
    assert [len(g.slots) for g in Plan(real_task("rte"), 2).groups(range(20))] == [2] * 10


@pytest.mark.parametrize(
    ("name", "rows", "wanted", "most"),
    [
        ("ticket_urgency", 12, 24, 24),  # four labels: two calls of three slots each
        ("rte", 12, 24, 24),
        ("rte", 100, 113, 114),
        ("rte", 1000, 1125, 1134),
        ("axg", 12, 12, 12),  # pairs: 12 slots are 24 rows
        ("record", 12, 14, 17),  # a span: one group of three after another, then of five
        ("stories-annotated", 12, 24, 24),  # several labels, one slot a call
        ("stories", 12, 12, 14),  # nothing is dropped: an eighth more, to replace what fails
    ],
)
def test_slots_are_those_of_whole_calls(name, rows, wanted, most):
    spec = real_task(name, rows)
    assert (spec.slots_wanted, spec.slots_at_most, spec.slots_seeded) == (wanted, most, most)
    groups = Plan(spec, spec.per_call).groups(range(spec.slots_wanted))
    assert max(slot.number for group in groups for slot in group.slots) < most
    whole = Plan(spec, spec.per_call).groups(range(most))
    assert sum(len(group.slots) for group in whole) == most


def test_the_edition_makes_another_plan():
    spec = real_task("rte")
    later = spec.model_copy(update={"edition": 1})
    assert [Plan(spec, 5).slot(n).label for n in range(50)] != [
        Plan(later, 5).slot(n).label for n in range(50)
    ]
