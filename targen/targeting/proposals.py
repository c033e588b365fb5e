"""The step `targets`: its table, its page and the file with new proposals."""

from collections.abc import Mapping
from typing import Any

from targen.hashing import digest
from targen.quality.inputs import for_task
from targen.quality.page import template
from targen.steps import INSTANCES, QUALITY_REPORT, SCHEMA_VERSION, TARGETS
from targen.tables.files import Stored
from targen.targeting import detectors, effect, table
from targen.targeting.gaps import View
from targen.tasks import references
from targen.tasks.spec import TaskSpec
from targen.tasks.targets import SUFFIX, TargetsFile, reason_not_refinable, text_of


def computed(
    spec: TaskSpec,
    above: Mapping[str, Stored],
    report: Mapping[str, Any],
    version: str,
    content: TargetsFile,
) -> tuple[Stored, TargetsFile]:
    """Return the table of targets, with its page, and the file with new proposals.

    Args:
        spec: the task.
        above: contexts, instances and corrected set.
        report: the JSON of the quality report.
        version: data version of the report's table.
        content: the file of targets so far.

    Raises:
        TableError: the reference data or the unlabeled pool cannot be read.
    """
    inputs = for_task(
        spec,
        {name: stored.table for name, stored in above.items()},
        reference=references.of(spec).rows,
    )
    view = View(spec, inputs, report, references.unlabeled(spec))
    reason = reason_not_refinable(spec.recipe.choice(INSTANCES).operator)
    content = table.proposing(content, version, [] if reason else detectors.targets(view))
    made = [one for part in content.rounds for one in part.targets]
    after = {one.target_id: effect.current(view, one) for one in made}
    said = [f"{reason[:1].upper()}{reason[1:]}."] if reason else detectors.notes(view)
    rows = table.frame(content, after)
    page = template("targets.html.jinja").render(
        task=spec.name,
        title=spec.title,
        simulated=report["simulated"],
        banner=report["banner"],
        rounds=_by_round(rows.to_dicts()),
        notes=said,
    )
    # `after` makes the table depend on the rows, so the digest is of what the user can change.
    pool = references.unlabeled_identity(spec)
    read = digest(
        {
            "step": TARGETS,
            "schema_version": SCHEMA_VERSION,
            "report": version,
            "rounds": [one.model_dump(mode="json") for one in content.rounds],
            **({"unlabeled": pool} if pool else {}),
        }
    )
    made_by = {
        "task": spec.name,
        "step": TARGETS,
        "step_digest": read,
        "upstream": [*above, QUALITY_REPORT],
        "notes": said,
    }
    pages = {"html": page, SUFFIX: text_of(content)}
    return Stored(rows, step_digest=read, pages=pages, made_by=made_by), content


def _by_round(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rounds, the newest first, with their targets."""
    numbers = sorted({row["round"] for row in rows}, reverse=True)
    return [
        {"number": number, "made": some[0]["made"], "targets": some}
        for number in numbers
        if (some := [row for row in rows if row["round"] == number])
    ]
