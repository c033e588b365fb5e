"""Which values to draw: sequences of combinations that cover every dimension evenly."""

from collections.abc import Sequence
from functools import lru_cache
from math import lcm
from typing import Any, Literal

from targen.hashing import rng

Design = Literal["shuffled", "latin-hypercube", "grid"]


@lru_cache(maxsize=4096)
def _permutation(size: int, *seed: Any) -> tuple[int, ...]:
    return tuple(rng("design", size, *seed).sample(range(size), size))


def point(
    design: Design, sizes: Sequence[int], number: int, block: int, *seed: Any
) -> tuple[int, ...]:
    """Return the `number`-th combination, one index for each dimension, index d below sizes[d].

    Args:
        design: `shuffled`: each dimension takes its values in permuted rounds, independently of
            the others. `latin-hypercube`: in each block of `block` points every dimension is cut
            into `block` equal strata, of which each holds one point (McKay, Beckman and Conover,
            1979). `grid`: each combination once before any comes twice.
        sizes: number of values of each dimension, each at least 1.
        number: from 0; nothing but it, the sizes and the seed decides the point.
        block: points in one Latin hypercube.
        seed: what else the order follows from.

    No two neighbouring points follow the product order. With `shuffled` and `grid`, at every
    prefix, any two values of a dimension have come equally often to within one.
    """
    if design == "shuffled":
        return tuple(_in_rounds(size, number, d, *seed) for d, size in enumerate(sizes))
    if design == "latin-hypercube":
        places = latin(sizes, number, block, *seed)
        return tuple(int(x * size) for x, size in zip(places, sizes, strict=True))
    return _on_grid(sizes, number, *seed)


def _in_rounds(size: int, number: int, *seed: Any) -> int:
    turn, place = divmod(number, size)
    return _permutation(size, *seed, turn)[place]


def latin(sizes: Sequence[int], number: int, block: int, *seed: Any) -> tuple[float, ...]:
    """Return the `number`-th point of Latin hypercubes in [0, 1)^d, `block` points each."""
    turn, place = divmod(number, block)
    jitter = rng("latin", *seed, number)
    return tuple(
        (_permutation(block, *seed, d, turn)[place] + jitter.random()) / block
        for d in range(len(sizes))
    )


def _on_grid(sizes: Sequence[int], number: int, *seed: Any) -> tuple[int, ...]:
    """Walk the grid along diagonals, with each dimension's values in an order of this round.

    The first k dimensions together are a sequence of P combinations; the next, of n values, is
    laid along it shifted by one after each lcm(P, n) steps. By the Chinese remainder theorem the
    P n pairs all differ.
    """
    total = 1
    for size in sizes:
        total *= size
    turn, rest = divmod(number, total)
    places: list[int] = []
    for d in range(len(sizes) - 1, 0, -1):
        inner = total // sizes[d]
        places.append((rest + rest // lcm(inner, sizes[d])) % sizes[d])
        rest, total = rest % inner, inner
    places.append(rest)
    places.reverse()
    return tuple(
        _permutation(size, *seed, d, turn)[place]
        for d, (size, place) in enumerate(zip(sizes, places, strict=True))
    )
