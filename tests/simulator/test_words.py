"""Articles, inflection, sentences, and the shared word lists."""

from simulator.words import article, lexicons, past, sentences, third, tidy


def test_articles_and_capitals_are_corrected() -> None:
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


def test_ports_are_cities_and_coasts_are_countries() -> None:
    words = lexicons()
    assert set(words["port"].entries) <= set(words["city"].entries)
    assert set(words["shore"].entries) <= set(words["country"].entries)
