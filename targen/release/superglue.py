"""Writes the eight tasks in SuperGLUE's file formats.

Sources: the files of SuperGLUE v2 (Wang et al. 2019), as the loaders of jiant and of Hugging
Face's `super_glue` read them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from targen.errors import TargenError
from targen.tasks.answers import normalise_span
from targen.tasks.spec import TaskSpec

Row = Mapping[str, Any]

SOURCE: Final = "TarGEN"
"""Value of ReCoRD's `source`, which is the newspaper in SuperGLUE."""

WIC_VERSION: Final = 1.1
FILES: Final = {"train": "train", "validation": "val", "test": "test"}
"""Split -> name of its file."""


@dataclass(frozen=True)
class Format:
    """One task's format.

    Attributes:
        folder: as SuperGLUE names it.
        fields: field -> type that the task must have.
        labels: the labels that the format can hold; empty for a span.
        line: takes a row and its number in the file; returns the object.
        one_file: a diagnostic set: all rows in `<folder>.jsonl`, with no splits.
    """

    folder: str
    fields: Mapping[str, str]
    labels: frozenset[str]
    line: Callable[[Row, int], dict[str, Any]]
    one_file: bool = False


def format_of(spec: TaskSpec) -> Format:
    """Return the format of a task that is one of the eight or extends one.

    Raises:
        TargenError: it is neither, or it has changed its fields or labels.
    """
    base = next((name for name in (spec.name, *spec.ancestors) if name in FORMATS), None)
    if base is None:
        raise TargenError(
            f"{spec.name} has no SuperGLUE format: only {', '.join(FORMATS)} and tasks that extend "
            "one of them have. Use --format jsonl, parquet or instructions."
        )
    form = FORMATS[base]
    for name, kind in form.fields.items():
        if spec.field_types.get(name) != kind:
            raise TargenError(
                f"{spec.name} cannot be written as SuperGLUE's {form.folder}: that needs the "
                f"field {name} of type {kind}."
            )
    strange = sorted(set(spec.labels) - form.labels)
    if strange or bool(spec.labels) != bool(form.labels):
        raise TargenError(
            f"{spec.name} cannot be written as SuperGLUE's {form.folder}: its labels are "
            f"{', '.join(spec.labels) or 'no fixed set'}, those of {form.folder} are "
            f"{', '.join(sorted(form.labels)) or 'no fixed set'}."
        )
    return form


