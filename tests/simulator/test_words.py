"""The toolkit of the grammars: templates that read back what they wrote, inflection, articles."""

import pytest

from simulator.errors import near_duplicate
from simulator.templates import Template, other_number
from simulator.words import Lexicon, article, lexicons, past, sentences, third, tidy
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
    assert template.read("On Monday, Anna left Leeds. She ran.", whole=False) is not None


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
def test_greater_and_smaller_numbers_are_that(text: str) -> None:
    value = int(text.replace(",", ""))
    assert int(other_number(text, ">", rng(text)).replace(",", "")) > value
    if value > 1:
        assert int(other_number(text, "<", rng(text)).replace(",", "")) < value


def test_articles_and_capitals_are_put_right() -> None:
    said = "  a engineer met an  nurse .  a hour later, an university had a 8-year plan."
    assert tidy(said) == "An engineer met a nurse. An hour later, a university had an 8-year plan."
    assert [article(w) for w in ("oil", "one-off", "umbrella", "uniform", "European")] == [
        "an",
        "a",
        "an",
        "a",
        "a",
    ]


def test_verbs_are_inflected() -> None:
    verbs = ["stop", "carry", "wait", "open", "admit", "sink", "play", "go"]
    assert [past(v) for v in verbs] == [
        "stopped",
        "carried",
        "waited",
        "opened",
        "admitted",
        "sank",
        "played",
        "went",
    ]
    assert [third(v) for v in ("go", "carry", "play", "catch", "be")] == [
        "goes",
        "carries",
        "plays",
        "catches",
        "is",
    ]


def test_quotations_stay_with_their_sentence() -> None:
    text = "He said: “Go home.” Then he left. 12 people came at 4.30"
    assert sentences(text) == ["He said: “Go home.”", "Then he left.", "12 people came at 4.30"]


def test_a_light_change_is_the_same_in_all_fields() -> None:
    fields = {"a": "Anna lost her hat on the pier.", "b": ["Anna", "the pier"]}
    changed = near_duplicate(fields, rng(1))
    assert changed is not None
    name = changed["b"][0]  # type: ignore[index]
    assert name != "Anna"
    assert changed["a"] == f"{name} lost her hat on the pier."
    assert near_duplicate({"a": "nothing here"}, rng(1)) is None


def test_ports_are_cities_and_coasts_are_countries() -> None:
    words = lexicons()
    assert set(words["port"].entries) <= set(words["city"].entries)
    assert set(words["shore"].entries) <= set(words["country"].entries)
