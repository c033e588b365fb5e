"""The operators of a recipe's steps, and the function that runs one step of a task."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

import targen
from targen import steps
from targen.errors import PluginError
from targen.hashing import digest
from targen.lineage import ids
from targen.llm.types import LLM
from targen.operators import (  # noqa: F401 - importing them registers their operators
    attributes,
    bootstrap,
    contexts,
    contrast,
    correction,
    draw,
    example_growth,
    instances,
    labels,
    panel,
    seed_pages,
    seeds,
    vocabularies,
)
from targen.operators.base import StepInput, StepResult
from targen.prompts.render import prompt_for, template_digest
from targen.steps import CORRECTED_SET, INSTANCES, UPSTREAM
from targen.tasks.answers import LISTS
from targen.tasks.plugin_use import identity_of, plugins_of
from targen.tasks.registry import Operator, resolve
from targen.tasks.spec import TaskSpec

TARGETED: Final = (INSTANCES, CORRECTED_SET)
"""The steps that read the task's targets."""


@dataclass(frozen=True)
class StepOutput:
    """A step's table and its rejected items.

    Attributes:
        table: columns as `steps.schema(step, ...)`.
        rejected: columns as `steps.schema("rejected", ...)`.
        asked: number of items requested; equals rows (for instances: slots) plus rejected items.
        warnings: sentences for the log.
        planted: columns as `steps.PLANTED`; None if no errors were planted.
    """

    table: pl.DataFrame
    rejected: pl.DataFrame
    asked: int
    warnings: list[str]
    planted: pl.DataFrame | None = None


async def run_step(
    step: str,
    spec: TaskSpec,
    upstream: Mapping[str, pl.DataFrame],
    llm: LLM | None,
    readers: Mapping[str, LLM] | None = None,
    reviews: pl.DataFrame | None = None,
) -> StepOutput:
    """Run one step of a task and return its table.

    Args:
        step: a key of `UPSTREAM`.
        spec: the task.
        upstream: step -> table, for the steps in `UPSTREAM[step]`.
        llm: the engine.
        readers: endpoint -> its engine, for the endpoints that readers of a panel name.
        reviews: verdicts of human reviewers, for the corrected set.

    Raises:
        StepError: the step cannot make its table.
        PluginError: the operator of a plug-in failed, or its rows do not fit the table.
        EndpointError, BudgetError, StoreError: raised by the engine.
    """
    operator, params = resolve(spec.recipe.choice(step), step)
    result = await operator.run(StepInput(spec, upstream, llm, readers or {}, reviews), params)
    kind = spec.answer.kind
    columns = steps.schema(step, spec.field_types, kind)
    table = (
        steps.drained(result.rows, columns)
        if operator.code is None
        else _plugin_frame(operator, result, columns)
    )
    return StepOutput(
        table=table,
        rejected=rejected_frame(step, spec, result.rejected),
        asked=result.asked,
        warnings=result.warnings,
        planted=None
        if result.planted is None
        else steps.frame(result.planted, steps.schema(steps.PLANTED, {})),
    )


def _plugin_frame(operator: Operator, result: Any, columns: steps.Schema) -> pl.DataFrame:
    """Return the rows of a plug-in's operator as the table of its step."""
    start = f"{operator.code.place}: the operator '{operator.name}' returned"
    if not isinstance(result, StepResult):
        raise PluginError(f"{start} {type(result).__name__}; return a StepResult.")
    unknown = sorted({name for row in result.rows for name in row} - columns.keys())
    if unknown:
        raise PluginError(
            f"{start} rows with the column '{unknown[0]}'; the table {operator.step} has "
            f"{', '.join(columns)}."
        )
    try:
        return steps.frame(result.rows, columns)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise PluginError(f"{start} rows that do not fit its table: {error}") from error


def rejected_frame(
    step: str, spec: TaskSpec, rejected: Iterable[Mapping[str, Any]]
) -> pl.DataFrame:
    """Return the rejected items of a step, or of its `StepError`, as the `rejected` table."""
    rows = []
    for number, item in enumerate(rejected):
        item_id = ids.rejected_id(spec.name, step, number, item["request_ids"], item.get("slot"))
        row = {"item_id": item_id, **item, "step": step}
        for name in ("intended_label", "annotated_label", "corrected_label"):
            if isinstance(row.get(name), list):
                row[name] = ", ".join(row[name])
        rows.append(row)
    return steps.drained(rows, steps.schema(steps.REJECTED, {}))


