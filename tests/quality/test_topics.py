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
    counts = {"garden": 36, "kitchen": 24}
    made = measured(counts, {"garden": 10, "kitchen": 20, "harbour": 10})
    found = [m for m in made.measures if m.metric == "topic"]
    subject = {word: name for name, words in SUBJECTS.items() for word in words.split()}
    mine, theirs = dict.fromkeys(SUBJECTS, 0.0), dict.fromkeys(SUBJECTS, 0.0)
    for measure in found:
        (name,) = {subject[word] for word in measure.slice.split(", ")}
        mine[name] += measure.value
        theirs[name] += measure.reference
    assert mine == pytest.approx({"garden": 0.6, "kitchen": 0.4, "harbour": 0.0})
    assert theirs == pytest.approx({"garden": 0.25, "kitchen": 0.5, "harbour": 0.0})
    alone = [m for m in measured(counts, None).measures if m.metric == "topic"]
    assert [(m.slice, m.value) for m in alone] == [(m.slice, m.value) for m in found]


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


def test_phrases_are_the_most_frequent_without_stop_words_at_their_ends():
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
