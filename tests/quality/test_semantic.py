import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics.pairwise import cosine_similarity

from targen.errors import EndpointError, NoEmbeddingsError
from targen.quality import semantic
from targen.quality.collector import MetricCollector
from targen.quality.inputs import Embedded
from targen.quality.semantic import with_embeddings
from tests.support.report_inputs import inputs


def vectors(rows=60, width=8, seed=0):
    return semantic.unit(np.random.default_rng(seed).normal(0.3, 1, size=(rows, width)))


def embedded(vectors, rows=None):
    return Embedded(vectors, np.arange(len(vectors)) if rows is None else np.array(rows))


def test_the_closed_form_equals_all_pairs():
    e = vectors()
    pairs = cosine_similarity(e)[np.triu_indices(60, 1)]
    value, low, high = semantic.mean_similarity(e)
    assert value == pytest.approx(pairs.mean(), abs=1e-12)
    assert low < value < high


def test_the_interval_is_that_of_repeated_samples():
    values = [semantic.mean_similarity(vectors(80, seed=s)) for s in range(200)]
    spread = np.std([v for v, _, _ in values])
    half = np.mean([(high - low) / 2 for _, low, high in values])
    assert half == pytest.approx(1.96 * spread, rel=0.25)


def test_within_and_between_equal_all_pairs():
    e = vectors()
    labels = pl.Series(["a"] * 20 + ["b"] * 39 + [None])
    table = semantic.similarity_by_label(e, labels, ["a", "b"])
    cosines = cosine_similarity(e)
    assert table[0][1] == table[1][0] == pytest.approx(cosines[:20, 20:59].mean(), abs=1e-12)
    inside = cosines[20:59, 20:59][np.triu_indices(39, 1)]
    assert table[1][1] == pytest.approx(inside.mean(), abs=1e-12)


@pytest.mark.parametrize("shape", [(60, 8), (8, 60)])
def test_vendi_equals_its_definition_on_the_whole_matrix(shape):
    e = vectors(*shape)
    values = np.linalg.eigvals(cosine_similarity(e) / len(e)).real
    wanted = np.exp(stats.entropy(values[values > 1e-12], base=np.e))
    # stats.entropy normalises; the eigenvalues of K / N sum to 1 already.
    assert semantic.vendi_score(e) == pytest.approx(wanted, rel=1e-6)


def test_known_answers():
    assert semantic.vendi_score(np.eye(7)) == pytest.approx(7)
    same = semantic.unit(np.ones((5, 3)))
    assert semantic.vendi_score(same) == pytest.approx(1)
    assert semantic.mean_similarity(same)[0] == pytest.approx(1)
    assert np.isnan(semantic.mean_similarity(same[:1])[0])
    assert np.isnan(semantic.between(same, same[:0]))


def test_drift_follows_the_first_parents_to_the_root():
    given = inputs(20)
    ids = given.rows["instance_id"].to_list()
    parents = {ids[1]: [ids[0]], ids[2]: [ids[1], ids[5]]}
    instances = given.tables["instances"].with_columns(
        parent_ids=pl.Series(
            [parents.get(i, []) for i in given.tables["instances"]["instance_id"]]
        ),
        depth=pl.Series(
            [{ids[1]: 1, ids[2]: 2}.get(i, 0) for i in given.tables["instances"]["instance_id"]]
        ),
    )
    assert semantic.roots(instances) == {ids[1]: ids[0], ids[2]: ids[0]}
    e = vectors(20)
    sheet = MetricCollector()
    semantic.measure(
        inputs(20, tables={**given.tables, "instances": instances}, embeddings=embedded(e)), sheet
    )
    assert sheet.get("drift", "depth 2").value == pytest.approx(float(e[0] @ e[2]))


def test_a_circle_has_no_root():
    frame = pl.DataFrame({"instance_id": ["a", "b"], "parent_ids": [["b"], ["a"]]})
    assert semantic.roots(frame) == {}


def test_without_embeddings_it_is_skipped():
    sheet = MetricCollector()
    semantic.measure(inputs(20), sheet)
    assert sheet.skipped["mean_similarity"] == "no embeddings were given"


def test_without_embeddings_the_reason_is_given():
    sheet = MetricCollector()
    semantic.measure(inputs(20, no_embeddings="m answers 404"), sheet)
    assert sheet.measures == []
    assert set(sheet.skipped.values()) == {"m answers 404"}
    assert set(sheet.skipped) == {"mean_similarity", "similarity", "vendi_score", "drift"}


def test_similarity_to_the_reference_equals_all_pairs_and_leaves_copies_out():
    a, b = vectors(40), vectors(50, seed=1)
    value, low, high = semantic.similarity_across(a, b)
    assert value == pytest.approx(cosine_similarity(a, b).mean(), abs=1e-12)
    assert low < value < high
    # Against itself it is the mean within.
    assert semantic.similarity_across(a, a)[0] == pytest.approx(semantic.mean_similarity(a)[0])
    same = semantic.unit(np.ones((5, 3)))
    assert np.isnan(semantic.similarity_across(same, same)[0])
    assert np.isnan(semantic.similarity_across(a, a[:0])[0])
    assert semantic.similarity_across(a[:1], b[:1])[1] is None


def test_its_interval_is_that_of_repeated_samples():
    found = [
        semantic.similarity_across(vectors(60, seed=s), vectors(90, seed=1000 + s))
        for s in range(200)
    ]
    spread = np.std([value for value, _, _ in found])
    half = np.mean([(high - low) / 2 for _, low, high in found])
    assert half == pytest.approx(1.96 * spread, rel=0.25)


def test_a_sample_of_the_rows_keeps_its_labels():
    given = inputs(20)
    rows = [1, 4, 5, 9, 15, 17]
    e = vectors(6)
    gold = given.rows.head(8)
    sheet = MetricCollector()
    semantic.measure(
        inputs(
            20,
            embeddings=embedded(e, rows),
            reference=gold,
            reference_embeddings=embedded(vectors(8, seed=3)),
            embedding_model="some",
        ),
        sheet,
    )
    labels = given.rows["label"][rows]
    names = sorted(set(given.rows["label"]))
    table = semantic.similarity_by_label(e, labels, names)
    inside = sheet.get("similarity", names[0])
    assert inside.value == pytest.approx(table[0][0])
    other = semantic.similarity_by_label(vectors(8, seed=3), gold["label"], names)
    assert sheet.get("similarity", f"{names[0]} and {names[1]}").reference == pytest.approx(
        other[0][1]
    )
    measure = sheet.get("reference_similarity")
    assert measure.value == pytest.approx(semantic.similarity_across(e, vectors(8, seed=3))[0])
    assert measure.reference == pytest.approx(
        semantic.mean_similarity(vectors(8, seed=3))[0], rel=1e-9
    )
    assert sheet.details["embedding_model"] == "some"


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
    monkeypatch.setattr(semantic, "ROWS", 8)
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
