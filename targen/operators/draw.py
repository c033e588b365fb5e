"""Operator `draw`: contexts drawn from the vocabularies, one per slot."""

from collections.abc import Sequence
from functools import lru_cache
from math import lcm, prod
from typing import Any, Literal

from pydantic import Field

from targen.errors import StepError
from targen.hashing import rng
from targen.lineage import ids
from targen.operators.base import StepInput, StepResult
from targen.operators.plan import Plan, Slot
from targen.steps import ASKED, CONFUSABLE, CONTEXTS, LABEL, VOCABULARIES
from targen.tasks.registry import Params, operator

Design = Literal["shuffled", "latin-hypercube", "grid"]


@lru_cache(maxsize=4096)
def _permutation(size: int, *seed: Any) -> tuple[int, ...]:
    return tuple(rng("design", size, *seed).sample(range(size), size))


def point(
    design: Design, sizes: Sequence[int], number: int, block: int, *seed: Any
) -> tuple[int, ...]:
    """Return the `number`-th combination: one index per dimension, with index d < sizes[d].

    Args:
        design: `shuffled`: each dimension goes through its values in permuted rounds, independently
            of the others. `latin-hypercube`: each block of `block` points splits every dimension
            into `block` equal strata with one point each (McKay, Beckman and Conover, 1979).
            `grid`: every combination occurs once before any is repeated.
        sizes: number of values per dimension, each at least 1.
        number: from 0.
        block: points per Latin hypercube.
        seed: seeds of the order.

    With `shuffled` and `grid`, the counts of any two values of a dimension differ by at most one
    in every prefix.
    """
    if design == "shuffled":
        return tuple(_in_rounds(size, number, d, *seed) for d, size in enumerate(sizes))
    if design == "latin-hypercube":
        points = latin(sizes, number, block, *seed)
        return tuple(int(x * size) for x, size in zip(points, sizes, strict=True))
    return _on_grid(sizes, number, *seed)


def _in_rounds(size: int, number: int, *seed: Any) -> int:
    turn, index = divmod(number, size)
    return _permutation(size, *seed, turn)[index]


def latin(sizes: Sequence[int], number: int, block: int, *seed: Any) -> tuple[float, ...]:
    """Return the `number`-th point of Latin hypercubes in [0, 1)^d, `block` points each."""
    turn, index = divmod(number, block)
    jitter = rng("latin", *seed, number)
    return tuple(
        (_permutation(block, *seed, d, turn)[index] + jitter.random()) / block
        for d in range(len(sizes))
    )


def _on_grid(sizes: Sequence[int], number: int, *seed: Any) -> tuple[int, ...]:
    """Walk the grid along diagonals; each round permutes the values of each dimension again.

    The first k dimensions form a sequence of P combinations. The next dimension, with n values,
    cycles alongside and shifts by one after every lcm(P, n) steps, so that all P n pairs differ
    (Chinese remainder theorem).
    """
    total = prod(sizes)
    turn, rest = divmod(number, total)
    indices: list[int] = []
    for d in range(len(sizes) - 1, 0, -1):
        inner = total // sizes[d]
        indices.append((rest + rest // lcm(inner, sizes[d])) % sizes[d])
        rest, total = rest % inner, inner
    indices.append(rest)
    indices.reverse()
    return tuple(
        _permutation(size, *seed, d, turn)[index]
        for d, (size, index) in enumerate(zip(sizes, indices, strict=True))
    )


Term = tuple[str, str]
"""Term and its id."""


class DrawParams(Params):
    """Parameters of `draw`."""

    design: Design = "shuffled"
    """order of combinations; see `point`."""
    block: int = Field(default=60, ge=2)
    """points per Latin hypercube; the default, 60, has many divisors, so short lists of values are
    drawn exactly evenly."""


class _Dimensions:
    """Values to draw from, by category and label; label None applies to all labels."""

    def __init__(self, step: StepInput) -> None:
        self.values: dict[str, dict[str | None, list[Term]]] = {}
        self.confusable: dict[str | None, list[Term]] = {}
        rows = step.tables[VOCABULARIES].iter_rows(named=True)
        for row in rows:
            if row["category"] in ("none", ASKED):
                continue
            term = (row["term"], row["term_id"])
            if row["category"] == CONFUSABLE:
                self.confusable.setdefault(row["label"], []).append(term)
            else:
                terms = self.values.setdefault(row["category"], {})
                terms.setdefault(row["label"], []).append(term)
        if not self.values:
            raise StepError(
                "the vocabularies contain no terms to draw from; add `vocabularies` to the task"
            )

    def of(self, label: str | None) -> dict[str, list[Term]]:
        """Return category -> terms for a label, including terms that have no label."""
        keys = [None] if label is None else [None, label]
        found = {
            name: [term for key in keys for term in terms.get(key, [])]
            for name, terms in self.values.items()
        }
        return {name: terms for name, terms in found.items() if terms}


@operator(CONTEXTS, "draw", DrawParams, reads=("slots_seeded",), per_slot=True)
async def draw(step: StepInput, params: DrawParams) -> StepResult:
    """Draw one value of every dimension for each slot.

    Values are balanced within each label, so that no value predicts the label. The draw for slot
    i depends only on the values and i: adding rows keeps earlier draws.

    Sources: AttrPrompt (Yu et al., 2023) draws each attribute at random; TinyStories (Eldan and
    Li, 2023) draws one word of each part of speech.

    Raises:
        StepError: the vocabularies contain no terms.
    """
    dimensions = _Dimensions(step)
    plan = Plan(step.spec, step.spec.per_call)
    result = StepResult(asked=step.spec.slots_seeded)
    for number in range(step.spec.slots_seeded):
        slot = plan.slot(number)
        result.rows.append(_context(step, params, dimensions, slot, plan.ordinal(number)))
    return result


def _context(
    step: StepInput, params: DrawParams, dimensions: _Dimensions, slot: Slot, ordinal: int
) -> dict[str, Any]:
    label = slot.label if isinstance(slot.label, str) else None
    terms = dimensions.of(label)
    sizes = [len(found) for found in terms.values()]
    seed = ("draw", step.spec.edition, label, list(terms))
    indices = point(params.design, sizes, ordinal, params.block, str(seed))
    drawn = {name: found[i] for (name, found), i in zip(terms.items(), indices, strict=True)}
    named = {name: term for name, (term, _) in drawn.items()}
    confusable = dimensions.confusable.get(label, [])
    if confusable:
        named[CONFUSABLE] = ", ".join(term for term, _ in confusable)
    text = "; ".join(f"{name}: {term}" for name, term in named.items())
    if slot.label is not None:
        named[LABEL] = slot.label if isinstance(slot.label, str) else ", ".join(slot.label)
    attributes = [{"name": name, "value": value} for name, value in named.items()]
    return {
        "context_id": ids.drawn_context_id(slot.number, text, attributes),
        "text": text,
        "attributes": attributes,
        "term_ids": [term_id for _, term_id in [*drawn.values(), *confusable]],
    }
