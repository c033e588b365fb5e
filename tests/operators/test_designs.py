"""The designs: even in every dimension, each combination once, strata as scipy has them."""

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc

from targen.operators.draw import latin, point

SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=4)


def points(design, sizes, count, block=60, seed="s"):
    return [point(design, sizes, n, block, seed) for n in range(count)]


@given(st.sampled_from(["shuffled", "grid"]), SIZES, st.integers(1, 200))
def test_every_prefix_is_even_in_every_dimension(design, sizes, count):
    drawn = points(design, sizes, count)
    for d, size in enumerate(sizes):
        times = Counter(p[d] for p in drawn)
        counts = [times[value] for value in range(size)]
        assert max(counts) - min(counts) <= 1


@given(SIZES)
def test_the_grid_holds_each_combination_once_a_round(sizes):
    every = set(product(*map(range, sizes)))
    drawn = points("grid", sizes, 2 * len(every))
    assert set(drawn[: len(every)]) == every
    assert set(drawn[len(every) :]) == every


def test_the_grid_by_hand():
    """Two by three, orders taken as they are: diagonals, then the second shifted by one."""
    sizes = [2, 4]
    raw = [(n % 2, (n + n // 4) % 4) for n in range(8)]
    assert raw == [(0, 0), (1, 1), (0, 2), (1, 3), (0, 1), (1, 2), (0, 3), (1, 0)]
    drawn = points("grid", sizes, 8)
    first, second = ({a[d]: b[d] for a, b in zip(raw, drawn, strict=True)} for d in (0, 1))
    assert drawn == [(first[a], second[b]) for a, b in raw]


@pytest.mark.parametrize("design", ["shuffled", "grid", "latin-hypercube"])
def test_neighbours_are_not_in_product_order(design):
    drawn = points(design, [6, 7, 8], 300)
    alike = sum(sum(a == b for a, b in zip(p, q, strict=True)) >= 2 for p, q in pairwise(drawn))
    assert alike < 30  # in product order, 7 of 8 neighbours share two of three values


@pytest.mark.parametrize("block", [8, 60])
def test_latin_hypercubes_have_the_strata_of_scipy(block):
    """One point in each stratum of each dimension, in every block, as scipy's own sampler has."""
    theirs = qmc.LatinHypercube(d=3, rng=np.random.default_rng(1)).random(block)
    for start in (0, block, 2 * block):
        ours = np.array([latin([5, 6, 7], n, block, "s") for n in range(start, start + block)])
        for sample in (ours, theirs):
            strata = np.sort(np.floor(sample * block).astype(int), axis=0)
            assert (strata == np.arange(block)[:, None]).all()


def test_latin_hypercubes_spread_as_well_as_scipy_s_and_better_than_chance():
    def spread(samples):
        return np.mean([qmc.discrepancy(sample) for sample in samples])

    ours = [np.array([latin([9, 9], n, 40, "s", i) for n in range(40)]) for i in range(20)]
    theirs = [qmc.LatinHypercube(d=2, rng=np.random.default_rng(i)).random(40) for i in range(20)]
    chance = [np.random.default_rng(i).random((40, 2)) for i in range(20)]
    assert spread(ours) < 0.6 * spread(chance)
    assert spread(ours) == pytest.approx(spread(theirs), rel=0.25)


def test_a_block_of_sixty_is_exactly_even_for_divisors_of_sixty():
    drawn = points("latin-hypercube", [4, 10], 120)
    for block in (drawn[:60], drawn[60:]):
        assert set(Counter(p[0] for p in block).values()) == {15}
        assert set(Counter(p[1] for p in block).values()) == {6}


def test_another_seed_is_another_order():
    assert points("shuffled", [9, 9], 9) != points("shuffled", [9, 9], 9, seed="t")
