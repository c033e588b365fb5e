"""Splits: their sizes, what stays together, and that they are the same everywhere."""

from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from targen.hashing import rng, short_id
from targen.release.rows import finished
from targen.release.splits import SPLITS, assign, divide, together
from tests.support.samples import corrected, corrected_of, instances_of
from tests.support.specs import real_task

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
WORDS = [
    f"{a}{b}" for a in ("ka", "lo", "mi", "tu", "re", "so") for b in ("ban", "dor", "fel", "gim")
]


def note(seed: object) -> str:
    random = rng("a note", seed)
    return " ".join(random.choice(WORDS) for _ in range(20))


def rows_of(count: int) -> pl.DataFrame:
    spec = real_task("rte")
    rows = [
        {"premise": note([n, 1]), "hypothesis": note([n, 2]),
         "label": ("entailment", "not_entailment")[n % 2]}
        for n in range(count)
    ]  # fmt: skip
    return finished(spec, corrected(spec, rows))


def ids(parts: dict[str, pl.DataFrame]) -> dict[str, set[str]]:
    return {name: set(part["instance_id"]) for name, part in parts.items()}


def test_every_row_is_in_one_split_and_labels_are_shared_out_evenly():
    rows = rows_of(400)
    parts = divide(real_task("rte"), rows)
    assert {name: part.height for name, part in parts.items()} == {
        "train": 320, "validation": 40, "test": 40,
    }  # fmt: skip
    assert pl.concat(parts.values()).sort("instance_id").equals(rows.sort("instance_id"))
    for name, part in parts.items():
        counts = Counter(part["label"])
        assert max(counts.values()) - min(counts.values()) <= 2, name
        assert part["instance_id"].is_sorted()


def test_which_rows_go_where_is_neither_their_order_nor_their_place():
    rows = rows_of(100)
    spec = real_task("rte")
    straight, mixed = divide(spec, rows), divide(spec, rows.reverse())
    assert ids(straight) == ids(mixed)
    # A block at the end would hold the latest rows only.
    places = [int(row, 16) for row in straight["test"]["instance_id"]]
    assert min(places) < 50 <= max(places)


def test_near_and_exact_duplicates_stay_together():
    spec = real_task("rte")
    base = [
        {"premise": note(n), "hypothesis": note([n, "h"]), "label": "entailment"} for n in range(40)
    ]
    near = [{**row, "premise": row["premise"] + " x"} for row in base]
    same = [{**row, "premise": row["premise"].upper()} for row in base]
    rows = finished(spec, corrected(spec, base + near + same))
    groups = together(spec, rows)
    assert groups == [*range(40), *range(40), *range(40)]
    parts = divide(spec, rows)
    of = {row: name for name, part in parts.items() for row in part["instance_id"]}
    names = [of[row] for row in rows["instance_id"]]
    assert names[:40] == names[40:80] == names[80:]
    assert set(names) == set(SPLITS)


def test_pairs_and_rows_of_one_seed_stay_together():
    spec, rows = corrected_of("axg")
    assert together(spec, finished(spec, rows)) == [0, 0, 2, 2]
    spec, rows = real_task("rte"), rows_of(6)
    instances = instances_of(spec, rows, seeds=["a", "b", "a", "c", "b", "d"])
    assert together(spec, rows, instances) == [0, 1, 0, 3, 1, 5]
    assert together(spec, rows) == [*range(6)]


def test_rows_of_a_method_without_seeds_are_not_one_group():
    spec, rows = real_task("rte-data-creator"), rows_of(6)
    bare = spec.model_copy(update={"seeds": None})
    assert together(bare, rows, instances_of(bare, rows, seeds=["one"] * 6)) == [*range(6)]


def test_a_split_without_a_row_is_left_out():
    parts = divide(real_task("rte"), rows_of(2))
    assert list(parts) == ["train"] and parts["train"].height == 2


def test_only_the_splits_of_the_task():
    spec = real_task("rte")
    halves = spec.release.model_copy(update={"splits": {"test": 0.5, "train": 0.5}})
    parts = divide(spec.model_copy(update={"release": halves}), rows_of(10))
    assert {name: part.height for name, part in parts.items()} == {"train": 5, "test": 5}


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=60),
    labels=st.integers(1, 4),
    share=st.sampled_from([0.5, 0.6, 0.8, 0.9]),
)
def test_shares_are_kept_to_within_the_largest_group(sizes, labels, share):
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    names = [short_id(["row", n]) for n in range(len(groups))]
    strata = [str(n % labels) for n in range(len(groups))]
    shares = {"train": share, "validation": (1 - share) / 2, "test": (1 - share) / 2}
    chosen = assign(names, groups, strata, shares)
    by_group = {}
    for group, name in zip(groups, chosen, strict=True):
        assert by_group.setdefault(group, name) == name
    for name, part in shares.items():
        assert abs(chosen.count(name) - part * len(groups)) <= max(sizes) + 1
