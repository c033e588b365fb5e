"""Operators of labels: intended labels and blind annotation of instances."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from targen.errors import StepError
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.requests import answers, make_request, task_block
from targen.prompts.render import messages, object_schema
from targen.steps import INSTANCES, LABELS
from targen.tasks.answers import Label, agreement, majority
from targen.tasks.registry import operator
from targen.tasks.spec import TaskSpec

PROMPT = "labels/annotate.md"


def label_schema(spec: TaskSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a label; the options are the task's labels or the row's choices."""
    options = list(spec.labels) or list(row[spec.answer.choices or ""])
    one = {"type": "string", "enum": options}
    return {"type": "array", "items": one} if spec.answer.kind == "multi" else one


def row_block(spec: TaskSpec, row: Mapping[str, Any], question: bool = True) -> dict[str, Any]:
    """Return the data block of a prompt about one row: task, label definitions, and row."""
    block: dict[str, Any] = {"task": task_block(spec, question=question)}
    if spec.labels:
        block["labels"] = spec.label_definitions
    block["row"] = {name: row[name] for name, f in spec.fields.items() if not f.derived}
    return block


def label_in(value: Mapping[str, Any] | None) -> Label | None:
    """Return the label of a parsed answer: a sorted list for `multi`, None if it has no label."""
    label = (value or {}).get("label")
    if isinstance(label, list):
        return sorted({str(name) for name in label})
    return label if isinstance(label, str) else None


@operator(LABELS, "from_constraints", needs_labels=True)
async def from_constraints(step: StepInput, params: Any) -> StepResult:
    """Label each row with the labels whose constraints it was written for.

    Raises:
        StepError: rows were written without constraints.
    """
    if step.tables[INSTANCES]["intended_label"].null_count():
        raise StepError(
            "some rows were written for no label, so their constraints give none; "
            "choose the operator annotate"
        )
    return await intended(step, params)


@operator(LABELS, "intended")
async def intended(step: StepInput, params: Any) -> StepResult:
    """Use the intended label; no request is made."""
    rows = [
        {
            "instance_id": row["instance_id"],
            "intended_label": row["intended_label"],
            "label": row["intended_label"],
            "votes": [],
            "agreement": None,
            "request_ids": [],
        }
        for row in step.tables[INSTANCES].iter_rows(named=True)
    ]
    return StepResult(rows=rows, asked=len(rows))


class AnnotateParams(LLMParams):
    """Parameters of `annotate`."""

    temperature: float | None = Field(default=0.0, ge=0, le=2)
    max_output_tokens: int = Field(default=256, ge=1)
    votes: int = Field(default=1, ge=1)
    """number of independent annotations per row; odd, so that two labels cannot tie."""

    @field_validator("votes")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("votes must be odd")
        return value


@operator(LABELS, "annotate", AnnotateParams, PROMPT, needs_labels=True)
async def annotate(step: StepInput, params: AnnotateParams) -> StepResult:
    """Request a label for every row `votes` times, without showing the intended label.

    A row whose annotation fails gets a null label.

    Raises:
        StepError: more than half of the rows could not be annotated.
    """
    spec = step.spec
    instances = step.tables[INSTANCES].to_dicts()
    requests = []
    several = spec.answer.kind == "multi"
    for row in instances:
        prompt = messages(PROMPT, row_block(spec, row), several=several)
        schema = object_schema({"label": label_schema(spec, row)})
        requests += [
            make_request(params, prompt, schema, "label", edition=spec.edition, sample=sample)
            for sample in range(params.votes)
        ]
    outcomes = await answers(step.model, requests)
    result = StepResult(asked=len(instances))
    errors: list[str] = []
    for index, row in enumerate(instances):
        cast = outcomes[index * params.votes : (index + 1) * params.votes]
        votes = [label for outcome in cast if (label := label_in(outcome.value)) is not None]
        errors += [f"{o.status}: {o.error}" for o in cast if label_in(o.value) is None]
        label = majority(spec.answer.kind, votes)
        result.rows.append(
            {
                "instance_id": row["instance_id"],
                "intended_label": row["intended_label"],
                "label": label,
                "votes": votes,
                "agreement": agreement(spec.answer.kind, votes, label),
                "request_ids": [o.request_id for o in cast],
            }
        )
    unlabeled = sum(row["label"] is None for row in result.rows)
    if unlabeled * 2 > len(instances):
        first = errors[0] if errors else "the votes tie"
        raise StepError(f"{unlabeled} of {len(instances)} rows got no label; first: {first}")
    if unlabeled:
        result.warnings.append(f"{unlabeled} rows got no label from the annotator")
    return result
