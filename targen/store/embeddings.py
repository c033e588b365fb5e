"""Vectors in the completion store: packing, reading and writing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

import targen
from targen.errors import StoreError
from targen.store.completions import CHUNK, Store, now, pack, unpack
from targen.store.ledger import insert
from targen.store.schema import EMBEDDINGS

Vector = npt.NDArray[np.float32]


def read(store: Store, keys: Sequence[str]) -> dict[str, Vector]:
    """Return the stored vectors by key; keys that the store does not have are omitted.

    Raises:
        StoreError: a vector is damaged, or the store cannot be read.
    """
    found: dict[str, Vector] = {}
    of = EMBEDDINGS.c
    with store.read() as connection:
        for start in range(0, len(keys), CHUNK):
            rows = connection.execute(
                sa.select(of.embedding_id, of.dimensions, of.vector).where(
                    of.embedding_id.in_(keys[start : start + CHUNK])
                )
            )
            for key, dimensions, data in rows:
                raw = unpack(data)
                if len(raw) != 4 * dimensions:
                    raise StoreError(
                        f"The stored embedding {key} is damaged. `targen store drop {key}` deletes "
                        "it, and the next run embeds the text again."
                    )
                found[key] = np.frombuffer(raw, dtype="<f4")
    return found


def rows(
    texts: Sequence[tuple[str, str]],
    vectors: npt.NDArray[np.float32],
    tokens: int | None,
    cost: float | None,
    common: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return one row per text; tokens and cost of the request are divided by length of text.

    Args:
        texts: key and text, as sent.
        vectors: one per text.
        tokens: of the request; None if unknown.
        cost: of the request in US dollars; None if unknown.
        common: columns with the same value in all rows.
    """
    ends = np.cumsum([max(len(text), 1) for _, text in texts]) / sum(
        max(len(text), 1) for _, text in texts
    )
    starts = np.concatenate([[0.0], ends[:-1]])
    made = []
    for (key, _), vector, start, end in zip(texts, vectors, starts, ends, strict=True):
        made.append(
            {
                "embedding_id": key,
                "dimensions": int(vector.size),
                "vector": pack(vector.astype("<f4").tobytes()),
                "prompt_tokens": None
                if tokens is None
                else round(end * tokens) - round(start * tokens),
                "cost_usd": None if cost is None else float(end - start) * cost,
                "project_version": targen.__version__,
                **common,
            }
        )
    return made


def put(
    made: Sequence[Mapping[str, Any]], charge: Callable[[sa.Connection], None]
) -> Callable[[sa.Connection], None]:
    """Return the transaction that stores rows and their cost; existing rows are kept."""

    def work(connection: sa.Connection) -> None:
        moment = now(connection)
        connection.execute(
            insert(connection, EMBEDDINGS).on_conflict_do_nothing(),
            [{**row, "created_at": moment} for row in made],
        )
        charge(connection)

    return work
