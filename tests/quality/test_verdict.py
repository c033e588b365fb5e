import pytest

from targen.quality import judgment, rules, verdict
from targen.quality.collector import Measure, MetricCollector
from targen.wording import plural
from tests.support.report_inputs import inputs


def sheet_of(*measures, **details):
    sheet = MetricCollector(details=details)
    sheet.add(*measures)
    return sheet


def texts(sheet, **changes):
    return [item["text"] for item in verdict.findings(inputs(20, **changes), sheet)]


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ((10, 10), "balanced to within one row"),
        ((95, 100), "nearly even"),
        ((60, 100), "uneven"),
    ],
)
def test_evenness_of_labels_in_words(counts, wanted):
    sheet = sheet_of(labels={"names": ["a", "b"], "counts": list(counts)})
    assert any(wanted in text for text in texts(sheet))


def test_labels_that_differ_only_in_case_or_spaces_are_named():
    names = ["Question", "question", "not  urgent", "not urgent", "other"]
    sheet = sheet_of(labels={"names": names, "counts": [3, 1200, 2, 4, 5]})
    found = verdict.findings(inputs(20), sheet)
    (one,) = [item for item in found if item["metric"] == "label_entropy"]
    assert one["text"] == (
        "Labels that differ only in case or spaces count as different ones: “Question” (3) and "
        "“question” (1,200); “not  urgent” (2) and “not urgent” (4)."
    )
    assert (one["level"], one["at"]) == ("warn", "balance")
    assert one["action"] == "Write each label in one way if they mean the same."
    sheet = sheet_of(labels={"names": ["a", "b"], "counts": [3, 3]})
    assert not any("differ only" in text for text in texts(sheet))


def test_what_is_to_act_on_comes_first():
    sheet = sheet_of(
        Measure("exact_duplicates", 0.05, 20),
        Measure("near_duplicates", 0.0, 20),
        Measure("label_noise", 0.2, 20, "latent classes", 0.1, 0.3),
    )
    found = verdict.findings(inputs(20), sheet)
    assert [item["level"] for item in found] == ["bad", "bad", "note", "good"]
    assert (
        found[0]["text"]
        == "10% to 30% of the labels are wrong: about 20% if the three readings err independently, "
        "up to 30% if they share errors."
    )
    assert found[1]["text"] == "5% of the rows (1) repeat an earlier row exactly."
    assert found[2]["unmeasured"], "nothing measured the training value"
    assert verdict.headline([], found)["text"] == f"Not fit for release. {found[0]['text']}"


def test_copies_with_changed_words_are_not_called_near_duplicates():
    near, copies = Measure("near_duplicates", 0.1, 20), Measure("edited_copies", 0.2, 20)
    found = texts(sheet_of(Measure("near_duplicates", 0.0, 20), copies))
    assert "20% of the rows nearly duplicate an earlier row, with a few words changed." in found
    assert "10% of the rows are near duplicates of an earlier row." in texts(sheet_of(near))


def test_peoples_review_overrides_the_model():
    sheet = sheet_of(
        Measure("label_noise", 0.01, 20, "latent classes", 0.0, 0.02),
        Measure("label_noise", 0.08, 20, "reviewed", 0.05, 0.1),
    )
    assert any("8% of the labels" in text and "review" in text for text in texts(sheet))
    assert not any("three readings" in text for text in texts(sheet))


def test_percent_and_plural():
    assert [verdict.percent(x) for x in (None, 0.5, 0.1234)] == ["unknown", "50%", "12.3%"]
    assert [plural(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


@pytest.mark.parametrize(
    ("cue", "parts", "level"),
    [
        ({"inside": 0.6, "outside": 0.0}, ["question only", "length only"], "note"),
        ({"inside": 0.6, "outside": 0.15}, ["question only"], "bad"),
        ({"inside": 0.4, "outside": 0.0}, ["question only"], "bad"),
        # With one field, a word may rightly decide the label.
        ({"inside": 0.6, "outside": 0.0}, ["length only", "punctuation only"], "bad"),
    ],
)
def test_labels_are_not_suspect_because_of_a_planted_word(cue, parts, level):
    collector = MetricCollector()
    collector.add(Measure("label_suspects", 0.15, 600))
    collector.add(*(Measure("shortcut", 0.1, 600, part) for part in parts))
    collector.details["cues"] = [cue]
    assert [found[0] for found in rules.from_shares(collector)] == [level]


@pytest.mark.parametrize(
    ("read", "level", "words"),
    [
        ({"rows": 50, "confirmed": 45}, "warn", "agrees with 45 of 50 of them"),
        ({"rows": 50, "confirmed": 30}, "bad", "agrees with 30 of 50 of them"),
        ({"rows": 0, "confirmed": 0}, "bad", "contradicts them."),
    ],
)
def test_labels_that_a_blind_reader_confirms_are_only_a_warning(read, level, words):
    collector = MetricCollector(details={"suspects_read": read})
    collector.add(Measure("label_suspects", 0.15, 600))
    ((found, sentence, _, _),) = rules.from_shares(collector)
    assert found == level
    assert sentence.endswith(f"{words}." if read["rows"] else words)


@pytest.mark.parametrize(
    ("parts", "share", "level"),
    [
        # Texts on sports mention sports; a premise and a hypothesis do not mention entailment.
        (["length only"], 0.06, "warn"),
        (["length only"], 0.2, "bad"),
        (["premise only", "length only"], 0.06, "bad"),
    ],
)
def test_a_single_text_may_mention_its_topic(parts, share, level):
    sheet = sheet_of(Measure("label_in_text", share, 300))
    sheet.add(*(Measure("shortcut", 0.1, 300, part) for part in parts))
    assert [found[0] for found in rules.from_shares(sheet)] == [level]


@pytest.mark.parametrize(("words", "level"), [(2, "note"), (3, "warn")])
def test_a_phrase_in_most_texts_of_one_label_is_a_warning(words, level):
    cues = [
        {"word": word, "field": "text", "label": "a", "inside": 0.7, "outside": 0.0}
        | {"rows": 70, "z": 9.0}
        for word in ("kindly", "take", "note")[:words]
    ]
    found = judgment.cues(inputs(20), sheet_of(cues=cues), several=False)
    assert [one[0] for one in found] == [level]
