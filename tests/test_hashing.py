"""Hashes: one form for one content, known values, and generators that follow from content."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import targen
from targen.hashing import canonical, digest, digest_of_text, rng, sha256_of, short_id


def test_known_values():
    assert canonical({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert sha256_of(b"{}") == digest({})
    assert short_id({}) == "44136fa355b3678a"
    assert rng("seed", 1).randrange(10**6) == rng("seed", 1).randrange(10**6)
    assert rng("seed", 1).random() != rng("seed", 2).random()


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_does_not_matter(content):
    assert digest(dict(reversed(content.items()))) == digest(content)


@given(st.lists(st.text()))
def test_a_text_in_parts_has_the_digest_of_the_whole(parts):
    assert digest_of_text(parts) == digest("".join(parts))


def test_a_lone_surrogate_does_not_stop_it_and_nan_does():
    assert len(digest("\ud800")) == 64
    with pytest.raises(ValueError):
        digest(float("nan"))


def test_all_hashes_but_the_embedded_models_come_from_here():
    package = Path(targen.__file__).parent
    files = {path.relative_to(package) for path in package.rglob("*.py")}
    using = {file for file in files if "hashlib" in (package / file).read_text(encoding="utf-8")}
    assert {file for file in using if file.parts[0] != "offline"} == {Path("hashing.py")}
