import polars as pl
import pytest

from targen.quality import bias
from targen.quality.bias import AGE, COUNTRIES, GENDER, RELIGION
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs


def found(texts, groups, case):
    flags = bias.mentions(pl.Series(texts), groups, case=case)
    return [sorted(g for g in groups if flags[g][i]) for i in range(len(texts))]


def test_countries_are_whole_words_with_their_capital():
    texts = [
        "She ate turkey in Turkey.",
        "a roast turkey",
        "Papua New Guinea is not Guinea-Bissau",
        "Nigeria, not Niger",
        "Chadwick met Romania's king in Omanville",
        "the England team",
    ]
    assert found(texts, COUNTRIES, True) == [
        ["Turkey"],
        [],
        ["Guinea-Bissau", "Papua New Guinea"],
        ["Niger", "Nigeria"],
        ["Romania"],
        ["United Kingdom"],
    ]


def test_gender_words_do_not_sit_inside_others():
    texts = ["HE saw her", "the shepherd", "human hero", None, ""]
    assert found(texts, GENDER, False) == [["female", "male"], [], [], [], []]
    assert found(["two senior citizens"], AGE, False) == [["old people"]]


def test_countries_are_all_read():
    assert len(COUNTRIES) > 180
    assert all(form == form.strip() and form for forms in COUNTRIES.values() for form in forms)


def test_shares_of_rows_and_of_the_reference():
    given = inputs(20)
    rows = given.rows.with_columns(
        premise=pl.Series(["She left France."] * 5 + ["It rained."] * 15), hypothesis=pl.lit("x")
    )
    gold = rows.head(10)
    sheet = MetricCollector()
    bias.measure(inputs(20, tables={"corrected_set": rows}, reference=gold), sheet)
    figure = sheet.get("mention", "country: France")
    assert (figure.value, figure.reference) == (0.25, 0.5)
    assert sheet.get("mention", "gender: male") is None
    assert "gender_parity" in sheet.skipped


def test_twins_agree_or_not():
    rows = pl.DataFrame(
        {
            "premise": ["a"] * 5,
            "hypothesis": ["b"] * 5,
            "label": ["x"] * 5,
            "annotated_label": ["x", "x", "x", "y", "x"],
            "pair_id": ["1", "1", "2", "2", "3"],
        }
    )
    sheet = MetricCollector()
    bias.measure(inputs(1, tables={"corrected_set": rows}, pair_field="pair_id"), sheet)
    assert (sheet.get("gender_parity").value, sheet.get("gender_parity").n) == (0.5, 2)


def test_english_word_lists_say_nothing_of_german_rows():
    sheet = MetricCollector()
    bias.measure(inputs(20, language="de"), sheet)
    assert sheet.skipped["mention"] == "the word lists are in English, the rows in German"
    assert not [measure for measure in sheet.measures if measure.metric == "mention"]


@pytest.mark.parametrize(
    "text",
    [
        "Michael Jordan played basketball.",
        "I met Michael B. Jordan there.",
        "Jordan Peele directed it.",
        "Chad Hayes wrote the film.",
        "He sat beside Chad Smith.",
        "It lives in North America.",
        "Captain America won.",
        "The South America tour ended.",
        "Jimmy Wales founded it.",
        "New England has cold winters.",
        "She moved to New South Wales.",
        "Georgia O'Keeffe painted it.",
        "They read the China Daily.",
        "Kathy Ireland spoke.",
    ],
)
def test_a_country_in_a_longer_name_is_no_country(text):
    assert found([text], COUNTRIES, True) == [[]]


def test_countries_beside_capitals_that_are_no_names():
    texts = [
        "In Jordan it rained.",
        "Jordan borders Israel.",
        "It rained in Chad. He left.",
        "West Germany won.",
        "Does China trade with the United States Senate?",
        "Paris, France",
        "Kenya's President spoke.",
        "MICHAEL went to Peru. Chad is next to Niger.",
        "The America of old",
    ]
    assert found(texts, COUNTRIES, True) == [
        ["Jordan"],
        ["Israel", "Jordan"],
        ["Chad"],
        ["Germany"],
        ["China", "United States"],
        ["France"],
        ["Kenya"],
        ["Chad", "Niger", "Peru"],
        ["United States"],
    ]


def test_people_firms_and_works_are_no_groups():
    texts = [
        "Stephen King wrote novels.",
        "Burger King sells food.",
        "He read Stephen King.",
        "King Charles spoke.",
        "The King of Spain",
        "Queen Victoria and the queen",
        "Iron Man and Spider-Man",
        "the Isle of Man",
        "Boy George sang.",
        "A Man left. Men came.",
        "Mr Brown and Mrs Smith",
        "Martin Luther King Jr. spoke.",
    ]
    assert found(texts, GENDER, False) == [
        [],
        [],
        ["male"],
        ["male"],
        ["male"],
        ["female"],
        [],
        [],
        [],
        ["male"],
        ["female", "male"],
        [],
    ]
    texts = [
        "Christian Bale acted.",
        "the Catholic Church",
        "a Christian priest",
        "Christian churches",
        "Charlotte Church sang.",
        "Lutheran Church",
        "Bosnian Muslims",
    ]
    assert found(texts, RELIGION, False) == [
        [],
        ["Christianity"],
        ["Christianity"],
        ["Christianity"],
        [],
        ["Christianity"],
        ["Islam"],
    ]
