"""Requests the embeddings of a report's rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.errors import NoEmbeddingsError
from targen.quality.inputs import Embedded, ReportInputs
from targen.quality.text import Ints, generator, joined

ROWS = 10_000
"""Maximum number of rows to embed: more rows cost money and hardly narrow the interval."""


class Embedder(Protocol):
    """A deterministic embedding model."""

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return one vector per text, (texts, dimensions).

        Raises:
            NoEmbeddingsError: there are none.
        """
        ...


async def with_embeddings(inputs: ReportInputs, embedder: Embedder, model: str) -> ReportInputs:
    """Return the inputs with vectors of their rows and of the reference, if available.

    A row's text is that of all its text fields, one below the other.

    Args:
        inputs: without embeddings.
        embedder: the embedding model.
        model: its name, for the page.

    Raises:
        EndpointError: the endpoint cannot be used at all.
        BudgetError: the budget is used up.
    """
    if not inputs.text_fields:
        return replace(inputs, no_embeddings="the task has no text field")
    chosen = [_chosen(frame) for frame in (inputs.rows, inputs.reference) if frame is not None]
    frames = [frame for frame in (inputs.rows, inputs.reference) if frame is not None]
    texts = [
        joined(frame[rows], inputs.text_fields).fill_null("").to_list()
        for frame, rows in zip(frames, chosen, strict=True)
    ]
    try:
        vectors = await embedder.embed([text for some in texts for text in some])
    except NoEmbeddingsError as error:
        return replace(inputs, no_embeddings=str(error))
    mine = Embedded(vectors[: chosen[0].size], chosen[0])
    gold = Embedded(vectors[chosen[0].size :], chosen[1]) if len(chosen) > 1 else None
    return replace(inputs, embeddings=mine, reference_embeddings=gold, embedding_model=model)


def _chosen(frame: pl.DataFrame) -> Ints:
    """Return the numbers of the rows to embed: all, or a seeded sample of `ROWS`."""
    if frame.height <= ROWS:
        return np.arange(frame.height, dtype=np.int64)
    order = generator("embedded rows", frame.height).permutation(frame.height)
    return np.asarray(np.sort(order[:ROWS]), dtype=np.int64)
