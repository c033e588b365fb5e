import numpy as np
import polars as pl
import pytest

from targen.errors import EndpointError, NoEmbeddingsError
from targen.quality import embedding
from targen.quality.embedding import with_embeddings
from tests.support.report_inputs import inputs


class Lengths:
    """Embeds a text as its length."""

    def __init__(self, error=None):
        self.asked, self.error = [], error

    async def embed(self, texts):
        if self.error:
            raise self.error
        self.asked.append(list(texts))
        return np.array([[float(len(text)), 1.0] for text in texts])


async def test_rows_and_reference_are_embedded_in_one_go():
    model = Lengths()
    given = inputs(20)
    gold = given.rows.head(7)
    found = await with_embeddings(inputs(20, reference=gold), model, "some")
    row = given.rows.row(3, named=True)
    assert model.asked[0][3] == f"{row['premise']}\n{row['hypothesis']}"
    assert [len(texts) for texts in model.asked] == [27]
    assert found.embeddings.rows.tolist() == list(range(20))
    assert (found.reference_embeddings.vectors == found.embeddings.vectors[:7]).all()
    assert found.embedding_model == "some"
    alone = await with_embeddings(given, model, "some")
    assert alone.reference_embeddings is None


async def test_of_many_rows_a_sample_that_is_always_the_same(monkeypatch):
    monkeypatch.setattr(embedding, "ROWS", 8)
    found = await with_embeddings(inputs(20), Lengths(), "some")
    again = await with_embeddings(inputs(20), Lengths(), "some")
    rows = found.embeddings.rows
    assert rows.tolist() == again.embeddings.rows.tolist() == sorted(set(rows.tolist()))
    assert found.embeddings.vectors.shape == (8, 2)


async def test_no_embeddings_is_no_failure_but_a_broken_endpoint_is():
    found = await with_embeddings(inputs(20), Lengths(NoEmbeddingsError("it answers 404")), "m")
    assert found.embeddings is None
    assert found.no_embeddings == "it answers 404"
    with pytest.raises(EndpointError, match="wrong key"):
        await with_embeddings(inputs(20), Lengths(EndpointError("wrong key")), "m")


async def test_without_text_nothing_is_asked():
    model = Lengths()
    rows = pl.DataFrame({"choice": ["a", "b"], "label": ["x", "y"]})
    given = inputs(1, fields={"choice": "choice"}, tables={"corrected_set": rows}, rejected={})
    found = await with_embeddings(given, model, "m")
    assert (found.no_embeddings, model.asked) == ("the task has no text field", [])
