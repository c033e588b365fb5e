"""The result of an audit as JSON-like facts, as sentences, and as an HTML page."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from targen.cli.plugin_story import plugin_story
from targen.cli.target_story import parents_story, place_of, target_story
from targen.lineage.audit import Audit, verdict_of
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import Finding, Item
from targen.quality.page import template, visible
from targen.steps import (
    CONTEXTS,
    CORRECTED_SET,
    IDS,
    INSTANCES,
    LABELS,
    REVIEWS,
    SEEDS,
    TARGETS,
    VOCABULARIES,
)
from targen.tables.files import key_of

Facts = Mapping[str, Any]
_WORDS = 140


def tell(known: Facts) -> list[str]:
    """Return the story of a row: origin, labels, outcome, costs and verdict, as sentences."""
    parts = [_origin(known), _sources(known), _labels(known), _correction(known)]
    parts += [target_story(_row(known, TARGETS), known["task"], shown), plugin_story(known)]
    parts += [_review(known), _end(known)]
    return [part for part in [*parts, _costs(known["totals"]), verdict(known)] if part]


def verdict(known: Facts) -> str:
    """Return the verdict in a sentence."""
    count = len(known["completions"])
    files = sum(table["recorded"] for table in known["tables"])
    if known["verdict"] == "verified":
        return (
            f"Verified: {_many(count, 'completion')} read and parsed again, "
            f"{_many(files, 'file')} compared with the record, every reference resolved."
        )
    level = "wrong" if known["verdict"] == "wrong" else "unknown"
    first = [f for f in known["findings"] if f["level"] == level]
    more = f" (and {len(first) - 1} more)" if len(first) > 1 else ""
    start = "NOT VERIFIED" if level == "wrong" else "UNVERIFIABLE"
    return f"{start}: {shown(first[0]['where'], 300)}: {shown(first[0]['what'], 300)}{more}."


def shown(value: Any, limit: int = _WORDS) -> str:
    """Return a value as one line without control characters, safe to print to a terminal."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return visible(" ".join(text.split()), limit)


def money(totals: Facts) -> str:
    """Return a cost as text; an unknown price is never shown as 0."""
    if totals["cost_usd"] is None:
        return "cost unknown"
    if totals["simulated"]:
        return "0 USD (simulated)"
    return f"{totals['cost_usd']:.6f} USD".replace("0.000000 USD", "0 USD")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _row(known: Facts, table: str, role: str = "own") -> Any:
    for item in known["items"]:
        if (item["table"], item["role"]) == (table, role):
            return item
    return None


def _made(known: Facts, table: str) -> Any:
    return next((one for one in known["tables"] if one["table"] == table and one["recorded"]), {})


def _calls(known: Facts, table: str) -> list[Any]:
    """Return the completions that the row's own item in a table refers to."""
    item = _row(known, table)
    if item is None:
        return []
    return [
        one
        for one in known["completions"]
        if any((u["table"], u["id"]) == (table, item["id"]) for u in one["used_by"])
    ]


def _by(one: Facts) -> str:
    served = one["served_model"]
    as_served = f", served as {shown(served)}," if served and served != one["model"] else ""
    return (
        f"{shown(one['model'])}{as_served} at {shown(one['endpoint'])} on "
        f"{one['created_at'].replace('T', ' ').replace('Z', ' UTC')} in run "
        f"{shown(one['run_id'][:8])} (TarGEN {shown(one['project_version'])}, {shown(one['mode'])})"
    )


def _judge(one: Facts | None) -> str:
    if one is None:
        return ""
    when = one["created_at"].replace("T", " ").replace("Z", " UTC")
    return f", {shown(one['model'])} on {when},"


def _origin(known: Facts) -> str:
    item = _row(known, INSTANCES)
    if item is None:
        return _elsewhere(known)
    row, made = item["row"], _made(known, INSTANCES)
    start = f"This row of {known['task']} ({place_of(row, shown)})"
    calls = _calls(known, INSTANCES)
    how = f" by the operator {made['operator']} of the recipe {made['recipe']}" if made else ""
    if not calls:
        gone = "its completion is not in the store" if row["request_id"] else "no model was used"
        return f"{start} was made{how}; {gone}."
    again = len(calls) - 1
    asked = f", after {_many(again, 'repeated request')}" if again else ""
    text = f"{start} was written{how} by {_by(calls[-1])}{asked}."
    others = [
        shown(one["id"])
        for one in known["items"]
        if (one["table"], one["role"]) == (INSTANCES, "twin")
    ]
    if len(others) > 1:
        return f"{text} The other rows of its set are {', '.join(others)}."
    return text + (f" The other row of its pair is {others[0]}." if others else "")


