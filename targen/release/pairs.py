"""Preference pairs: what was kept against what was rejected or corrected."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from targen.errors import TableError
from targen.release.instructions import conversations, readable
from targen.steps import INSTANCES
from targen.tables.files import Tables
from targen.tasks.answers import ONE_LABEL
from targen.tasks.spec import TaskSpec

WRITTEN: Final = "written"
LABELED: Final = "labeled"
"""What a pair is about: two rows for one slot, or two labels of one row."""
_NOT_WORSE: Final = ("surplus", "duplicate", "dropped")
"""Reasons for rejection that say nothing about the text alone."""

Pair = dict[str, Any]


class Pairs:
    """The pairs of a task's current tables.

    Raises:
        TableError: a table is missing, or the tables have no pair.
    """

    def __init__(self, spec: TaskSpec, tables: Tables) -> None:
        self._spec = spec
        stored = tables.read(INSTANCES, spec.name)
        self._instances = {row["instance_id"]: row for row in stored.table.iter_rows(named=True)}
        self._rejected: dict[int, list[Mapping[str, Any]]] = {}
        if stored.rejected is not None:
            for item in stored.rejected.iter_rows(named=True):
                if item["slot"] is not None and item["reason"] not in _NOT_WORSE:
                    self._rejected.setdefault(item["slot"], []).append(item)

    def of(self, rows: pl.DataFrame) -> Iterator[Pair]:
        """Yield the pairs of finished rows: prompt, chosen and rejected messages, and their source.

        The prompts are those of `instructions`, so that they do not depend on the recipe.
        """
        for row, talk in zip(
            rows.iter_rows(named=True), conversations(self._spec, rows), strict=True
        ):
            yield from self._written(row)
            if self._spec.answer.kind in (*ONE_LABEL, "span"):
                yield from self._labeled(row, talk["messages"])

    def _written(self, row: Mapping[str, Any]) -> Iterator[Pair]:
        instance = self._instances.get(row["instance_id"])
        if instance is None:
            return
        names = [
            name
            for name, field in self._spec.fields.items()
            if not field.derived and not field.planned and name not in self._spec.seed_fields
        ]
        kept = _shown({name: row[name] for name in names})
        prompt = self._order(instance, names)
        for item in self._rejected.get(instance["slot"], ()):
            other = _fields(item["text"], names)
            if other is not None and _shown(other) != kept:
                yield _pair(prompt, kept, _shown(other), WRITTEN, item["reason"], row)

    def _order(self, instance: Mapping[str, Any], names: list[str]) -> list[dict[str, str]]:
        """Return the messages that ask for a row like this one."""
        spec, label = self._spec, instance["intended_label"]
        parts = [f"{spec.title}. {' '.join(spec.description.split())}"]
        labels = label if isinstance(label, list) else [label]
        for name in labels:
            if name in spec.labels:
                parts.append(f"{name}: {' '.join(spec.labels[name].constraint.split())}")
        if instance["planned_way"]:
            parts.append(f"Way: {instance['planned_way']}.")
        given = {name: instance[name] for name in spec.seed_fields if name in instance}
        given |= {name: instance[name] for name in spec.planned if name in instance}
        wish = [
            f"{readable(name)}: {' '.join(spec.fields[name].description.split())}" for name in names
        ]
        user = "\n".join([*([_shown(given)] if given else []), "Write:", *wish])
        return [
            {"role": "system", "content": "\n\n".join(parts)},
            {"role": "user", "content": user},
        ]

    def _labeled(self, row: Mapping[str, Any], messages: list[dict[str, str]]) -> Iterator[Pair]:
        """Yield a pair for each other label that a reader or the plan gave the row."""
        *prompt, answer = messages
        others = {
            name: row[name] for name in ("intended_label", "annotated_label", "corrected_label")
        }
        seen = {row["label"], None}
        for name, label in others.items():
            if label not in seen:
                seen.add(label)
                yield _pair(prompt, answer["content"], str(label), LABELED, name, row)


def _pair(
    prompt: list[dict[str, str]],
    chosen: str,
    rejected: str,
    about: str,
    why: str,
    row: Mapping[str, Any],
) -> Pair:
    """Return a pair in the conversational preference format of TRL, with its source."""
    return {
        "prompt": prompt,
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "about": about,
        "why": why,
        "instance_id": row["instance_id"],
    }


def _fields(text: str | None, names: list[str]) -> dict[str, Any] | None:
    """Return the written fields of a rejected item; None if one is missing."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(found, dict) or any(not found.get(name) for name in names):
        return None
    return {name: found[name] for name in names}


def _shown(fields: Mapping[str, Any]) -> str:
    """Return fields as text, in the form of the conversations."""
    if len(fields) == 1:
        (value,) = fields.values()
        return _text(value)
    return "\n".join(f"{readable(name)}: {_text(value)}" for name, value in fields.items())


def _text(value: Any) -> str:
    return "".join(f"\n- {one}" for one in value) if isinstance(value, list) else str(value)


def no_pairs(spec: TaskSpec) -> TableError:
    """Return the error of tables without a pair."""
    return TableError(
        f"The tables of {spec.name} have no preference pair: no slot has a kept and a rejected "
        "text, and no reader disagreed with a final label. A recipe with retries and blind "
        "readers, such as targen, makes them."
    )
