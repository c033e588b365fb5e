"""Conversations: three turns each, the label last, nothing that gives it away."""

import pytest

from targen.release.instructions import conversations
from targen.release.rows import finished
from tests.support.samples import ROWS, corrected, corrected_of
from tests.support.specs import real_task


def turns(task, rows):
    spec = real_task(task)
    talks = list(conversations(spec, finished(spec, corrected(spec, rows))))
    for talk in talks:
        assert list(talk) == ["messages"]
        assert [turn["role"] for turn in talk["messages"]] == ["system", "user", "assistant"]
        assert all(turn["content"].strip() for turn in talk["messages"])
    return [[turn["content"] for turn in talk["messages"]] for talk in talks]


@pytest.mark.parametrize("task", ROWS)
def test_each_of_the_eight_tasks_has_its_labels_question_and_fields(task):
    spec, rows = corrected_of(task)
    for (system, user, assistant), row in zip(
        turns(task, ROWS[task]), rows.iter_rows(named=True), strict=True
    ):
        assert assistant == row["label"]
        assert spec.title in system and spec.answer.question in system
        for label, text in spec.label_definitions.items():
            assert f"- {label}: {text}" in system
        for name, field in spec.fields.items():
            if field.derived:
                assert name not in user
            elif field.type != "texts":
                assert f"{name.replace('_', ' ')}: {row[name]}" in user


def test_the_entries_to_choose_from_are_listed():
    system, user, assistant = turns("record", ROWS["record"])[0]
    assert "entities:\n- Ann\n- Ann Lee\n- Bonn" in user
    assert "entities" in system and assistant == "Bonn"


def test_wordings_vary_with_the_row_and_with_nothing_else():
    rows = [{"premise": f"p{n}", "hypothesis": f"h{n}", "label": "entailment"} for n in range(40)]
    first = turns("rte", rows)
    assert len({system for system, *_ in first}) == 3
    assert turns("rte", rows) == first


def test_several_labels_and_none_of_them():
    rows = [{"story": "One.", "label": ["dialogue", "twist"]}, {"story": "Two.", "label": []}]
    assert [last for *_, last in turns("stories", rows)] == ["dialogue, twist", "none"]


def test_instructions_are_taken_as_what_they_are():
    common = {"kind": "open", "label": None, "output": "4"}
    rows = [
        {**common, "instruction": "Add.", "input": "2 2"},
        {**common, "instruction": "Say four.", "input": ""},
    ]
    (_, first, answer), (_, second, _) = turns("instructions", rows)
    assert (first, second, answer) == ("Add.\n\n2 2", "Say four.", "4")


def test_a_text_without_answer_is_written_from_its_other_fields():
    rows = [
        {
            "overview": "Lists hold.",
            "example": "See.",
            "snippets": ["a = []", "b = 1"],
            "label": None,
        }
    ]
    ((system, user, assistant),) = turns("textbook-python", rows)
    assert assistant == "a = []\n\nb = 1"
    assert "overview: Lists hold." in user and "snippets" in user
    assert "textbook" in system.lower()


def test_another_language_is_told():
    spec = real_task("ticket_urgency-de")
    row = dict.fromkeys(spec.fields, "Guten Tag") | {"label": next(iter(spec.labels))}
    assert "German" in turns("ticket_urgency-de", [row])[0][0]
