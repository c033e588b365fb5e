"""The job `preview`: a few rows of one task, shown before a run is started."""

from typing import TYPE_CHECKING, Any

from dagster import (
    Config,
    JobDefinition,
    MetadataValue,
    Nothing,
    OpExecutionContext,
    Out,
    in_process_executor,
    job,
    op,
)
from pydantic import Field

from assets.interrupts import canceled_by_signals
from assets.scope import LLM, Resources, Scope
from assets.step import readable_errors
from dagster_project.jobs import PREVIEW_JOB
from targen.errors import StepError

if TYPE_CHECKING:
    from targen.operators.preview import Call, Preview, PreviewRow


class PreviewConfig(Config):
    """Configuration of the job."""

    rows: int = Field(default=3, ge=1, description="Number of rows to make.")


def build(scope: Scope) -> JobDefinition:
    """Return the job, with one partition per task."""

    @op(
        name=scope.name("preview_rows"),
        # Without an output value, so that the IO manager writes nothing.
        out=Out(Nothing),
        description="Makes a few rows through all steps and writes no table.",
        required_resource_keys=scope.required(LLM),
    )
    async def preview_rows(context: OpExecutionContext, config: PreviewConfig) -> None:
        await _show(context, scope.resources(context), config.rows)

    @job(
        name=scope.name(PREVIEW_JOB),
        partitions_def=scope.partitions,
        executor_def=in_process_executor,
        description="A few rows of one task through all steps, with prompts, answers, verdicts "
        "and cost. Writes no table; a run reuses the answers that it asks for again.",
    )
    def preview_job() -> None:
        preview_rows()

    return preview_job


async def _show(context: OpExecutionContext, used: Resources, rows: int) -> None:
    """Show rows, prompts, answers and costs as metadata of the step's output.

    Raises:
        Failure: a step failed, or the endpoint, the budget or the store does not allow it.
    """
    from targen.operators.preview import few_rows, preview  # noqa: PLC0415 - not when loading

    llm = used.llm
    with readable_errors():
        spec = few_rows(used.tasks.load(context.partition_key), rows)
        with canceled_by_signals():
            found = await preview(
                spec,
                lambda step, name: llm.settings_at(name, context.run_id, spec.name, step),
            )
        for text in found.warnings:
            context.log.warning(text)
        context.add_output_metadata(_metadata(found))
        for number, row in enumerate(found.kept, 1):
            context.log.info(f"row {number}: {row.verdict.get('label')}: {dict(row.fields)!r}")
        if found.problem:
            # Metadata of a failed step is not shown.
            context.log.error(_markdown(found))
            raise StepError(found.problem)


def _metadata(found: "Preview") -> dict[str, Any]:
    from assets import markdown  # noqa: PLC0415 - not when loading

    costs = found.costs()
    total = costs[-1]
    return {
        "rows": len(found.kept),
        "calls": total["calls"],
        "found_in_store": total["stored"],
        "cost_usd": "unknown" if total["cost_usd"] is None else total["cost_usd"],
        "preview": MetadataValue.md(_markdown(found)),
        "costs": MetadataValue.md(markdown.table(costs, costs[0])),
    }


def _markdown(found: "Preview") -> str:
    """Return rows with their prompts and answers; every text is code, which renders nothing."""
    parts: list[str] = []
    calls = {call.request_id: call for call in found.calls}
    shown: set[str] = set()
    for number, row in enumerate(found.kept or found.rows, 1):
        parts += [f"## Row {number}", _row(row)]
        fresh = [name for name in row.request_ids if name not in shown]
        shown.update(fresh)
        parts += [_call(calls[name]) for name in fresh]
    return "\n\n".join(parts)


def _row(row: "PreviewRow") -> str:
    from assets import markdown  # noqa: PLC0415 - not when loading

    facts = {
        **row.fields,
        "intended": row.intended_label,
        "votes": row.votes or None,
        **row.verdict,
        "outcome": row.outcome,
        "detail": row.detail,
        "cost_usd": row.cost_usd,
        "tokens": row.tokens,
    }
    lines = [{"": name, "value": value} for name, value in facts.items() if value is not None]
    return markdown.table(lines, ["", "value"])


def _call(call: "Call") -> str:
    from assets import markdown  # noqa: PLC0415 - not when loading

    origin = "" if call.paid_now else ", from the store"
    texts = {"Instructions": call.instructions, "Data": call.data, "Answer": call.answer or ""}
    parts = [f"### {call.step}: {markdown.cell(call.model)}, serves {call.rows} rows{origin}"]
    parts += [f"{name}:\n\n{markdown.block(text)}" for name, text in texts.items()]
    return "\n\n".join(parts)
