"""Templates read back what they wrote."""

import pytest

from simulator.templates import Template, other_number
from simulator.words import Lexicon, lexicons
from targen.hashing import rng

WORDS = {**lexicons(), "job": Lexicon(["engineer", "nurse"]), "tool": Lexicon(["saw", "saw blade"])}


@pytest.mark.parametrize(
    "pattern",
    [
        "on {weekday}, a {job} [phoned|called] {city}[ and left {n:10-400/5} notes|].",
        "{city} and {city2} share a {job}[, {female} {surname},|] with {country}.",
        "[moreover, |besides, ||]{country} won; a {job} from {country} lost {n:1000-9000} times.",
        "the {tool} {job} of {city} came.",
    ],
)
def test_a_template_reads_what_it_wrote(pattern: str) -> None:
    template = Template(pattern, WORDS)
    for number in range(200):
        values: dict[str, str] = {}
        text = template.fill(values, rng(pattern, number))
        assert template.read(text) == values, text


def test_a_template_does_not_read_what_others_wrote() -> None:
    template = Template("on {weekday}, {female} left {city}.", WORDS)
    assert template.read("On Monday, Anna left Leeds.") is not None
    assert template.read("On Monday, Anna left Atlantis.") is None
    assert template.read("On Monday, Anna left Leeds. She ran.") is None


def test_marked_slots_take_other_values() -> None:
    template = Template("{city!} {n<} {n>} {n!}", WORDS)
    for number in range(50):
        values = {"city": "Leeds", "n": "1,200"}
        city, less, more, other = template.fill(values, rng(number)).rsplit(" ", 3)
        assert city != "Leeds"
        counts = [int(one.replace(",", "")) for one in (less, more, other)]
        assert counts[0] < 1200 < counts[1]
        assert counts[2] != 1200


@pytest.mark.parametrize("text", ["1", "2", "3", "10", "90,000"])
def test_other_numbers_are_greater_or_less(text: str) -> None:
    value = int(text.replace(",", ""))
    assert int(other_number(text, ">", rng(text)).replace(",", "")) > value
    if value > 1:
        assert int(other_number(text, "<", rng(text)).replace(",", "")) < value
