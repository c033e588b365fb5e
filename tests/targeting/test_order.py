"""Which gaps a round works on, and how many rows each gets."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from targen.targeting.gaps import Gap, harm, propose
from targen.tasks.targets import Avoid, Round

ROWS = 120
IDS = [f"{number:016x}" for number in range(ROWS)]


def a_gap(metric: str, how_bad: float, need: int = 60, **asks: Any) -> Gap:
    rows = range(ROWS)
    return Gap("name", "Why.", metric, "all", 0.9, 0.1, need, rows, how_bad, 0.8, 1.0, asks)


def view_of(rounds: tuple[Round, ...] = (), target_ids: list[str | None] | None = None) -> Any:
    every = np.ones(ROWS, dtype=bool)
    return SimpleNamespace(
        spec=SimpleNamespace(name="t", rounds=rounds, unit=1),
        rows=pl.DataFrame({"instance_id": IDS, "target_id": target_ids or [None] * ROWS}),
        firsts=every,
        unchanged=every,
    )


def counts(*gaps: Gap, rounds: tuple[Round, ...] = ()) -> dict[str, int]:
    return {one.metric: one.count for one in propose(view_of(rounds), [lambda _: list(gaps)])}


@pytest.mark.parametrize(
    ("value", "bound", "worst", "expected"),
    [(0.1, 0.1, 1.0, 0.0), (1.0, 0.1, 1.0, 1.0), (0.05, 0.1, 1.0, 0.0), (2.0, 8.0, 0.0, 0.75)],
)
def test_harm_is_the_way_from_the_bound_to_the_worst(
    value: float, bound: float, worst: float, expected: float
) -> None:
    assert harm(value, bound, worst) == pytest.approx(expected)


def test_a_mild_gap_waits_for_a_bad_one() -> None:
    assert counts(a_gap("bad", 0.9), a_gap("mild", 0.4)) == {"bad": 30}
    assert counts(a_gap("mild", 0.4)) == {"mild": 30}


def test_a_mild_gap_waits_until_the_bad_one_is_closed() -> None:
    found = propose(view_of(), [lambda _: [a_gap("bad", 0.9)]])
    rounds = (Round(report="r", targets=found),)
    narrowed = replace(a_gap("bad", 0.3), value=0.3, low=0.2, high=0.4)
    assert counts(narrowed, a_gap("mild", 0.4), rounds=rounds) == {"bad": 30}
    assert counts(narrowed, a_gap("mild", 0.7), rounds=rounds) == {"mild": 23, "bad": 7}


def test_gaps_that_are_about_as_bad_share_the_round() -> None:
    assert counts(a_gap("bad", 0.9), a_gap("other", 0.6)) == {"bad": 23, "other": 7}


def test_rows_that_close_two_gaps_are_written_first() -> None:
    cue = replace(a_gap("cue", 0.9), rows=range(40), others_count=True)
    both = replace(a_gap("length", 0.6, 20), rows=range(20))
    assert counts(cue, both) == {"length": 20, "cue": 10}
    assert counts(cue, replace(both, rows=range(60, 80))) == {"cue": 23, "length": 7}


def test_more_rows_fit_in_a_round_if_code_makes_them() -> None:
    edit = {"edit": "rename", "avoid": Avoid(names=["Ann Lee"])}
    assert counts(a_gap("bad", 0.9, **edit)) == {"bad": 45}


def test_a_gap_without_a_known_cause_waits_for_those_with_one() -> None:
    vague = replace(a_gap("vague", 0.8), unexplained=True)
    assert counts(vague, a_gap("known", 0.5)) == {"known": 30}
    assert counts(vague, a_gap("mild", 0.3)) == {"vague": 30}


@pytest.mark.parametrize(("asked", "left"), [(29, {"bad": 30}), (58, {"mild": 30})])
def test_a_gap_that_most_of_its_rows_did_not_narrow_makes_room(
    asked: int, left: dict[str, int]
) -> None:
    bad = a_gap("bad", 0.9, need=60)
    (target,) = propose(view_of(), [lambda _: [bad]])
    earlier = Round(report="r", targets=[target.model_copy(update={"count": asked})])
    assert counts(bad, a_gap("mild", 0.3), rounds=(earlier,)) == left


def test_a_gap_that_was_begun_does_not_wait() -> None:
    (target,) = propose(view_of(), [lambda _: [a_gap("mild", 0.3)]])
    earlier = Round(report="r", targets=[target.model_copy(update={"value": 1.0})])
    both = [a_gap("bad", 0.9), a_gap("mild", 0.3)]
    view = view_of((earlier,))
    assert {one.metric for one in propose(view, [lambda _: both])} == {"bad", "mild"}


def test_what_one_round_wrote_is_not_replaced_for_another_gap() -> None:
    (target,) = propose(view_of(), [lambda _: [a_gap("old", 0.9, need=20)]])
    rounds = (Round(report="r", targets=[target.model_copy(update={"value": 1.0})]),)
    view = view_of(rounds, [target.target_id] * 110 + [None] * 10)
    (other,) = propose(view, [lambda _: [a_gap("new", 0.9)]])
    assert other.replaced == IDS[110:]
    (same,) = propose(view, [lambda _: [a_gap("old", 0.9)]])
    assert same.replaced == IDS[:30]
