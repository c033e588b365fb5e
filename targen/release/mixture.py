"""Draws a weighted mixture of rows from several tasks."""

from collections.abc import Mapping, Sequence

from targen.errors import TargenError
from targen.hashing import short_id

Drawn = list[tuple[str, int]]
"""Task and number of the row in it."""


def mix(
    ids: Mapping[str, Sequence[str]],
    weights: Mapping[str, float] | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> Drawn:
    """Return which rows make the mixture, in its order; no row is taken twice.

    Which rows of a task are taken, and where they stand, follows from a hash of the seed and
    their ids: raising the number of rows adds rows and takes none away.

    Args:
        ids: task -> ids of its rows.
        weights: task -> share of the mixture, in any unit; without them every task gives in
            proportion to what it has.
        rows: how many rows in all; by default the most that the weights allow, and without
            weights all.
        seed: another seed, another choice and order.

    Raises:
        TargenError: a task has not enough rows, or there is none at all.
    """
    shares = dict(weights) if weights is not None else {task: float(len(ids[task])) for task in ids}
    counts = _counts({task: len(ids[task]) for task in ids}, shares, rows)
    drawn = []
    for task, count in counts.items():
        order = sorted(
            (short_id(["mixture", seed, task, row_id]), number)
            for number, row_id in enumerate(ids[task])
        )
        drawn += [(key, task, number) for key, number in order[:count]]
    return [(task, number) for _, task, number in sorted(drawn)]


def _counts(
    have: Mapping[str, int], shares: Mapping[str, float], rows: int | None
) -> Mapping[str, int]:
    total = sum(shares.values())
    if not total:
        raise TargenError(f"None of {', '.join(have)} has a row to mix.")
    # What the scarcest task allows; a hair more, so that 3 / 0.3 is 10 rows and not 9.
    most = min(int(have[task] * total / share + 1e-9) for task, share in shares.items() if share)
    if rows is not None and rows > most:
        scarce = min((t for t in shares if shares[t]), key=lambda t: have[t] / shares[t])
        raise TargenError(
            f"{rows} rows with these weights need more rows of {scarce} than the {have[scarce]} "
            f"there are: ask for at most {most} rows, or give {scarce} less weight."
        )
    wanted = most if rows is None else rows
    exact = {task: wanted * share / total for task, share in shares.items()}
    counts = {task: int(share + 1e-9) for task, share in exact.items()}
    behind = sorted(counts, key=lambda task: (counts[task] - exact[task], task))
    for task in behind[: wanted - sum(counts.values())]:
        counts[task] += 1
    return {task: min(count, have[task]) for task, count in counts.items()}
