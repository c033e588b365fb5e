"""Renders an audit as one self-contained HTML page."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from targen.cli import audit_story as story
from targen.quality.page import template
from targen.tables.contracts import IDS

TEMPLATE = "audit.html.jinja"
HEADINGS = {
    "vocabularies": "Terms",
    "contexts": "Context",
    "seeds": "Seed",
    "instances": "Text",
    "labels": "Annotation",
    "corrected_set": "Correction and verdict",
}
"""Table -> heading of its part of the page."""


def render(known: Mapping[str, Any]) -> str:
    """Return the page of one row: no script, nothing fetched, every text escaped.

    Args:
        known: as `facts.facts` returns it.
    """
    return template(TEMPLATE).render(
        a=known, stages=_stages(known), money=story.money(known["totals"])
    )


def _stages(known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the timeline: table by table its rows, each with the calls that it used first.

    Rows of twins and parents stand in their table after the row's own.
    """
    tables = {table["table"]: table for table in known["tables"]}
    order = sorted(tables, key=lambda name: (*HEADINGS, name).index(name.removeprefix("rejected/")))
    told: set[str] = set()
    stages = []
    for name in order:
        rows = []
        items = [item for item in known["items"] if item["table"] == name]
        for item in sorted(items, key=lambda one: one["role"] != "own"):
            calls = [
                one
                for one in known["completions"]
                if one["request_id"] not in told
                and any((u["table"], u["id"]) == (name, item["id"]) for u in one["used_by"])
            ]
            told.update(one["request_id"] for one in calls)
            rows.append({**item, "shown": _shown(name, item["row"]), "calls": calls})
        heading = HEADINGS.get(name.removeprefix("rejected/"), name)
        if name.startswith("rejected/"):
            heading += ": left out"
        stages.append({"name": name, "heading": heading, "made": tables[name], "rows": rows})
    return stages


def _shown(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a row that the page lists: no requests, nothing that is empty."""
    hidden = ("request_id", "request_ids", IDS.get(table, "item_id"))
    shown = {n: v for n, v in row.items() if n not in hidden and v is not None and v != []}
    if table == "seeds":
        # Changed bytes may have made it something else than JSON.
        with suppress(ValueError):
            shown["fields"] = json.loads(row["fields"])
    if "attributes" in shown:
        shown["attributes"] = {one["name"]: one["value"] for one in shown["attributes"]}
    return shown
