"""Tasks in other languages: prompts ask for it, validators are told, English stays as it was."""

import pytest

from targen.errors import SpecError
from targen.operators.requests import task_block
from targen.prompts.render import messages
from targen.tasks.validators import first_violation
from tests.operators.test_generation import tables_of
from tests.support.models import block_of, random_model
from tests.support.specs import MOOD, real_task, spec_of

GERMAN = MOOD.replace("rows: 8", "rows: 8\nlanguage: de")
WORD = [{"word_form": {"word": "word", "sentence": "text", "start": "start", "end": "end"}}]


async def test_every_prompt_asks_for_the_language(tmp_path):
    model = random_model()
    await tables_of(spec_of(tmp_path, GERMAN), model)
    assert {r.schema_name for r in model.history} == {
        "contexts", "seeds", "instances", "label", "correction",
    }  # fmt: skip
    for request in model.history:
        assert "Write every text of your answer in German" in request.messages[0]["content"]
        assert block_of(request)["task"]["language"] == "German"


def test_english_prompts_say_nothing_of_it(tmp_path):
    block = {"task": task_block(spec_of(tmp_path))}
    assert "language" not in block["task"]
    assert "Write every text" not in messages("labels/annotate.md", block)[0]["content"]


def test_an_unknown_language_is_told(tmp_path):
    with pytest.raises(SpecError, match=r"mood\.yaml:5: language: unknown language; valid: ar, "):
        spec_of(tmp_path, MOOD.replace("rows: 8", "rows: 8\nlanguage: klingon"))


def test_gender_is_swapped_in_english_only(tmp_path):
    numbered = "  note: {description: the note}\n  number: {type: integer, derived: true}"
    text = GERMAN.replace("  note: {description: the note}", numbered)
    with pytest.raises(SpecError, match="supported for English only"):
        spec_of(tmp_path, text + "twin: {swap: gender, fields: [note], id_field: number}\n")


@pytest.mark.parametrize(
    ("word", "text", "language", "span"),
    [
        ("haus", "Die alten Häuser stehen noch.", "de", (10, 16)),
        ("haus", "Die alten Häuser stehen noch.", "en", None),
        ("gehen", "Sie ging nach Hause.", "de", (4, 8)),
        ("go", "She went home.", "en", (4, 8)),
        ("go", "She went home.", "de", None),
        ("kuća", "Ovo je kuća.", "hr", (7, 11)),
    ],
)
def test_word_forms_are_found_in_the_task_s_language(word, text, language, span):
    row = {"word": word, "text": text}
    problem = first_violation(row, WORD, language=language)
    assert (problem is None) == (span is not None)
    if span:
        assert (row["start"], row["end"]) == span


async def test_a_german_task_is_german_from_fields_to_labels():
    spec = real_task("ticket_urgency-de", rows=12)
    assert spec.language == "de"
    assert list(spec.labels) == ["niedrig", "normal", "hoch", "kritisch"]
    made = await tables_of(spec, random_model(), "instances")
    assert {"betreff", "nachricht"} < set(made["instances"].table.columns)
