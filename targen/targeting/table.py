"""The table of targets, and how the file of targets changes from round to round."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from targen import steps
from targen.steps import TARGETS
from targen.tasks.targets import STRUCK, Round, Target, TargetsFile


def proposing(content: TargetsFile, report: str, found: Sequence[Target]) -> TargetsFile:
    """Return the file with new proposals; what the user changed in equal ones is kept.

    A target is struck from the start if the user struck the same gap before.

    Args:
        content: the file.
        report: data version of the report that the proposals come from.
        found: the proposals.
    """
    earlier = [content.proposed, *content.rounds] if content.proposed else content.rounds
    known = {one.target_id: one for one in (content.proposed.targets if content.proposed else ())}
    struck = {gap(one) for part in earlier for one in part.targets if one.status == STRUCK}
    targets = []
    for one in found:
        fresh = one.model_copy(update={"status": STRUCK}) if gap(one) in struck else one
        targets.append(known.get(one.target_id, fresh))
    proposed = Round(report=report, targets=targets) if targets else None
    return content.model_copy(update={"proposed": proposed})


def beginning(content: TargetsFile, failed_gates: int) -> TargetsFile:
    """Return the file in which the proposals are the next round."""
    assert content.proposed is not None
    begun = content.proposed.model_copy(update={"failed_gates": failed_gates})
    return content.model_copy(update={"proposed": None, "rounds": [*content.rounds, begun]})


def gap(target: Target) -> tuple[Any, ...]:
    """Return what identifies the gap of a target in every round."""
    return (
        target.kind,
        target.metric,
        target.slice,
        target.label,
        target.field,
        target.least_words,
        target.edit,
    )


def frame(content: TargetsFile, after: Mapping[str, float | None]) -> pl.DataFrame:
    """Return the table of targets.

    Args:
        content: the file.
        after: target id -> the figure's value in the current report.
    """
    rounds = [(number, True, one) for number, one in enumerate(content.rounds, 1)]
    if content.proposed is not None:
        rounds.append((len(content.rounds) + 1, False, content.proposed))
    rows = [
        {
            **one.model_dump(mode="json", exclude={"attributes", "avoid", "rows", "sources"}),
            "round": number,
            "made": made,
            "after": after.get(one.target_id),
            "attributes": [{"name": k, "value": v} for k, v in one.attributes.items()],
            "avoid_words": one.avoid.words,
            "avoid_templates": one.avoid.templates,
            "avoid_names": one.avoid.names,
            "avoid_openings": one.avoid.openings,
            "row_ids": one.replaced,
            "source_ids": one.source_ids,
            "report": part.report,
        }
        for number, made, part in rounds
        for one in part.targets
    ]
    return steps.frame(rows, steps.schema(TARGETS, {}))