def _elsewhere(known: Facts) -> str:
    """Describe an item that is not an instance: rejected, or a row of an earlier table."""
    item = known["items"][-1]
    table, row = item["table"], item["row"]
    if not table.startswith("rejected/"):
        return f"This is a row of {table} of {known['task']}."
    text = f": {shown(row['text'])}" if row["text"] else ""
    return (
        f"This item of {known['task']} was requested in {shown(row['step'])} and rejected as "
        f"{shown(row['reason'])} ({shown(row['detail'])}){text}."
    )


def _sources(known: Facts) -> str:
    seed, context = _row(known, SEEDS), _row(known, CONTEXTS)
    parts = []
    if seed and seed["row"]["kind"] != "none":
        parts.append(f"from seed {shown(seed['id'])} ({shown(seed['row']['fields'])})")
    if context and context["row"]["text"] != "none":
        parts.append(f"in context {shown(context['id'])} ({shown(context['row']['text'])})")
    terms = [i for i in known["items"] if i["table"] == VOCABULARIES and i["role"] == "own"]
    named = [shown(i["row"]["term"], 40) for i in terms if not i["row"]["category"].startswith("(")]
    if named:
        parts.append(f"with the terms {', '.join(named)}")
    above = sum(i["table"] == INSTANCES and i["role"] == "parent" for i in known["items"])
    if above:
        parts.append(parents_story(_row(known, INSTANCES), _many(above, "earlier row")))
    text = "; ".join(parts)
    return f"It comes {text}." if text else ""


def _labels(known: Facts) -> str:
    item = _row(known, LABELS)
    if item is None:
        return ""
    row, calls = item["row"], _calls(known, LABELS)
    if not row["request_ids"]:
        return "It was not annotated: the intended label was used." if row["label"] else ""
    who = _judge(calls[-1] if calls else None)
    votes = [shown(vote) for vote in row["votes"]]
    if not votes:
        return f"The annotator{who} gave no label."
    label = votes[0]
    if len(votes) > 1:
        label = f"{shown(row['label'])} by the votes {'; '.join(votes)}"
    return f"The annotator{who} gave the label {label}."


def _correction(known: Facts) -> str:
    item = _row(known, CORRECTED_SET) or _row(known, "rejected/corrected_set")
    if item is None:
        return ""
    row = item["row"]
    earlier = [_row(known, INSTANCES), _row(known, LABELS)]
    asked = sum(1 for one in earlier if one and one["row"].get("request_id"))
    asked += len(earlier[1]["row"]["request_ids"]) if earlier[1] else 0
    if len(row["request_ids"]) <= asked:
        votes = earlier[1]["row"]["votes"] if earlier[1] else None
        why = ": no answer of the corrector could have changed its label" if votes else ""
        return f"It was not corrected{why}."
    last = row["request_ids"][-1]
    call = next((one for one in known["completions"] if one["request_id"] == last), None)
    who = _judge(call)
    label = "no label"
    if row["corrected_label"] is not None:
        label = f"the label {shown(row['corrected_label'])}"
    because = f", because: {shown(row['reason'], 300).rstrip('.')}" if row.get("reason") else ""
    return f"The corrector{who} gave {label}{because}."


def _review(known: Facts) -> str:
    item = _row(known, REVIEWS)
    if item is None:
        return ""
    row = item["row"]
    found = "right" if row["right"] else "wrong"
    instead = f" and gave the label {shown(row['label'])}" if row["label"] is not None else ""
    seen = f" {shown(row['seen_label'])}" if row["seen_label"] is not None else ""
    when = (row["reviewed_at"] or "an unknown day").replace("T", " ").replace("Z", " UTC")
    comment = f" Comment: {shown(row['comment'], 300)}." if row["comment"] else ""
    return (
        f"{shown(row['reviewer'] or 'A person')} found its label{seen} {found}{instead} (imported "
        f"on {shown(when)}).{comment}"
    )


def _end(known: Facts) -> str:
    item = _row(known, CORRECTED_SET)
    policy = _made(known, CORRECTED_SET).get("params", {}).get("policy")
    by = f" by the policy {policy}" if policy else ""
    if item:
        row = item["row"]
        if row.get("label_before_review") not in (None, row["label"]):
            by = " by the human review"
        final = f" as {shown(row['label'])}" if row["label"] is not None else ""
        return f"It was {shown(row['verdict'])}{final}{by}."
    lost = _row(known, "rejected/corrected_set")
    if lost:
        reason, detail = shown(lost["row"]["reason"]), shown(lost["row"]["detail"])
        return f"It was rejected as {reason}: {detail}."
    return ""


def _costs(totals: Facts) -> str:
    tokens = totals["prompt_tokens"] + totals["completion_tokens"]
    return f"{_many(totals['calls'], 'call')}, {_many(tokens, 'token')}, {money(totals)}."


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
        "cached_tokens": kept["cached_tokens"],
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
