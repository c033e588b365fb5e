"""Describes an audit in sentences that are safe to print on a terminal."""

from collections.abc import Mapping
from typing import Any

from targen.quality.page import visible

Facts = Mapping[str, Any]
_WORDS = 140


def tell(known: Facts) -> list[str]:
    """Return the row's way, a sentence or two each: origin, labels, end, costs, verdict."""
    parts = [_origin(known), _sources(known), _labels(known), _correction(known), _end(known)]
    return [part for part in [*parts, _costs(known["totals"]), verdict(known)] if part]


def verdict(known: Facts) -> str:
    """Return the verdict in a sentence."""
    count = len(known["completions"])
    files = sum(table["recorded"] for table in known["tables"])
    if known["verdict"] == "verified":
        return (
            f"Verified: {_many(count, 'completion')} read and parsed again, "
            f"{_many(files, 'file')} held against the record, every reference resolved."
        )
    level = "wrong" if known["verdict"] == "wrong" else "unknown"
    first = [f for f in known["findings"] if f["level"] == level]
    more = f" (and {len(first) - 1} more)" if len(first) > 1 else ""
    start = "NOT VERIFIED" if level == "wrong" else "UNVERIFIABLE"
    return f"{start}: {shown(first[0]['where'], 300)}: {shown(first[0]['what'], 300)}{more}."


def shown(value: Any, limit: int = _WORDS) -> str:
    """Return a value as one line that can do nothing to a terminal."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return visible(" ".join(text.split()), limit)


def money(totals: Facts) -> str:
    """Return a cost in words; an unknown price is never 0."""
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
    """Return the completions of the row's own item of a table, as it names them."""
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
    item = _row(known, "instances")
    if item is None:
        return _elsewhere(known)
    row, made = item["row"], _made(known, "instances")
    label = f", label {shown(row['intended_label'])}," if row["intended_label"] is not None else ""
    start = f"This row of {known['task']} is slot {row['slot']}{label}"
    calls = _calls(known, "instances")
    how = f" by the operator {made['operator']} of the recipe {made['recipe']}" if made else ""
    if not calls:
        gone = "its call is not in the store" if row["request_id"] else "no model was asked for it"
        return f"{start} made{how}: {gone}."
    again = len(calls) - 1
    asked = f", asked again {_many(again, 'time')}" if again else ""
    text = f"{start} written{how} by {_by(calls[-1])}{asked}."
    twin = _row(known, "instances", "twin")
    return text + (f" Its pair's other half is {shown(twin['id'])}." if twin else "")


def _elsewhere(known: Facts) -> str:
    """Return what an item is that is no instance: rejected, or a row of an earlier table."""
    item = known["items"][-1]
    table, row = item["table"], item["row"]
    if not table.startswith("rejected/"):
        return f"This is a row of {table} of {known['task']}."
    text = f": {shown(row['text'])}" if row["text"] else ""
    return (
        f"This item of {known['task']} was asked for in {shown(row['step'])} and rejected as "
        f"{shown(row['reason'])} ({shown(row['detail'])}){text}."
    )


def _sources(known: Facts) -> str:
    seed, context = _row(known, "seeds"), _row(known, "contexts")
    parts = []
    if seed and seed["row"]["kind"] != "none":
        parts.append(f"from seed {shown(seed['id'])} ({shown(seed['row']['fields'])})")
    if context and context["row"]["text"] != "none":
        parts.append(f"in context {shown(context['id'])} ({shown(context['row']['text'])})")
    terms = [i for i in known["items"] if i["table"] == "vocabularies" and i["role"] == "own"]
    named = [shown(i["row"]["term"], 40) for i in terms if not i["row"]["category"].startswith("(")]
    if named:
        parts.append(f"with the terms {', '.join(named)}")
    above = sum(i["table"] == "instances" and i["role"] == "parent" for i in known["items"])
    if above:
        parts.append(f"after {_many(above, 'earlier row')} shown as examples, parents of parents "
                     "included")  # fmt: skip
    text = "; ".join(parts)
    return f"It comes {text}." if text else ""


def _labels(known: Facts) -> str:
    item = _row(known, "labels")
    if item is None:
        return ""
    row, calls = item["row"], _calls(known, "labels")
    if not row["request_ids"]:
        return "Nobody annotated it: the plan's label was believed." if row["label"] else ""
    who = _judge(calls[-1] if calls else None)
    votes = [shown(vote) for vote in row["votes"]]
    if not votes:
        return f"The annotator{who} gave no label."
    said = votes[0] if len(votes) == 1 else f"{shown(row['label'])} of the votes {'; '.join(votes)}"
    return f"The annotator{who} said {said}."


def _correction(known: Facts) -> str:
    item = _row(known, "corrected_set") or _row(known, "rejected/corrected_set")
    if item is None:
        return ""
    row = item["row"]
    earlier = [_row(known, "instances"), _row(known, "labels")]
    asked = sum(1 for one in earlier if one and one["row"].get("request_id"))
    asked += len(earlier[1]["row"]["request_ids"]) if earlier[1] else 0
    if len(row["request_ids"]) <= asked:
        return "Nobody was asked to correct it."
    last = row["request_ids"][-1]
    call = next((one for one in known["completions"] if one["request_id"] == last), None)
    who = _judge(call)
    said = shown(row["corrected_label"]) if row["corrected_label"] is not None else "no label"
    because = f", because: {shown(row['reason'], 300).rstrip('.')}" if row.get("reason") else ""
    return f"The corrector{who} said {said}{because}."


def _end(known: Facts) -> str:
    item = _row(known, "corrected_set")
    policy = _made(known, "corrected_set").get("params", {}).get("policy")
    by = f" by the policy {policy}" if policy else ""
    if item:
        row = item["row"]
        final = f" as {shown(row['label'])}" if row["label"] is not None else ""
        return f"It was {shown(row['verdict'])}{final}{by}."
    lost = _row(known, "rejected/corrected_set")
    if lost:
        reason, detail = shown(lost["row"]["reason"]), shown(lost["row"]["detail"])
        return f"It was left out as {reason}: {detail}."
    return ""


def _costs(totals: Facts) -> str:
    tokens = totals["prompt_tokens"] + totals["completion_tokens"]
    return f"{_many(totals['calls'], 'call')}, {_many(tokens, 'token')}, {money(totals)}."
