import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from targen.quality import topics
from targen.quality.collector import MetricCollector
from targen.quality.text import generator
from tests.support.report_inputs import inputs

SUBJECTS = {
    "garden": "roses tulips watering soil hedge spade",
    "kitchen": "oven flour butter recipe baking cake",
    "harbour": "ship anchor sailor cargo tide lighthouse",
}


def texts(counts: dict[str, int]) -> pl.DataFrame:
    """Return rows on the subjects, as many of each as asked for."""
    made = []
    for subject, count in counts.items():
        words = SUBJECTS[subject].split()
        for i in range(count):
            chosen = generator(subject, i).permutation(len(words))[:4]
            made.append(" ".join(["the", *(words[at] for at in chosen), "of today"]))
    return pl.DataFrame({"text": made, "label": ["a", "b"] * (len(made) // 2)})


def measured(own: dict[str, int], gold: dict[str, int] | None) -> MetricCollector:
    collector = MetricCollector()
    reference = None if gold is None else texts(gold)
    fields = {"text": "text"}
    topics.measure(
        inputs(1, fields=fields, tables={"corrected_set": texts(own)}, reference=reference),
        collector,
    )
    return collector


def test_topics_are_found_and_set_against_gold():
    made = measured({"garden": 40, "kitchen": 20}, {"garden": 10, "kitchen": 10, "harbour": 20})
    found = [m for m in made.measures if m.metric == "topic"]
    assert [round(m.value, 2) for m in found] == [0.67, 0.33, 0.0]
    assert [m.reference for m in found] == [0.25, 0.25, 0.5]
    for measure, subject in zip(found, SUBJECTS, strict=True):
        assert set(measure.slice.split(", ")) <= set(SUBJECTS[subject].split())
    again = measured({"garden": 40, "kitchen": 20}, {"garden": 10, "kitchen": 10, "harbour": 20})
    assert again.measures == made.measures


def test_vectors_in_clear_directions_are_grouped_by_direction():
    angles = np.array([0.0, 0.05, 0.1, 1.4, 1.45, 1.5])
    vectors = csr_matrix(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    group, centers = topics.clusters(vectors, 2, generator("t"))
    assert len(set(group[:3])) == len(set(group[3:])) == 1 and group[0] != group[3]
    assert np.linalg.norm(centers, axis=1) == pytest.approx([1, 1])


@pytest.mark.parametrize("own", [{"garden": 12}, {"garden": 0}])
def test_few_rows_have_no_topics(own):
    made = measured(own, None)
    assert "rows are needed" in made.skipped["topic"]


def test_phrases_are_those_that_gold_has_less_often():
    own = [
        ("once upon a", 0.9),
        ("upon a", 0.9),
        ("big house", 0.4),
        ("the big", 0.8),
        ("red", 0.1),
    ]
    gold = {"big house": 0.1, "once upon a": 0.85}
    found = topics.phrases(own, gold, {"the", "a", "upon"})
    assert [phrase for phrase, *_ in found] == ["big house", "red"]
    assert found[0] == ("big house", 0.4, 0.1)
    assert topics.phrases(own, None, set())[0][0] == "once upon a"


def test_a_phrase_counts_once_per_row_and_does_not_cross_fields():
    rows = pl.DataFrame(
        {"one": ["red apple red apple"] * 4, "two": ["pie"] * 4, "label": ["a", "b"] * 2}
    )
    collector = MetricCollector()
    given = inputs(1, fields={"one": "text", "two": "text"}, tables={"corrected_set": rows})
    topics.measure(given, collector)
    found = {m.slice: m.value for m in collector.measures if m.metric == "phrase"}
    assert found["red apple red"] == 1.0
    assert not [phrase for phrase in found if "pie" in phrase]
