"""An audit as one self-contained HTML page: the row's way as a timeline, everything foldable.

Here belongs rendering. The page is made from the audit's facts alone.
"""

from collections.abc import Mapping
from typing import Any

from targen.audit import story
from targen.quality.page import template

TEMPLATE = "audit.html.jinja"
STEPS = {
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
    order = sorted(tables, key=lambda name: (*STEPS, name).index(name.removeprefix("rejected/")))
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
            shown = {n: v for n, v in item["row"].items() if n not in ("request_id", "request_ids")}
            rows.append({**item, "shown": shown, "calls": calls})
        heading = STEPS.get(name.removeprefix("rejected/"), name)
        if name.startswith("rejected/"):
            heading += ": left out"
        stages.append({"name": name, "heading": heading, "made": tables[name], "rows": rows})
    return stages
