"""Names that code replaces: where it may, what it makes, and that only the name changes."""

import pytest

from targen.operators.renaming import is_person, renamed

NAME = "Elara Voss"
KEY = "0123456789abcdef"


def edited(name=NAME, label="yes", **fields):
    return renamed({**fields, "intended_label": label}, fields, name, KEY)


def test_all_forms_of_the_name_change_alike_in_all_fields():
    found = edited(
        premise="Elara Voss met Li in Oslo. Voss's plan, says Elara, was old.",
        hypothesis="Li met Elara Voss.",
        options=["Voss", "Li"],
        number=3,
    )
    given, family = found["hypothesis"].removeprefix("Li met ").removesuffix(".").split()
    assert {given, family}.isdisjoint({"Elara", "Voss"})
    assert found["premise"] == (
        f"{given} {family} met Li in Oslo. {family}'s plan, says {given}, was old."
    )
    assert found["options"] == [family, "Li"] and found["number"] == 3
    again = edited(premise="Elara Voss met Li.", hypothesis="Elara Voss met Li.")
    assert again == edited(premise="Elara Voss met Li.", hypothesis="Elara Voss met Li.")


@pytest.mark.parametrize(
    "text",
    [
        "Elara Voss said that she saw it.",
        "Mrs Elara Voss saw it.",
        "Elara Voss saw it; write to elara.voss@example.org.",
        "The Elara Voss Foundation saw it.",
        "Elara Voss-Smith saw it.",
        "ELARA VOSS and Elara Voss saw it.",
        "No one saw it.",
    ],
)
def test_a_row_that_could_become_wrong_is_left(text):
    assert edited(text=text) == {}


def test_a_name_that_is_the_answer_is_left():
    assert edited(text="Elara Voss saw it.", label="Elara Voss") == {}


def test_a_single_name_stays_a_given_or_a_family_name():
    assert edited(name="Elara", text="Elara saw it.")["text"].endswith(" saw it.")
    title = edited(name="Voss", text="Dr. Voss saw it.")["text"]
    assert title.startswith("Dr. ") and "Voss" not in title


@pytest.mark.parametrize(
    ("name", "texts", "person"),
    [
        (NAME, ["So says Elara Voss.", "Elara Voss saw it.", "Ask Elara Voss."], True),
        (NAME, ["This comes from Elara Voss."] * 30, False),
        ("New York", ["He lives in New York.", "New York said no."], False),
        ("Red Cross", ["The Red Cross said so.", "The Red Cross agreed."], False),
        ("Google", ["Google said so.", "Google said no."], False),
        ("Goldman Bank", ["Goldman Bank told us."], False),
        ("Maria", ["Maria, who knows it.", "Ask Maria."], True),
    ],
)
def test_only_names_of_persons_are_replaced(name, texts, person):
    assert is_person(texts, name) is person
