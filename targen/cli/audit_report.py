"""The result of an audit as JSON-like facts, and as an HTML page."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from targen.cli.audit_story import money, tell
from targen.lineage.audit import Audit, verdict_of
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import Finding, Item
from targen.quality.page import template
from targen.steps import (
    CONTEXTS,
    CORRECTED_SET,
    IDS,
    INSTANCES,
    LABELS,
    REVIEWS,
    SEEDS,
    VOCABULARIES,
)
from targen.tables.files import key_of

_LAST = 253402300800.0
"""The first moment of the year 10000, which Python's datetime does not support."""


def facts(audit: Audit) -> dict[str, Any]:
    """Return the result of auditing one row, JSON-like."""
    way = audit.lineage
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
    return known | {"story": tell(known)}


def summary(audits: Sequence[Audit], files: Sequence[Finding], seconds: float) -> dict[str, Any]:
    """Return the results of auditing many rows by task, JSON-like, with distinct findings."""
    by_task: dict[str, dict[str, int]] = {}
    for audit in audits:
        task = by_task.setdefault(audit.lineage.task, {"rows": 0, "verified": 0})
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
    """Return calls, tokens and cost; the cost is None if a price is unknown."""
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
    """Return a UTC time to the second. A corrupted store may contain impossible times."""
    if not 0 <= seconds < _LAST:
        return "at an invalid time"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unique(findings: Iterable[Finding]) -> list[Finding]:
    order = {"wrong": 0, "unknown": 1, "note": 2}
    return sorted(dict.fromkeys(findings), key=lambda finding: order[finding.level])


def _item(item: Item) -> dict[str, Any]:
    row = {name: value for name, value in item.row.items() if name != "#"}
    return {"table": item.asset, "id": item.item_id, "role": item.role, "row": row}


_SERVED = ("model", "served_model", "fingerprint", "provider_id", "endpoint")
_ANSWERED = (
    *("status", "error", "finish", "prompt_tokens", "completion_tokens", "cached_tokens"),
    *("cost_usd", "simulated", "mean_logprob", "mode", "run_id", "project_version"),
)
"""Columns of the store that the facts repeat."""


def _completion(one: StoredCompletion, audit: Audit) -> dict[str, Any]:
    kept = one.columns
    asked = one.asked or {}
    used = [
        {"table": item.asset, "id": item.item_id, "role": item.role}
        for item in audit.lineage.items
        if one.request_id in _with_parents(item.request_ids, audit.completions)
    ]
    return {
        "request_id": one.request_id,
        "asks_again": one.parent,
        "used_by": used,
        "own": one.request_id in audit.own,
        **{name: kept[name] for name in _SERVED},
        "parameters": {
            **asked.get("sampling", {}),
            **{name: asked.get(name) for name in ("sample", "edition", "schema_name")},
        },
        "messages": one.messages,
        "raw": one.raw,
        **{name: kept[name] for name in _ANSWERED},
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
    known: dict[str, Any] = {"table": asset, "file": key_of(asset, audit.lineage.task)}
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


TEMPLATE = "audit.html.jinja"
HEADINGS = {
    VOCABULARIES: "Terms",
    CONTEXTS: "Context",
    SEEDS: "Seed",
    INSTANCES: "Text",
    LABELS: "Annotation",
    CORRECTED_SET: "Correction and verdict",
    REVIEWS: "Human review",
}
"""Table -> heading of its part of the page."""


def render(known: Mapping[str, Any]) -> str:
    """Return the page of one row as self-contained HTML; every text is escaped."""
    return template(TEMPLATE).render(a=known, stages=_stages(known), money=money(known["totals"]))


def _stages(known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the timeline: the rows of each table, each with the calls that it used first.

    Rows of pair partners and parents follow the row's own in each table.
    """
    tables = {table["table"]: table for table in known["tables"]}
    order = sorted(tables, key=lambda name: (*HEADINGS, name).index(name.removeprefix("rejected/")))
    shown_before: set[str] = set()
    stages = []
    for name in order:
        rows = []
        items = [item for item in known["items"] if item["table"] == name]
        for item in sorted(items, key=lambda one: one["role"] != "own"):
            calls = [
                one
                for one in known["completions"]
                if one["request_id"] not in shown_before
                and any((u["table"], u["id"]) == (name, item["id"]) for u in one["used_by"])
            ]
            shown_before.update(one["request_id"] for one in calls)
            rows.append({**item, "shown": _shown(name, item["row"]), "calls": calls})
        heading = HEADINGS.get(name.removeprefix("rejected/"), name)
        if name.startswith("rejected/"):
            heading += ": left out"
        stages.append({"name": name, "heading": heading, "made": tables[name], "rows": rows})
    return stages


def _shown(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the non-empty columns of a row for the page, without request ids."""
    hidden = ("request_id", "request_ids", IDS.get(table, "item_id"))
    shown = {n: v for n, v in row.items() if n not in hidden and v is not None and v != []}
    if table == SEEDS:
        # A corrupted value may not be valid JSON.
        with suppress(ValueError):
            shown["fields"] = json.loads(row["fields"])
    if "attributes" in shown:
        shown["attributes"] = {one["name"]: one["value"] for one in shown["attributes"]}
    return shown
