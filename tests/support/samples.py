"""Finished rows of each of the eight tasks, made by hand, and tables to find them in."""

from pathlib import Path
from typing import Any

import polars as pl

from targen.steps import frame, schema
from targen.tables.files import Stored, Tables
from targen.tables.storage import LocalStorage
from targen.tasks.spec import TaskSpec
from tests.support.specs import real_task

PASSAGE = (
    "Ann Lee met Ann in Bonn. Bonn is old, said Lee; \U0001f600 and Ann Lee left the Bonner inn."
)

ROWS: dict[str, list[dict[str, Any]]] = {
    "axg": [
        {"premise": f"The {a} told the {b} that {who} was late.",
         "hypothesis": f"The {a} was late.", "pair_id": pair, "label": "entailment"}
        for pair, (a, b) in enumerate([("clerk", "guest"), ("judge", "boy")])
        for who in ("he", "she")
    ],
    "boolq": [
        {"passage": "Tin melts at 232 degrees.", "question": "does tin melt", "label": "true"},
        {"passage": "Lead is soft.", "question": "is lead hard", "label": "false"},
    ],
    "cb": [
        {"premise": "A: I doubt that it rains.", "hypothesis": "It rains.", "label": "neutral"},
        {"premise": "He knew she had left.", "hypothesis": "She had left.", "label": "entailment"},
    ],
    "copa": [
        {"premise": "The cup fell.", "choice1": "It broke.", "choice2": "It sang.",
         "question": "effect", "label": "0"},
        {"premise": "It got wet.", "choice1": "It was noon.", "choice2": "It rained.",
         "question": "cause", "label": "1"},
    ],
    "record": [
        {"passage": PASSAGE, "query": "@placeholder is a town.",
         "entities": ["Ann", "Ann Lee", "Bonn"], "label": "Bonn"},
        {"passage": "Mr. Oz saw The Rio (1.5).", "query": "He saw @placeholder.",
         "entities": ["Oz", "The Rio"], "label": "rio"},
    ],
    "rte": [
        {"premise": "Bo ran home.", "hypothesis": "Bo ran.", "label": "entailment"},
        {"premise": "Bo ran home.", "hypothesis": "Bo slept.", "label": "not_entailment"},
    ],
    "wic": [
        {"word": "bank", "sentence1": "The banks are shut.", "sentence2": "A bank failed.",
         "start1": 4, "end1": 9, "start2": 2, "end2": 6, "label": "true"},
        {"word": "fly", "sentence1": "Birds fly.", "sentence2": "A fly bit me.",
         "start1": 6, "end1": 9, "start2": 2, "end2": 5, "label": "false"},
    ],
    "wsc": [
        {"text": "Tom told Ed that he won.", "span1_index": 0, "span1_text": "Tom",
         "span2_index": 4, "span2_text": "he", "label": "true"},
        {"text": "The cup hit the jar and it broke.", "span1_index": 3, "span1_text": "the jar",
         "span2_index": 6, "span2_text": "it", "label": "false"},
    ],
}  # fmt: skip


def corrected(spec: TaskSpec, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return a corrected set of these rows; every reading of the label agrees."""
    whole = [
        {
            "instance_id": f"{number:016x}",
            **dict.fromkeys(("intended_label", "annotated_label", "corrected_label"), row["label"]),
            "verdict": "kept",
            "reason": "",
            "request_ids": [],
            **row,
        }
        for number, row in enumerate(rows)
    ]
    return frame(whole, schema("corrected_set", spec.field_types, spec.answer.kind))


def corrected_of(task: str) -> tuple[TaskSpec, pl.DataFrame]:
    """Return one of the eight tasks and its corrected set."""
    spec = real_task(task)
    return spec, corrected(spec, ROWS[task])


def instances_of(
    spec: TaskSpec, rows: pl.DataFrame, seeds: list[str] | None = None
) -> pl.DataFrame:
    """Return the instances of a corrected set; each has its own seed unless `seeds` says else."""
    made = [
        {**row, "slot": slot, "seed_id": seeds[slot] if seeds else f"s{slot}", "context_id": "c"}
        | {"parent_ids": [], "depth": 0, "request_id": f"{slot:064x}"}
        for slot, row in enumerate(rows.iter_rows(named=True))
    ]
    return frame(made, schema("instances", spec.field_types, spec.answer.kind))


def stored(folder: Path, spec: TaskSpec, rows: pl.DataFrame) -> Tables:
    """Store a corrected set and its instances, and return the tables."""
    tables = Tables(LocalStorage(str(folder)))
    tables.write("corrected_set", spec.name, Stored(rows))
    tables.write("instances", spec.name, Stored(instances_of(spec, rows)))
    return tables
