import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics.pairwise import cosine_similarity

from targen.quality import semantic
from targen.quality.collector import MetricCollector
from targen.quality.inputs import Embedded
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
