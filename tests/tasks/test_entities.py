"""Entities: offsets, overlaps, what writers and readers list, and exports."""

import numpy as np
import polars as pl
import pytest

from targen.errors import SpecError
from targen.operators.correction import decide
from targen.operators.judging import label_of
from targen.quality import spans
from targen.quality.collector import MetricCollector
from targen.release.card import _columns, features
from targen.release.export import bio_lines
from targen.release.rows import finished
from targen.release.splits import divide
from targen.steps import CORRECTED_SET, frame, schema
from targen.tasks.answers import majority
from targen.tasks.entities import as_rows, bio, located, read, written
from tests.support.report_inputs import inputs
from tests.support.specs import MOOD, real_task, spec_of

TEXT = "Ann from New York reads the New York Times. Ann likes Anna, not the U.S."
TYPES = ("person", "place", "paper")
SPANS = (
    MOOD.partition("answer:")[0]
    + """\
answer:
  kind: spans
  text: note
  question: Whom does it name?
  labels:
    person: {constraint: Name a person., definition: A person.}
"""
)


def listed(*pairs):
    return [{"text": text, "type": kind} for text, kind in pairs]


def test_an_entry_stands_for_every_occurrence_outside_longer_entities():
    label = ["paper: New York Times", "person: Ann", "place: New York", "place: U.S."]
    found, problem = located(TEXT, label)
    assert problem is None
    assert [(one.start, one.text) for one in found] == [
        (0, "Ann"), (9, "New York"), (28, "New York Times"), (44, "Ann"), (68, "U.S.")
    ]  # fmt: skip
    assert all(TEXT[one.start : one.end] == one.text for one in found)


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (["person: Bob"], "'Bob' is not in the text"),
        (["person: An"], "'An' is not in the text"),
        (["person: Ann", "place: Ann"], "'Ann' has two types"),
        (["paper: York Times", "place: Times"], "'Times' occurs only inside another entity"),
        (["paper: the New York", "place: York Times"], "'York Times' overlaps 'the New York'"),
    ],
)
def test_labels_that_cannot_be_marked_are_invalid(label, problem):
    assert located(TEXT, label)[1] == problem


def test_scripts_without_spaces_have_no_word_boundaries():
    assert located("東京都に住む", ["place: 東京都"])[0][0][:2] == (0, 3)


def test_a_writer_is_held_to_the_rules_and_a_reader_loses_what_breaks_them():
    wrong = listed(("Ann", "person"), ("Bob", "person"))
    assert written(wrong, TEXT, TYPES)[1] == "'Bob' is not in the text"
    assert written(listed(("Ann", "animal")), TEXT, TYPES)[1].startswith("an entity has no text")
    assert written(listed((" Ann ", "person")), TEXT, TYPES) == (["person: Ann"], None)
    assert read(wrong, TEXT, TYPES) == ["person: Ann"]
    assert read(listed(("New York Times", "paper"), ("Times", "paper")), TEXT, TYPES) == [
        "paper: New York Times"
    ]
    assert (read([], TEXT, TYPES), read("Ann", TEXT, TYPES)) == ([], None)
    assert label_of({"label": wrong}, "spans", TYPES, TEXT) == ["person: Ann"]


def test_each_entity_is_decided_by_itself():
    votes = [["a: x", "b: y"], ["a: x"], ["a: x", "b: y", "c: z"]]
    assert majority("spans", votes) == ["a: x", "b: y"]
    assert majority("spans", votes[:2]) is None
    assert decide("majority", "spans", *([vote] for vote in votes)) == ["a: x", "b: y"]


def test_bio_tags_and_rows_agree_with_the_offsets():
    tags = bio("Ann Lee, Ann", ["person: Ann", "person: Ann Lee"])
    assert tags == [("Ann", "B-person"), ("Lee", "I-person"), (",", "O"), ("Ann", "B-person")]
    assert as_rows("Ann Lee", ["person: Lee"]) == [
        {"start": 4, "end": 7, "type": "person", "text": "Lee"}
    ]


def test_f1_counts_offsets_and_types():
    assert spans.f1(np.array([3.0, 4.0, 5.0])) == pytest.approx(2 * 3 / 9)
    assert np.isnan(spans.f1(np.zeros(3)))
    rows = pl.DataFrame(
        {
            "premise": ["Ann met Bo.", "Bo left."],
            "hypothesis": ["", ""],
            "intended_label": [["person: Ann", "person: Bo"], ["person: Bo"]],
            "annotated_label": [["person: Ann", "place: Bo"], ["person: Bo"]],
            "label": [["person: Ann", "person: Bo"], ["person: Bo"]],
        }
    )
    given = inputs(
        2,
        tables={"corrected_set": rows},
        rejected={},
        labels=("person", "place"),
        answer_kind="spans",
        entity_field="premise",
    )
    sheet = MetricCollector()
    spans.measure(given, sheet)
    assert sheet.get("entity_f1", "intended, annotated").value == pytest.approx(2 * 2 / 6)
    assert sheet.get("entity_f1", "intended, annotated: person").value == pytest.approx(4 / 5)
    assert sheet.get("entity_f1", "intended, annotated: place").value == 0
    assert sheet.get("entity_f1", "intended, final").value == 1
    assert sheet.get("entities_per_row").value == 1.5
    assert sheet.details["entities"][0]["texts"] == 2


def test_finished_rows_have_offsets_and_their_types_in_the_card():
    spec = real_task("ticket_entities")
    row = {
        "instance_id": "0" * 16, "message": "Ann bought a Kormik 7.", "channel": "chat",
        "label": ["person: Ann", "product: Kormik 7"], "intended_label": ["person: Ann"],
        "verdict": "relabelled",
    }  # fmt: skip
    table = frame([row], schema(CORRECTED_SET, spec.field_types, spec.answer.kind))
    rows = finished(spec, table)
    assert rows["entities"].to_list()[0][1] == {
        "start": 13, "end": 21, "type": "product", "text": "Kormik 7"
    }  # fmt: skip
    assert _columns(spec, rows)[-1]["type"] == "entities"
    (part,) = [part for part in divide(spec, rows).values() if part.height]
    assert part.to_dicts() == rows.to_dicts()
    lines = "\n".join(features(spec, rows))
    assert '    - name: "entities"\n      list:\n        - name: start\n' in lines
    assert "class_label" not in lines
    assert bio_lines(spec, rows).decode().splitlines()[:3] == [
        f"# id = {'0' * 16}", "Ann\tB-person", "bought\tO"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  text: note\n", "", "spans need `text`: the field in which the entities are"),
        ("text: note", "text: nota", "the task has no field 'nota'; did you mean 'note'?"),
        ("person:", '"a: b":', "must not contain a colon"),
        ("kind: spans", "kind: class", "only an answer of kind 'spans' has a `text`"),
        ("name: mood\n", "name: mood\nrecipe: self-instruct\n", "which writes no entities"),
    ],
)
def test_wrong_declarations_are_named(old, new, message, tmp_path):
    seeds = "seeds: {kind: sentence, what: a, fields: {event: {description: b}}}"
    text = f"{SPANS}contexts: {{what: places}}\n{seeds}\n"
    spec_of(tmp_path / "right", text)
    with pytest.raises(SpecError, match=".") as error:
        spec_of(tmp_path / "wrong", text.replace(old, new, 1))
    assert message in str(error.value)
