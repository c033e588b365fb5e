"""Weights of the votes of several readers, from their agreement with each other.

Model: reader r names the true label with probability a[r], and otherwise any other label with equal
probability; readers err independently. It is the model of Dawid and Skene (1979, Maximum likelihood
estimation of observer error-rates using the EM algorithm, Applied Statistics 28:20-28) with one
parameter per reader, as in Li, Yu and Zhou (2013, arXiv 1307.2674). One parameter can be estimated
from few rows, also if each row has choices of its own.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

MISSING: Final = -1
"""A vote that was not given."""

PRIOR: Final = (3.0, 1.0)
"""Right and wrong readings that every reader is given in advance. They keep the weights nearly
equal until there are enough rows, and an accuracy of 1 out of reach."""

FIRST_BLOCK: Final = 16
MOST_SLOTS: Final = 1024
"""Rows in the first `FIRST_BLOCK` slots have equal weights. Later blocks double in size, and each
uses weights from all slots before it, up to `MOST_SLOTS`."""

_ROUNDS: Final = 500
_TOLERANCE: Final = 1e-9
_DIGITS: Final = 4
"""Accuracies and weights are rounded, so that they are equal on every machine."""

Votes = npt.NDArray[np.int64]


def accuracies(votes: Votes, options: Votes) -> list[float]:
    """Return the accuracy of each reader, estimated by expectation maximization.

    Starts from the shares of votes, so that the label with most votes is the most likely one.

    Args:
        votes: number of the label that each reader gave, (rows, readers); `MISSING` if none.
        options: number of possible labels of each row, (rows,).
    """
    right, wrong = PRIOR
    if not votes.size:
        return [round(right / (right + wrong), _DIGITS)] * votes.shape[1]
    labels = np.arange(max(int(options.max()), 2))
    given = votes[:, :, None] == labels
    voted = votes != MISSING
    possible = labels < options[:, None]
    belief = given.sum(axis=1) / np.maximum(voted.sum(axis=1), 1)[:, None]
    found = np.zeros(votes.shape[1])
    for _ in range(_ROUNDS):
        hits = (belief[:, None, :] * given).sum(axis=(0, 2))
        found = (hits + right) / (voted.sum(axis=0) + right + wrong)
        others = np.maximum(options - 1, 1)[:, None]
        hit, miss = np.log(found)[None], np.log((1 - found)[None] / others)
        logs = np.where(voted[:, :, None], np.where(given, hit[..., None], miss[..., None]), 0.0)
        score = np.where(possible, logs.sum(axis=1), -np.inf)
        shares = np.exp(score - score.max(axis=1, keepdims=True))
        previous, belief = belief, shares / shares.sum(axis=1, keepdims=True)
        if float(np.abs(belief - previous).max()) < _TOLERANCE:
            break
    return [round(float(value), _DIGITS) for value in found]


def weight(accuracy: float, options: int) -> float:
    """Return the weight of a vote: log(a (k - 1) / (1 - a)), at least 0.

    It is the log-likelihood ratio of the label that was given to any other. A reader that is not
    better than chance has no weight.
    """
    if options < 2:
        return 0.0
    ratio = accuracy * (options - 1) / (1 - accuracy)
    return round(max(0.0, math.log(ratio)), _DIGITS)


def best(votes: Sequence[tuple[str, float]], options: int) -> tuple[str | None, float]:
    """Return the label with the greatest sum of weights, and its probability.

    All labels are equally likely in advance. The label is None if several have the greatest sum or
    no vote has a weight.
    """
    sums: dict[str, float] = {}
    for label, value in votes:
        sums[label] = round(sums.get(label, 0.0) + value, _DIGITS)
    if not sums or max(sums.values()) <= 0:
        return None, 0.0
    ranked = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))
    label, top = ranked[0]
    total = sum(math.exp(value - top) for value in sums.values())
    total += max(0, options - len(sums)) * math.exp(-top)
    tie = len(ranked) > 1 and ranked[1][1] == top
    return (None if tie else label), round(1 / total, _DIGITS)


def block_of(slot: int) -> int:
    """Return the first slot whose rows do not count for the weights of this slot's row.

    A larger data set has the same rows in earlier slots, so its rows keep their labels.
    """
    end = 0
    size = FIRST_BLOCK
    while size <= min(slot, MOST_SLOTS):
        end, size = size, size * 2
    return end


def by_block(
    slots: Sequence[int], votes: Votes, options: Sequence[int]
) -> Mapping[int, list[float]]:
    """Return block -> accuracy of each reader, for the blocks of these slots; see `block_of`."""
    numbers, kinds = np.asarray(slots, dtype=np.int64), np.asarray(options, dtype=np.int64)
    found = {}
    for end in sorted({block_of(slot) for slot in slots}):
        earlier = numbers < end
        found[end] = accuracies(votes[earlier], kinds[earlier])
    return found
