"""Weights of votes: the estimate against direct maximization, known error rates, and growth."""

import math

import numpy as np
import pytest
from scipy import optimize

from targen.operators.weights import (
    FIRST_BLOCK,
    MISSING,
    MOST_SLOTS,
    PRIOR,
    accuracies,
    best,
    block_of,
    by_block,
    weight,
)


def votes_of(random, truth, rates, options, missing=0.0):
    """Return the votes of readers that are wrong at these rates, each time with any other label."""
    table = np.empty((truth.size, len(rates)), dtype=np.int64)
    for reader, rate in enumerate(rates):
        shift = random.integers(1, options, truth.size)
        wrong = random.random(truth.size) < rate
        table[:, reader] = np.where(wrong, (truth + shift) % options, truth)
    table[random.random(table.shape) < missing] = MISSING
    return table


def log_posterior(chances, votes, options):
    """Return the log-posterior of the accuracies: a sum over every label that could be true."""
    total = sum(PRIOR[0] * math.log(a) + PRIOR[1] * math.log(1 - a) for a in chances)
    for row, count in zip(votes.tolist(), options.tolist(), strict=True):
        likelihood = 0.0
        for label in range(count):
            product = 1 / count
            for given, a in zip(row, chances, strict=True):
                if given != MISSING:
                    product *= a if given == label else (1 - a) / (count - 1)
            likelihood += product
        total += math.log(likelihood)
    return total


@pytest.mark.parametrize("labels", [2, 4])
def test_the_estimate_is_where_an_optimizer_finds_the_greatest_posterior(labels):
    random = np.random.default_rng(labels)
    truth = random.integers(0, labels, 150)
    votes = votes_of(random, truth, (0.05, 0.2, 0.35, 0.3), labels, missing=0.1)
    options = np.full(truth.size, labels)
    found = accuracies(votes, options)
    best_of = optimize.minimize(
        lambda x: -log_posterior(1 / (1 + np.exp(-x)), votes, options), np.ones(4), method="BFGS"
    )
    assert found == pytest.approx(1 / (1 + np.exp(-best_of.x)), abs=2e-3)


def test_choices_of_each_row_count_for_that_row():
    random = np.random.default_rng(5)
    options = np.array([2, 5] * 60)
    truth = random.integers(0, 2, options.size)
    votes = votes_of(random, truth, (0.1, 0.2, 0.3), 2)
    found = accuracies(votes, options)
    best_of = optimize.minimize(
        lambda x: -log_posterior(1 / (1 + np.exp(-x)), votes, options), np.ones(3), method="BFGS"
    )
    assert found == pytest.approx(1 / (1 + np.exp(-best_of.x)), abs=2e-3)


@pytest.mark.parametrize("seed", range(5))
def test_one_good_reader_among_weak_ones_beats_the_majority(seed):
    random = np.random.default_rng(seed)
    truth, rates = random.integers(0, 2, 400), (0.05, 0.3, 0.35, 0.4, 0.15)
    votes = votes_of(random, truth, rates, 2)
    found = accuracies(votes, np.full(400, 2))
    assert found == pytest.approx([1 - rate for rate in rates], abs=0.07)
    weights = [weight(a, 2) for a in found]
    panel = [best([(str(v), w) for v, w in zip(row, weights, strict=True)], 2)[0] for row in votes]
    right = np.mean([label == str(t) for label, t in zip(panel, truth, strict=True)])
    majority = np.mean((votes.sum(axis=1) > 2) == truth)
    assert right > majority + 0.02


def test_a_few_rows_change_the_weights_little():
    assert accuracies(np.empty((0, 3), dtype=np.int64), np.empty(0, dtype=np.int64)) == [0.75] * 3
    few = accuracies(np.array([[0, 0, 1]]), np.array([2]))
    assert max(few) - min(few) < 0.25 and max(few) < 0.82


def test_weights_are_log_likelihood_ratios_and_never_negative():
    assert weight(0.9, 2) == pytest.approx(math.log(9), abs=1e-4)
    assert weight(0.9, 4) == pytest.approx(math.log(27), abs=1e-4)
    assert weight(0.5, 2) == weight(0.3, 2) == weight(0.9, 1) == 0


def test_the_probability_counts_labels_without_a_vote():
    label, chance = best([("a", math.log(9)), ("b", math.log(3))], 4)
    assert label == "a" and chance == pytest.approx(9 / (9 + 3 + 1 + 1), abs=1e-3)
    assert best([("a", 1.0), ("b", 1.0)], 2) == (None, 0.5)
    assert best([("a", 0.0)], 2) == (None, 0.0)
    assert best([], 2) == (None, 0.0)


def test_a_row_uses_earlier_blocks_only_so_that_growing_keeps_its_weights():
    assert [block_of(n) for n in (0, 15, 16, 31, 32, 63, 64)] == [0, 0, 16, 16, 32, 32, 64]
    assert block_of(MOST_SLOTS) == block_of(10**9) == MOST_SLOTS
    random = np.random.default_rng(1)
    votes = votes_of(random, random.integers(0, 2, 200), (0.1, 0.3, 0.4), 2)
    large = by_block(range(200), votes, [2] * 200)
    for rows in (1, FIRST_BLOCK, 40, 77, 130):
        small = by_block(range(rows), votes[:rows], [2] * rows)
        assert small == {end: large[end] for end in small}
