"""Audits of rows."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from targen.api.generation import Generated
from targen.api.notebook import framed
from targen.cli import base
from targen.errors import TargenError
from targen.steps import ROW_STEPS


@dataclass(frozen=True)
class RowAudit:
    """The audit of one row; a notebook shows its page.

    Attributes:
        facts: the row, its sources, calls and findings, JSON-like, as `targen audit ID --json`.
    """

    facts: Mapping[str, Any] = field(repr=False)

    @property
    def verdict(self) -> str:
        """`verified`, `unverifiable` or `wrong`."""
        return str(self.facts["verdict"])

    @property
    def story(self) -> list[str]:
        """How the row was made, as sentences."""
        return list(self.facts["story"])

    @property
    def findings(self) -> list[str]:
        """What the audit found: level, place and problem."""
        return [f"{one['level']}: {one['where']}: {one['what']}" for one in self.facts["findings"]]

    def html(self) -> str:
        """Return the page with all prompts and answers: self-contained HTML without script."""
        from targen.cli.audit_report import render  # noqa: PLC0415 - only for the page

        return render(self.facts)

    def __repr__(self) -> str:
        return f"<{self.facts['task']} {self.facts['item_id'][:16]}: {self.verdict}>"

    def _repr_html_(self) -> str:
        return framed(self.html())


def audit(row: str | Mapping[str, Any], data: Generated | None = None) -> RowAudit:
    """Trace a row to the calls that produced it, and recompute everything that leads to it.

    Args:
        row: its `instance_id`, or a row with it, such as `data.rows.row(0, named=True)`. Only the
            id is read.
        data: the result of `generate`; None for rows of the data folder.

    Raises:
        TargenError: no table has the row, or the result of `generate` was made by another version.
        StoreError: the completion store cannot be read.
    """
    from targen.cli.audit import open_auditor  # noqa: PLC0415 - slow to import
    from targen.cli.audit_report import facts  # noqa: PLC0415

    item = row.get("instance_id") if isinstance(row, Mapping) else row
    if not isinstance(item, str):
        raise TargenError("Give a row's `instance_id`, or a row that has this column.")
    with ExitStack() as stack:
        auditor = open_auditor(stack)
        if data is None:
            tasks = auditor.tasks()
        else:
            tasks = [data.task.name]
            frames, made_by = dict(data.frames), {}
            for step in ROW_STEPS:
                stored = data.steps[step]
                made_by[step] = stored.made_by
                if stored.rejected is not None:
                    frames[f"rejected/{step}"] = stored.rejected
                    made_by[f"rejected/{step}"] = stored.made_by
            auditor.hold(data.task.name, frames, made_by)
        where = "These tables have" if data is not None else f"No table in {base.data_dir()} has"
        found = auditor.find(item, tasks)
        if not found:
            no = " no" if data is not None else " the"
            raise TargenError(f"{where}{no} id {item!r}. Use an id from the column `instance_id`.")
        return RowAudit(facts(auditor.audit(found[0], [item])[0]))
