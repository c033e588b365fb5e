"""Formats rows as conversations for instruction tuning."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from targen.hashing import rng
from targen.tasks.sections import ENGLISH, LANGUAGES
from targen.tasks.spec import TaskSpec

Row = Mapping[str, Any]

NO_LABEL: Final = "none"
"""The assistant's reply if none of several labels applies."""

_ONE_OF: Final = (
    "Reply with one of these labels and nothing else:",
    "Your whole reply is exactly one of the labels below.",
    "Choose the label that fits, and write only that label:",
)
_SOME_OF: Final = (
    f"Reply with every label that applies, separated by commas, or with {NO_LABEL}:",
    f"List all labels that fit, with commas between them. If there is no such label, write "
    f"{NO_LABEL}.",
    f"Which of these labels apply? Write them with commas between them, or write {NO_LABEL}:",
)
_ENTRY_OF: Final = (
    "Reply with one entry of {choices}, word for word, and nothing else.",
    "Your whole reply is the right entry of {choices}, exactly as it is written there.",
    "Pick the entry of {choices} that is right, and copy it as it stands.",
)
_ENTITIES: Final = (
    f"Reply with every entity as `type: text`, one a line, or with {NO_LABEL}. The types:",
    f"List the entities, one a line, each as `type: text`. If there is none, write {NO_LABEL}. "
    "Types:",
    f"Which entities of these types occur? Write `type: text` for each, one a line, or {NO_LABEL}:",
)
_WRITE: Final = (
    "Write {field}: {description}.",
    "Now give {field}: {description}.",
    "What is wanted is {field}: {description}.",
)
_FREE: Final = (
    "Do what the user asks, and answer with nothing else.",
    "You are given an instruction. Carry it out and give only the result.",
    "Follow the instruction of the user exactly.",
)


def conversations(spec: TaskSpec, rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield one `{"messages": [system, user, assistant]}` per row, in order.

    The system message describes the task and its labels, in a wording chosen by the row's id. The
    user message has the row's fields, the assistant message the label. For tasks without answers,
    the assistant writes the row's last field from the others. Tasks with the fields `instruction`
    and `output` are used as they are.
    """
    for row in rows.iter_rows(named=True):
        wording = rng("instructions", row["instance_id"]).randrange(len(_ONE_OF))
        system, user, assistant = _turns(spec, row, wording)
        yield {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
                {"role": "assistant", "content": assistant},
            ]
        }


def _turns(spec: TaskSpec, row: Row, wording: int) -> tuple[str, str, str]:
    if spec.answer.kind != "none":
        system = "\n\n".join([_about(spec), *_asked(spec, wording)])
        between = "\n" if spec.answer.kind == "spans" else ", "
        return system, _shown(row, spec.shown_fields), _answer(row["label"], between)
    given = spec.shown_fields
    if {"instruction", "output"} <= set(given):
        user = [row["instruction"], row.get("input") or ""]
        return _FREE[wording], "\n\n".join(text for text in user if text), row["output"]
    *others, last = given
    description = spec.fields[last].description.rstrip(".") or spec.title
    wish = _WRITE[wording].format(field=readable(last), description=description)
    shown = _shown(row, others)
    return _about(spec), f"{shown}\n\n{wish}" if shown else wish, _text(row[last], "\n\n")


def _about(spec: TaskSpec) -> str:
    text = f"{spec.title}. {' '.join(spec.description.split())}"
    return text if spec.language == ENGLISH else f"{text} The texts are {LANGUAGES[spec.language]}."


def _asked(spec: TaskSpec, wording: int) -> list[str]:
    """Return the question and the form of the answer."""
    answer = spec.answer
    if answer.kind == "span":
        how = _ENTRY_OF[wording].format(choices=readable(answer.choices or ""))
    else:
        lines = [f"- {name}: {text}" for name, text in spec.label_definitions.items()]
        if answer.kind == "spans":
            how = "\n".join([_ENTITIES[wording], *lines])
            return [text for text in (answer.question.strip(), how) if text]
        how = "\n".join([(_SOME_OF if answer.kind == "multi" else _ONE_OF)[wording], *lines])
    return [text for text in (answer.question.strip(), how) if text]


def _shown(row: Row, names: list[str]) -> str:
    lines = []
    for name in names:
        value = row[name]
        if isinstance(value, list):
            value = "".join(f"\n- {entry}" for entry in value)
            lines.append(f"{readable(name)}:{value}")
        elif isinstance(value, bool):
            lines.append(f"{readable(name)}: {str(value).lower()}")
        # An optional field may be empty.
        elif value not in (None, ""):
            lines.append(f"{readable(name)}: {value}")
    return "\n".join(lines)


def _answer(label: str | list[str] | None, between: str = ", ") -> str:
    if isinstance(label, list):
        return between.join(label) or NO_LABEL
    return label or NO_LABEL


def _text(value: Any, between: str) -> str:
    return between.join(value) if isinstance(value, list) else str(value)


def readable(name: str) -> str:
    """Return a field's name as words."""
    return name.replace("_", " ")
