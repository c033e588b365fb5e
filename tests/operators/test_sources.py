"""Contexts and seeds of slots: rounds, contexts without seeds, and what a number of slots needs."""

import json
from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from targen.operators.sources import SourcePlan, Turns, contexts_needed, first_contexts
from targen.steps import CONTEXTS, SEEDS, frame, schema
from tests.support.specs import MOOD, real_task, spec_of

NO_SEEDS = [{"seed_id": "n", "context_id": None, "kind": "none", "fields": "{}", "attributes": []}]


def contexts(count: int) -> pl.DataFrame:
    rows = [
        {"context_id": f"c{n}", "text": f"place {n}", "attributes": [], "term_ids": []}
        for n in range(count)
    ]
    return frame(rows, schema(CONTEXTS, {}))


def seeds(**count: int) -> pl.DataFrame:
    """Return a table with this many seeds of each context; `none` for seeds without a context."""
    rows = [
        {
            "seed_id": f"{name} {n}",
            "context_id": None if name == "none" else name,
            "kind": "sentence",
            "fields": json.dumps({"event": f"{name} {n}"}),
            "attributes": [],
        }
        for name, many in count.items()
        for n in range(many)
    ]
    return frame(rows, schema(SEEDS, {}))


def test_rounds_grow_by_one_context_every_second_round():
    turns = Turns(100, 4)
    assert [turns[n][0] for n in range(24)] == [*[0, 1, 2, 3] * 2, *[0, 1, 2, 3, 4] * 2, *range(6)]
    assert turns[17] == (4, 1)
    assert turns[23] == (5, 0)


def test_contexts_grow_with_the_square_root_of_the_slots():
    assert [contexts_needed(n, 4) for n in (1, 3, 4, 12, 13, 24, 134, 1250)] == [
        *(1, 3, 4, 4, 5, 6),
        *(12, 35),
    ]
    for slots in (100, 1_000, 10_000):
        assert 0.95 < contexts_needed(slots, 4) / slots**0.5 < 1.15


@given(st.integers(1, 400), st.integers(1, 9))
def test_the_needed_contexts_are_those_that_have_turns(slots, first):
    needed = contexts_needed(slots, first)
    counts = Turns(needed + 5, first).seeds_needed(slots)
    assert sum(counts) == slots
    assert all(counts[:needed])
    assert not any(counts[needed:])


@given(st.sampled_from([1, 2, 4]), st.integers(1, 200), st.integers(1, 200), st.data())
def test_contexts_that_fewer_slots_do_not_reach_do_not_matter(first, few, more, data):
    """For few slots, contexts that are not asked for have no seeds either."""
    count = contexts_needed(few + more, first)
    reached = contexts_needed(few, first)
    empty = data.draw(st.sets(st.integers(0, reached - 1), max_size=reached - 1))
    small = Turns(count, first, empty | set(range(reached, count)))
    large = Turns(count, first, empty)
    assert [small[n] for n in range(few)] == [large[n] for n in range(few)]


@given(st.integers(1, 12), st.sampled_from([None, 1, 4]), st.integers(1, 300), st.data())
def test_every_context_gives_its_turns_in_order_and_empty_ones_none(count, first, slots, data):
    empty = data.draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
    turns = Turns(count, first, empty)
    seen = Counter()
    for slot in range(slots):
        index, turn = turns[slot]
        assert index not in empty
        assert turn == seen[index]
        seen[index] += 1
    assert [seen[n] for n in range(count)] == turns.seeds_needed(slots)


def test_a_context_without_seeds_moves_no_other_context():
    whole, without = Turns(20, 4), Turns(20, 4, [2])
    for slot in range(200):
        if whole[slot][0] != 2:
            assert whole[slot][0] == without[slot][0]
    assert len({without[slot][0] for slot in range(200) if whole[slot][0] == 2}) > 3


def test_more_contexts_and_seeds_keep_the_sources_of_the_slots_that_were_there():
    small = SourcePlan(contexts(6), seeds(c0=7, c1=7, c3=8, c4=5, c5=2), first=4)
    large = SourcePlan(
        contexts(12), seeds(c0=9, c1=9, c3=12, c4=9, c5=8, c6=5, c7=5, c9=1), first=4
    )
    assert [small[n] for n in range(24)] == [large[n] for n in range(24)]


def test_a_fixed_count_uses_all_contexts_in_every_round():
    plan = SourcePlan(contexts(5), frame(NO_SEEDS, schema(SEEDS, {})))
    assert [plan[n].context_id for n in range(12)] == [f"c{n % 5}" for n in range(12)]
    assert not plan.seeded


def test_fewer_contexts_than_planned_are_used_evenly():
    plan = SourcePlan(contexts(3), seeds(c0=30, c1=30, c2=30), first=4)
    assert Counter(plan[n].context_id for n in range(60)) == {"c0": 20, "c1": 20, "c2": 20}
    assert len({plan[n].seed_id for n in range(60)}) == 60


def test_seeds_are_reused_when_they_run_out():
    plan = SourcePlan(contexts(1), seeds(c0=2), first=4)
    assert [(plan[n].seed_id, plan[n].again) for n in range(5)] == [
        ("c0 0", 0),
        ("c0 1", 0),
        ("c0 0", 1),
        ("c0 1", 1),
        ("c0 0", 2),
    ]


def test_seeds_of_no_context_serve_all_contexts_in_order():
    plan = SourcePlan(contexts(3), seeds(none=4))
    assert [plan[n].seed_id for n in range(5)] == ["none 0", "none 1", "none 2", "none 3", "none 0"]
    assert [plan[n].context_id for n in range(4)] == ["c0", "c1", "c2", "c0"]


def test_a_context_of_its_own_stays_with_its_slot_without_a_seed():
    plan = SourcePlan(contexts(4), seeds(c0=1, c1=1, c3=1), per_slot=True)
    assert [plan[n].context_id for n in range(4)] == ["c0", "c1", "c2", "c3"]
    assert [plan[n].seed_id for n in range(4)] == ["c0 0", "c1 0", None, "c3 0"]


def test_the_recipe_says_whether_contexts_grow(tmp_path):
    assert first_contexts(spec_of(tmp_path, MOOD)) is None
    assert first_contexts(spec_of(tmp_path, MOOD.replace("count: 2", "first: 3"))) == 3
    assert first_contexts(real_task("stories")) is None