def _answer_read(step: str, spec: TaskSpec) -> Any:
    """Return the parts of the task's section `answer` that a step reads."""
    answer = spec.answer
    match steps.REGISTRY[step].answer:
        case "names":
            return list(answer.labels)
        case "writing":
            labels: dict[str, list[Any]] = {
                name: [label.constraint, label.ways] for name, label in answer.labels.items()
            }
            if answer.kind in LISTS:
                # Prompts also show what the labels mean that a text must not have.
                for name, label in answer.labels.items():
                    labels[name] += [label.absent, label.definition]
            where = [] if answer.text is None else [answer.text]
            return [answer.kind, labels, answer.choices, answer.constraint, answer.ways, *where]
        case "judging":
            meanings = {
                n: label.definition or label.constraint for n, label in answer.labels.items()
            }
            # Hashing sorts keys, but the order of these labels decides a median.
            order: list[Any] = [list(answer.labels)] if answer.kind == "ordinal" else []
            order += [] if answer.text is None else [answer.text]
            parts = [answer.question, meanings, answer.choices, answer.options]
            return [answer.kind, *parts, *order]
        case _:
            return None


def made_by(step: str, spec: TaskSpec, reviews: str | None = None) -> dict[str, Any]:
    """Return how a step made its table, for audits.

    The record is self-contained, because task and recipe files may change later.

    Args:
        step: a key of `UPSTREAM`.
        spec: the task.
        reviews: identity of the human verdicts that the corrected set has; None without any.
    """
    operator, params = resolve(spec.recipe.choice(step), step)
    prompt = operator.prompt and prompt_for(operator.prompt, spec.answer.kind)
    plugins = plugins_of(step, spec)
    return {
        **({"plugins": plugins} if plugins else {}),
        "task": spec.name,
        "step": step,
        "recipe": spec.recipe.name,
        "operator": operator.name,
        "params": params.model_dump(mode="json"),
        "prompt": {"name": prompt, "sha256": template_digest(prompt)} if prompt else None,
        "step_digest": step_digest(step, spec, reviews),
        "project_version": targen.__version__,
        "answer_kind": spec.answer.kind,
        **({"order": list(spec.labels)} if spec.answer.kind == "ordinal" else {}),
        **({} if spec.answer.text is None else {"text": spec.answer.text}),
        "twin": None if spec.twin is None else spec.twin.model_dump(mode="json"),
        "contrast": spec.contrast,
        "upstream": [*UPSTREAM[step], *([] if reviews is None else [steps.REVIEWS])],
    }


def step_digest(step: str, spec: TaskSpec, reviews: str | None = None) -> str:
    """Return the sha256 of everything that determines a step's table, except upstream tables.

    It covers operator, parameters, prompt, schema version, the parts of the task that the step
    reads, including the content of files that the task names, and the versions of plug-ins.

    Args:
        step: a key of `UPSTREAM`.
        spec: the task.
        reviews: identity of the human verdicts, which only the corrected set reads; None without
            any.
    """
    choice = spec.recipe.choice(step)
    operator, params = resolve(choice, step)
    dumped = spec.model_dump(mode="json")
    names = (*steps.READ_BY_ALL, *steps.REGISTRY[step].reads, *operator.reads)
    parts = {name: dumped[name] if name in dumped else getattr(spec, name) for name in names}
    review = {} if reviews is None or step != steps.CORRECTED_SET else {"reviews": reviews}
    # Only where there are any, so that targets change no digest of a task without them.
    approved = [one.approved for one in spec.rounds if step in TARGETED]
    plugins = identity_of(step, spec)
    rounds = [[target.model_dump(mode="json") for target in one] for one in approved if one]
    return digest(
        {
            **({"targets": rounds} if rounds else {}),
            **({"plugins": plugins} if plugins else {}),
            "step": step,
            "schema_version": steps.SCHEMA_VERSION,
            "operator": operator.name,
            "params": params.model_dump(mode="json"),
            "prompt": template_digest(prompt_for(operator.prompt, spec.answer.kind))
            if operator.prompt
            else None,
            "task": parts,
            "answer": _answer_read(step, spec),
            "plan": spec.planned_labels if operator.per_slot or step == INSTANCES else None,
            **review,
        }
    )
