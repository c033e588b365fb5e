"""Mixtures: shares, repeatability, and what is too much to ask."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targen.errors import TargenError
from targen.hashing import short_id
from targen.release.splits import mix

IDS = {task: [short_id([task, n]) for n in range(size)] for task, size in
       {"a": 100, "b": 60, "c": 30}.items()}  # fmt: skip


def counts(drawn):
    return {task: sum(name == task for name, _ in drawn) for task in IDS}


def test_the_scarcest_task_sets_the_size():
    drawn = mix(IDS, {"a": 2, "b": 1, "c": 1})
    assert counts(drawn) == {"a": 60, "b": 30, "c": 30}
    assert len(set(drawn)) == len(drawn)


def test_without_weights_all_rows_are_there():
    assert counts(mix(IDS)) == {"a": 100, "b": 60, "c": 30}
    assert counts(mix(IDS, rows=19)) == {"a": 10, "b": 6, "c": 3}


def test_tasks_are_mixed_and_not_one_after_the_other():
    tasks = [task for task, _ in mix(IDS, {"a": 1, "b": 1, "c": 1})]
    assert sum(x != y for x, y in pairwise(tasks)) > 30


def test_a_seed_is_a_choice_and_more_rows_keep_those_before():
    weights = {"a": 1, "b": 1, "c": 1}
    assert mix(IDS, weights, 30) == mix(IDS, weights, 30)
    assert set(mix(IDS, weights, 30)) < set(mix(IDS, weights, 60))
    assert set(mix(IDS, weights, 30, seed=1)) != set(mix(IDS, weights, 30))


def test_too_many_rows_are_an_error_that_says_how_many_there_can_be():
    with pytest.raises(
        TargenError, match="more rows of c than it has \\(30\\). Request at most 120"
    ):
        mix(IDS, {"a": 2, "b": 1, "c": 1}, 121)
    assert len(mix(IDS, {"a": 2, "b": 1, "c": 1}, 120)) == 120


def test_nothing_to_mix_is_an_error():
    with pytest.raises(TargenError, match="None of a has any rows"):
        mix({"a": []})


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=4),
    weights=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    part=st.floats(0.01, 1),
)
def test_the_weights_are_kept_to_within_a_row(sizes, weights, part):
    ids = {str(t): [short_id([t, n]) for n in range(size)] for t, size in enumerate(sizes)}
    shares = {task: float(weights[int(task)]) for task in ids}
    rows = max(1, int(part * len(mix(ids, shares)))) if mix(ids, shares) else 0
    drawn = mix(ids, shares, rows)
    assert len(drawn) == rows
    for task, share in shares.items():
        exact = rows * share / sum(shares.values())
        assert abs(sum(name == task for name, _ in drawn) - exact) <= 1
