"""Converts an audit to the JSON-like data that `--json`, the text and the HTML page show."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from targen.cli import audit_story as story
from targen.lineage.audit import Audit, verdict_of
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import Finding, Item
from targen.tables.files import key_of

_LAST = 253402300800.0
"""The year 10000, of which Python knows nothing."""


def facts(audit: Audit) -> dict[str, Any]:
    """Return everything that an audit of one row knows, JSON-like."""
    way = audit.way
    known: dict[str, Any] = {
        "task": way.task,
        "item_id": way.item_id,
        "verdict": audit.verdict,
        "findings": [asdict(f) for f in _unique([*audit.findings, *audit.file_findings])],
        "totals": totals([audit.completions[name] for name in audit.own]),
        "items": [_item(item) for item in way.items],
        "completions": [_completion(one, audit) for one in audit.completions.values()],
        "tables": [_table(asset, audit) for asset in audit.made],
    }
    return known | {"story": story.tell(known)}


def summary(audits: Sequence[Audit], files: Sequence[Finding], seconds: float) -> dict[str, Any]:
    """Return what audits of many rows come to, JSON-like: by task, and every finding once.

    Args:
        audits: of the rows.
        files: what was found of the tables' files.
        seconds: what it took.
    """
    by_task: dict[str, dict[str, int]] = {}
    for audit in audits:
        task = by_task.setdefault(audit.way.task, {"rows": 0, "verified": 0})
        task["rows"] += 1
        task["verified"] += verdict_of(audit.findings) == "verified"
    findings = [*files, *(f for audit in audits for f in [*audit.findings, *audit.file_findings])]
    checked = {name for audit in audits for name in audit.completions}
    return {
        "verdict": verdict_of(findings),
        "tasks": by_task,
        "rows": len(audits),
        "completions": len(checked),
        "seconds": round(seconds, 2),
        "findings": [asdict(finding) for finding in _unique(findings)],
    }


def totals(completions: Iterable[StoredCompletion]) -> dict[str, Any]:
    """Return calls, tokens and cost; a cost is null where a price is unknown."""
    columns = [one.columns for one in completions]
    costs = [row["cost_usd"] for row in columns]
    return {
        "calls": len(columns),
        "prompt_tokens": sum(row["prompt_tokens"] or 0 for row in columns),
        "completion_tokens": sum(row["completion_tokens"] or 0 for row in columns),
        "cost_usd": None if None in costs else sum(costs),
        "simulated": bool(columns) and all(row["simulated"] for row in columns),
    }


def moment(seconds: float) -> str:
    """Return a time as text: UTC, to the second; changed bytes may have made it none."""
    if not 0 <= seconds < _LAST:
        return "at an impossible time"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unique(findings: Iterable[Finding]) -> list[Finding]:
    order = {"wrong": 0, "unknown": 1, "note": 2}
    return sorted(dict.fromkeys(findings), key=lambda finding: order[finding.level])


def _item(item: Item) -> dict[str, Any]:
    row = {name: value for name, value in item.row.items() if name != "#"}
    return {"table": item.asset, "id": item.item_id, "role": item.role, "row": row}


def _completion(one: StoredCompletion, audit: Audit) -> dict[str, Any]:
    kept = one.columns
    asked = one.asked or {}
    used = [
        {"table": item.asset, "id": item.item_id, "role": item.role}
        for item in audit.way.items
        if one.request_id in _with_parents(item.request_ids, audit.completions)
    ]
    return {
        "request_id": one.request_id,
        "asks_again": one.parent,
        "used_by": used,
        "own": one.request_id in audit.own,
        "model": kept["model"],
        "served_model": kept["served_model"],
        "fingerprint": kept["fingerprint"],
        "provider_id": kept["provider_id"],
        "endpoint": kept["endpoint"],
        "parameters": {
            **asked.get("sampling", {}),
            **{name: asked.get(name) for name in ("sample", "edition", "schema_name")},
        },
        "messages": one.messages,
        "raw": one.raw,
        "status": kept["status"],
        "error": kept["error"],
        "finish": kept["finish"],
        "prompt_tokens": kept["prompt_tokens"],
        "completion_tokens": kept["completion_tokens"],
        "cost_usd": kept["cost_usd"],
        "simulated": kept["simulated"],
        "mean_logprob": kept["mean_logprob"],
        "mode": kept["mode"],
        "run_id": kept["run_id"],
        "project_version": kept["project_version"],
        "created_at": moment(kept["created_at"]),
        "attempts": kept["attempts"],
        "latency": kept["latency"],
        "problems": list(one.problems),
    }


def _with_parents(request_ids: Iterable[str], kept: dict[str, StoredCompletion]) -> set[str]:
    found: set[str] = set()
    for name in request_ids:
        at: str | None = name
        while at and at in kept and at not in found:
            found.add(at)
            at = kept[at].parent
    return found


def _table(asset: str, audit: Audit) -> dict[str, Any]:
    record = audit.made[asset]
    known: dict[str, Any] = {"table": asset, "file": key_of(asset, audit.way.task)}
    if record is None:
        return known | {"recorded": False}
    made = {name: value for name, value in record.made_by.items() if name not in ("task", "step")}
    return known | {
        "recorded": True,
        "sha256": record.sha256,
        "data_version": record.data_version,
        "run_id": record.run_id,
        "recorded_at": moment(record.recorded_at),
        **made,
    }
