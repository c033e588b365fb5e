"""What the user brings in files: documents as seeds, rows to label."""

from typing import Any

from targen.errors import StepError
from targen.hashing import canonical
from targen.lineage import ids
from targen.operators.asking import rejection, tally, text_key
from targen.operators.base import StepInput, StepResult
from targen.tasks.registry import operator
from targen.tasks.validators import empty_field, first_violation, needed, too_long


def _checked(
    step: StepInput, found: list[dict[str, Any]], result: StepResult, only: bool, most: int | None
) -> list[tuple[int, dict[str, Any]]]:
    """Return (place, row) of the valid and different rows, at most `most`; reject the others."""
    spec, seen = step.spec, set()
    kept: list[tuple[int, dict[str, Any]]] = []
    for place, given in enumerate(found):
        if most is not None and len(kept) == most:
            break
        row = dict(given)
        result.asked += 1
        slot = None if only else place
        problem = empty_field(needed(row, spec)) or too_long(row, spec)
        problem = problem or first_violation(row, spec.validators, only, spec.language)
        if problem:
            result.rejected.append(rejection("invalid", problem, given, slot=slot))
        elif text_key(given) in seen:
            detail = "the same text stands in an earlier row of the file"
            result.rejected.append(rejection("duplicate", detail, given, slot=slot))
        else:
            seen.add(text_key(given))
            kept.append((place, row))
    if not kept:
        details = [str(row["detail"]) for row in result.rejected]
        raise StepError(
            f"not one row of the file is valid (rejected by: {tally(details)})", result.rejected
        )
    return kept


@operator("seeds", "file", reads=("seed_rows",))
async def seeds_file(step: StepInput, params: Any) -> StepResult:
    """Take the seeds of the task's file, in its order; they belong to no context.

    Raises:
        StepError: not one seed is valid.
    """
    wanted = step.spec.seeds
    kind = wanted.kind if wanted else "passage"
    result = StepResult()
    for _, row in _checked(step, step.spec.seed_rows, result, True, None):
        result.rows.append(
            {
                "seed_id": ids.seed_id(None, kind, row),
                "context_id": None,
                "kind": kind,
                "fields": canonical(row),
                "attributes": [],
            }
        )
    return result


@operator("instances", "file", reads=("given_rows",))
async def instances_file(step: StepInput, params: Any) -> StepResult:
    """Take the rows of the task's file, in its order, as many as the task asks for.

    They have no intended label: whoever labels them is the first to say.

    Raises:
        StepError: not one row is valid.
    """
    spec, result = step.spec, StepResult()
    for place, row in _checked(step, spec.given_rows, result, False, spec.wanted_instances):
        content = {name: row.get(name) for name in spec.fields}
        result.rows.append(
            {
                "instance_id": ids.instance_id(spec.name, place, None, content),
                "slot": place,
                "parent_ids": [],
                "depth": 0,
                **content,
            }
        )
    if len(result.rows) < spec.rows:
        result.warnings.append(f"the file holds {len(result.rows)} rows; {spec.rows} are wanted")
    return result
