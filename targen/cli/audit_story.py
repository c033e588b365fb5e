"""The story of a row, as sentences about the facts of its audit."""

from collections.abc import Mapping
from typing import Any

from targen.quality.page import visible
from targen.steps import (
    CONTEXTS,
    CORRECTED_SET,
    INSTANCES,
    LABELS,
    REVIEWS,
    SEEDS,
    TARGETS,
    VOCABULARIES,
)
from targen.tasks.targets import FIRST_SLOT

Facts = Mapping[str, Any]
_WORDS = 140
_PLUGIN_WORDS = 160
_DIGITS = 12


def tell(known: Facts) -> list[str]:
    """Return the story of a row: origin, labels, outcome, costs and verdict, as sentences."""
    parts = [_origin(known), _sources(known), _labels(known), _correction(known)]
    parts += [_target(known), _plugins(known), _review(known), _end(known)]
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
    start = f"This row of {known['task']} ({_place(row)})"
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
        parts.append(_parents(_row(known, INSTANCES), _many(above, "earlier row")))
    text = "; ".join(parts)
    return f"It comes {text}." if text else ""


def _target(known: Facts) -> str:
    """Return which target and which report asked for a row; empty without a target."""
    item = _row(known, TARGETS)
    if item is None:
        return ""
    row = item["row"]
    edited = " Code made it from another row, which is its parent." if row.get("edit") else ""
    return (
        f"It was written in round {row['round']} for the target {item['id']}, for which the report "
        f"of data version {shown(row['report'][:16])} gave the reason “{shown(row['reason'])}”; "
        f"targets/{known['task']}.html shows what the round brought.{edited}"
    )


def _parents(item: Facts | None, many: str) -> str:
    if item is not None and item["row"].get("request_id") is None:
        return f"as a copy of one of {many}, edited by code"
    return f"after {many} shown as examples, including their own examples"


def _place(row: Facts) -> str:
    number, label = row["slot"] - FIRST_SLOT, row["intended_label"]
    place = f"row {number + 1} of its targets" if number >= 0 else f"slot {row['slot']}"
    return place if label is None else f"{place}, label {shown(label)}"


def _plugins(known: Facts) -> str:
    """Return a sentence on the plug-ins that the steps of a row used; empty without any."""
    used: dict[str, list[str]] = {}
    for table in known["tables"]:
        for one in table.get("plugins") or ():
            kind, digits = one["version"].partition(":")[::2]
            version = f"{kind} {digits[:_DIGITS]}" if digits else one["version"]
            text = f"{one['kind']} {one['name']} ({one['source']}, {version})"
            used.setdefault(visible(text, _PLUGIN_WORDS), []).append(table["table"])
    if not used:
        return ""
    parts = (f"{text} in {' and '.join(dict.fromkeys(tables))}" for text, tables in used.items())
    return f"It was made with plug-ins: {'; '.join(parts)}."


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
