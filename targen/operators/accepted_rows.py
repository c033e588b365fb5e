"""Examples and accepted rows, for operators that grow a data set from its own rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from targen.errors import StepError
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.base import StepInput, StepResult
from targen.operators.content import content_problem
from targen.operators.plan import attributes
from targen.operators.requests import (
    missing_item,
    numbered_items,
    rejected_row,
    rejection,
    tally,
    text_key,
)
from targen.operators.seeds import KIND, LABEL
from targen.prompts.render import field_schema
from targen.steps import SEEDS
from targen.tasks.answers import LISTS
from targen.tasks.guards import label_texts
from targen.tasks.spec import TaskSpec
from targen.tasks.validators import first_problem, fold


@dataclass(frozen=True)
class Example:
    """A row that can be shown in a prompt.

    Attributes:
        fields: all except derived ones.
        label: None if the task has no labels.
        seed_id: of the human-made example that this is or descends from.
        instance_id: None for a human-made example.
        depth: generations from a human-made example, whose depth is -1.
    """

    fields: Mapping[str, Any]
    label: str | None
    seed_id: str | None = None
    instance_id: str | None = None
    depth: int = -1


def human_examples(step: StepInput) -> list[Example]:
    """Return the human-made examples, in the task's order.

    Raises:
        StepError: there are none.
    """
    found = [
        Example(json.loads(row["fields"]), attributes(row).get(LABEL), row["seed_id"])
        for row in step.tables[SEEDS].iter_rows(named=True)
        if row["kind"] == KIND
    ]
    if not found:
        raise StepError(
            "the seeds contain no example to grow from; the operator of the recipe's step `seeds` "
            "must be `examples`"
        )
    return found


def written_fields(spec: TaskSpec, order: Sequence[str] = ()) -> list[str]:
    """Return the fields that a model writes, with those of `order` first."""
    names = [n for n, f in spec.fields.items() if not f.derived and not f.planned]
    return [*order, *(name for name in names if name not in order)]


def field_properties(spec: TaskSpec, names: Sequence[str]) -> dict[str, Any]:
    """Return field -> schema, in this order."""
    fields = ((name, spec.fields[name]) for name in names)
    return {name: field_schema(f.type, f.values, optional=f.optional) for name, f in fields}


def values_of(spec: TaskSpec, item: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of an item; planned values override the answer."""
    return {name: given.get(name, item.get(name)) for name in spec.shown_fields}


def invalid(
    spec: TaskSpec, values: dict[str, Any], label: str | None, request: Request | None = None
) -> str | None:
    """Return the problem with a row, or None if it is valid; fills in derived fields.

    `request` is the request that was answered, whose instructions must not be repeated.
    """
    problem = first_problem(values, spec) or content_problem(
        values,
        spec,
        request,
        label_texts(spec),
        [example.fields for example in spec.examples],
        spec.labels,
    )
    if problem is None and spec.answer.kind == "span":
        options = values[spec.answer.choices or ""] or []
        if len({fold(str(option)) for option in options}) < len(options):
            return f"options: {spec.answer.choices} holds one twice"
        if label not in options:
            return f"answer: it is not among {spec.answer.choices}"
    return problem


class AcceptedRows:
    """The accepted rows of a growing data set, in order.

    A row's slot is its index, so a larger data set begins with the rows of a smaller one.

    Raises:
        StepError: these operators do not support the task's kind of answer.
    """

    def __init__(self, step: StepInput, method: str) -> None:
        spec = step.spec
        if spec.twin is not None or spec.answer.kind in LISTS:
            what = "pairs" if spec.twin is not None else "rows with several labels"
            raise StepError(f"{method} does not make {what}; use label_constrained")
        self.spec, self.method = spec, method
        self.rows: list[dict[str, Any]] = []
        self._rejected: list[dict[str, Any]] = []
        self._seen: set[str] = set()

    @property
    def missing(self) -> int:
        """Number of rows still wanted."""
        return self.spec.slots_wanted - len(self.rows)

    def reject(
        self, reason: str, detail: str, item: Any, outcome: Outcome, label: str | None = None
    ) -> None:
        """Record a rejected item."""
        found = rejection(reason, detail, item, outcome.request_id, intended_label=label)
        self._rejected.append(found)

    def items(
        self, outcome: Outcome, labels: Sequence[str | None]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (index, item) of an answer; record the missing items."""
        found = numbered_items(outcome, "slot", len(labels))
        for index, label in enumerate(labels):
            if index + 1 in found:
                yield index, found[index + 1]
            else:
                self._rejected.append(missing_item(outcome, intended_label=label))

    def add(
        self,
        values: dict[str, Any],
        label: str | None,
        parents: Sequence[Example],
        seed_id: str | None,
        outcome: Outcome,
    ) -> Example | None:
        """Add a valid row; return None if it is a duplicate."""
        fields = {name: values.get(name) for name in self.spec.fields}
        shown = {name: fields[name] for name in self.spec.shown_fields}
        key = text_key(shown)
        if key in self._seen:
            detail = "an earlier row has the same text"
            self.reject("duplicate", detail, fields, outcome, label)
            return None
        self._seen.add(key)
        slot = len(self.rows)
        instance_id = ids.instance_id(self.spec.name, slot, label, fields)
        depth = 1 + max(parent.depth for parent in parents)
        self.rows.append(
            {
                "instance_id": instance_id,
                "slot": slot,
                "seed_id": seed_id,
                "context_id": None,
                "parent_ids": [p.instance_id for p in parents if p.instance_id is not None],
                "depth": depth,
                "intended_label": label,
                **fields,
                "rationale": None,
                "request_id": outcome.request_id,
            }
        )
        return Example(shown, label, seed_id, instance_id, depth)

    def result(self) -> StepResult:
        """Return the wanted rows; further rows are rejected as surplus.

        Raises:
            StepError: fewer than half of the wanted rows exist.
        """
        spec, wanted = self.spec, self.spec.slots_wanted
        result = StepResult(
            rows=self.rows[:wanted],
            rejected=list(self._rejected),
            asked=len(self.rows) + len(self._rejected),
        )
        if len(result.rows) * 2 < spec.wanted_rows:
            raise StepError(self._failure(), self._rejected)
        for row in self.rows[wanted:]:
            detail = "not needed for the rows wanted; growing takes it back"
            result.rejected.append(rejected_row(spec, row, "surplus", detail))
        if self.missing > 0:
            result.warnings.append(
                f"{self.method} stopped at {len(self.rows)} of {wanted} instances, because its "
                "calls returned nothing new; raise `temperature` or add examples"
            )
        return result

    def _failure(self) -> str:
        details = [row["detail"] for row in self._rejected]
        first = details[0] if details else "no items were requested"
        return (
            f"{self.method} accepted {len(self.rows)} of {len(self.rows) + len(self._rejected)} "
            "items before its calls stopped returning new ones; "
            f"rejected by: {tally(details)}; first: {first}. Try a stronger model"
        )