def files(spec: TaskSpec, parts: Mapping[str, pl.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """Return path -> the objects of its lines, each file with `idx` from 0.

    Args:
        spec: the task.
        parts: split -> rows as `rows.finished` returns them; a diagnostic set ignores the splits.

    Raises:
        TargenError: the task has no SuperGLUE format, or a row does not fit it.
    """
    form = format_of(spec)
    if form.one_file:
        whole = pl.concat(list(parts.values()))
        return {f"{form.folder}/{form.folder}.jsonl": objects(form, whole)}
    return {
        f"{form.folder}/{FILES.get(name, name)}.jsonl": objects(form, part)
        for name, part in parts.items()
    }


def objects(form: Format, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Return one object per row, in order.

    Raises:
        TargenError: a row does not fit the format.
    """
    return [form.line(row, number) for number, row in enumerate(rows.iter_rows(named=True))]


def _boolq(row: Row, idx: int) -> dict[str, Any]:
    return {
        "question": row["question"],
        "passage": row["passage"],
        "idx": idx,
        "label": row["label"] == "true",
    }


def _entailment(row: Row, idx: int) -> dict[str, Any]:
    return {
        "premise": row["premise"],
        "hypothesis": row["hypothesis"],
        "label": row["label"],
        "idx": idx,
    }


def _axg(row: Row, idx: int) -> dict[str, Any]:
    return {**_entailment(row, idx), "pair_id": row["pair_id"]}


def _copa(row: Row, idx: int) -> dict[str, Any]:
    return {
        "premise": row["premise"],
        "choice1": row["choice1"],
        "choice2": row["choice2"],
        "question": row["question"],
        "label": int(row["label"]),
        "idx": idx,
    }


def _wic(row: Row, idx: int) -> dict[str, Any]:
    return {
        "word": row["word"],
        "sentence1": row["sentence1"],
        "sentence2": row["sentence2"],
        "idx": idx,
        "label": row["label"] == "true",
        "start1": row["start1"],
        "start2": row["start2"],
        "end1": row["end1"],
        "end2": row["end2"],
        "version": WIC_VERSION,
    }


def _wsc(row: Row, idx: int) -> dict[str, Any]:
    return {
        "text": row["text"],
        "target": {
            "span2_index": row["span2_index"],
            "span1_index": row["span1_index"],
            "span1_text": row["span1_text"],
            "span2_text": row["span2_text"],
        },
        "idx": idx,
        "label": row["label"] == "true",
    }


def mentions(passage: str, entities: list[str]) -> list[tuple[int, int, str]]:
    """Return start, end (inclusive) and text of every mention of the entities, in order.

    A mention begins and ends at word boundaries. Inside a longer entity a shorter one counts as no
    mention, unless it occurs nowhere else.
    """
    if not entities:
        return []
    longest_first = sorted(set(entities), key=lambda text: (-len(text), text))
    found = _matches(passage, longest_first)
    seen = {text for *_, text in found}
    for text in longest_first:
        if text not in seen:
            found += _matches(passage, [text])
    return sorted(found)


def _matches(passage: str, texts: list[str]) -> list[tuple[int, int, str]]:
    pattern = rf"(?<!\w)(?:{'|'.join(re.escape(text) for text in texts)})(?!\w)"
    return [(m.start(), m.end() - 1, m.group()) for m in re.finditer(pattern, passage)]


def _record(row: Row, idx: int) -> dict[str, Any]:
    label = normalise_span(row["label"] or "")
    found = mentions(row["passage"], row["entities"])
    answers = [
        {"start": start, "end": end, "text": text}
        for start, end, text in found
        if normalise_span(text) == label
    ]
    if not answers:
        raise TargenError(
            f"Row {row['instance_id']} cannot be written as ReCoRD: its answer {row['label']!r} is "
            "no entity of its passage. Materialise corrected_set again."
        )
    return {
        "source": SOURCE,
        "passage": {
            "text": row["passage"],
            "entities": [{"start": start, "end": end} for start, end, _ in found],
        },
        "qas": [{"query": row["query"], "answers": answers, "idx": idx}],
        "idx": idx,
    }


_TRUTH: Final = frozenset({"true", "false"})
_TWO_WAY: Final = frozenset({"entailment", "not_entailment"})
_PAIR: Final = {"premise": "text", "hypothesis": "text"}
_SPANS: Final = {
    "span1_index": "integer", "span1_text": "text",
    "span2_index": "integer", "span2_text": "text",
}  # fmt: skip
_PLACES: Final = dict.fromkeys(("start1", "end1", "start2", "end2"), "integer")
_CHOICES: Final = {"premise": "text", "choice1": "text", "choice2": "text", "question": "choice"}

FORMATS: Final[Mapping[str, Format]] = {
    "axg": Format("AX-g", {**_PAIR, "pair_id": "integer"}, _TWO_WAY, _axg, one_file=True),
    "boolq": Format("BoolQ", {"passage": "text", "question": "text"}, _TRUTH, _boolq),
    "cb": Format("CB", _PAIR, frozenset({"entailment", "contradiction", "neutral"}), _entailment),
    "copa": Format("COPA", _CHOICES, frozenset({"0", "1"}), _copa),
    "record": Format(
        "ReCoRD", {"passage": "text", "query": "text", "entities": "texts"}, frozenset(), _record
    ),
    "rte": Format("RTE", _PAIR, _TWO_WAY, _entailment),
    "wic": Format(
        "WiC", {"word": "text", "sentence1": "text", "sentence2": "text", **_PLACES}, _TRUTH, _wic
    ),
    "wsc": Format("WSC", {"text": "text", **_SPANS}, _TRUTH, _wsc),
}
"""Task -> its format."""
