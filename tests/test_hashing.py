"""Hashes: one form for one content, known values, and generators that follow from content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targen.hashing import canonical, digest, rng, short_id


def test_known_values():
    assert canonical({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert short_id({}) == "44136fa355b3678a"
    assert rng("seed", 1).randrange(10**6) == rng("seed", 1).randrange(10**6)
    assert rng("seed", 1).random() != rng("seed", 2).random()


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_does_not_matter(content):
    assert digest(dict(reversed(content.items()))) == digest(content)


def test_a_lone_surrogate_does_not_stop_it_and_nan_does():
    assert len(digest("\ud800")) == 64
    with pytest.raises(ValueError):
        digest(float("nan"))
