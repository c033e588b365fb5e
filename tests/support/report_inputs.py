"""A small entailment data set with known flaws, for the tests of the report."""

import json
from typing import Any

import polars as pl

from targen import hashing, steps
from targen.quality.inputs import COMPLETIONS, ReportInputs

FIELDS = {"premise": "text", "hypothesis": "text"}
LABELS = ("entailment", "not_entailment")
PLACES = ("harbour", "museum", "bakery", "station", "library", "orchard", "clinic", "theatre")
PEOPLE = ("Mira Olsen", "Tobias Grant", "Ana Ferreira", "Kofi Mensah", "Yuki Tanaka", "Lea Brandt")
DEEDS = (
    ("opened a second branch", "There is more than one branch now"),
    ("closed the north wing for repairs", "Part of it cannot be visited"),
    ("hired twelve trainees", "New people work there"),
    ("doubled the opening hours", "It is open for longer than before"),
    ("cancelled the autumn sale", "No sale takes place in autumn"),
    ("replaced the old heating", "The heating is newer than it was"),
    ("sold two of its vans", "It owns fewer vans than before"),
    ("won a national award", "It has been honoured"),
)


def text(i: int) -> dict[str, str]:
    """Make the i-th pair of texts."""
    draw = hashing.rng("sample", i)
    deed, gist = draw.choice(DEEDS)
    place, person = draw.choice(PLACES), draw.choice(PEOPLE)
    month = draw.choice(("In March", "Last summer", "After a long debate", "On Friday", "In 2019"))
    tail = draw.choice(
        (
            "to the surprise of many",
            "as the paper reported",
            "without any notice",
            "after months of talks",
            "with help from the city",
        )
    )
    return {
        "premise": f"{month}, {person} of the {place} {deed}, {tail}.",
        "hypothesis": f"{gist} at the {place}." if i % 2 == 0 else f"{person} left the {place}.",
    }


def other(label: str) -> str:
    """Return the other label."""
    return LABELS[1 - LABELS.index(label)]


def inputs(rows: int = 100, **changes: Any) -> ReportInputs:
    """Make tables of `rows` kept rows with 8% wrong intended labels and a few near copies."""
    instances, labels, kept, dropped, done = [], [], [], [], []
    for i in range(rows + rows // 4):
        body = text(i)
        if i % 17 == 16:
            body = text(i - 2)
            body["premise"] = body["premise"].replace(".", " again.")
        truth = LABELS[i % 2]
        draw = hashing.rng("labels", i)
        intended = other(truth) if draw.random() < 0.08 else truth
        votes = [other(truth) if draw.random() < 0.06 else truth for _ in range(3)]
        label = max(LABELS, key=votes.count)
        corrected = other(truth) if draw.random() < 0.05 else truth
        final = max(LABELS, key=[intended, label, corrected].count)
        row_id = hashing.short_id(["row", i])
        page, vote = hashing.digest(["page", i // 5]), hashing.digest(["vote", i])
        done += [page, vote]
        instances.append(
            {
                "instance_id": row_id,
                "slot": i,
                "intended_label": intended,
                "request_id": page,
                **body,
            }
        )
        labels.append(
            {
                "instance_id": row_id,
                "intended_label": intended,
                "label": label,
                "votes": votes,
                "agreement": votes.count(label) / 3,
                "request_ids": [vote],
            }
        )
        common = {
            "intended_label": intended,
            "annotated_label": label,
            "corrected_label": corrected,
            "request_ids": [page, vote],
        }
        if len({intended, label, corrected}) == 2 and len(set(votes)) == 2:
            dropped.append(
                {
                    "item_id": row_id,
                    "step": "corrected_set",
                    "slot": i,
                    "reason": "dropped",
                    "text": json.dumps(body),
                    **common,
                }
            )
        elif len(kept) == rows:
            dropped.append(
                {
                    "item_id": row_id,
                    "step": "corrected_set",
                    "slot": i,
                    "reason": "surplus",
                    "text": json.dumps(body),
                    **common,
                }
            )
        else:
            verdict = "kept" if final == intended else "relabelled"
            kept.append(
                {"instance_id": row_id, "label": final, "verdict": verdict, **body, **common}
            )
    bad = [
        {"item_id": hashing.short_id(["bad", i]), "step": "instances", "slot": i, "reason": reason}
        for i, reason in enumerate(["malformed", "malformed", "invalid", "duplicate", "missing"])
    ]
    completions = [
        {
            "request_id": request_id,
            "model": "demo",
            "prompt_tokens": 410,
            "completion_tokens": 96,
            "cost_usd": 0.0,
            "simulated": True,
        }
        for request_id in dict.fromkeys(done)
    ]
    settings: dict[str, Any] = {
        "task_name": "rte",
        "title": "Recognising textual entailment",
        "description": "Pairs of a premise and a hypothesis; the label says whether the premise "
        "lets a reader conclude that the hypothesis is true.",
        "fields": FIELDS,
        "answer_kind": "class",
        "labels": LABELS,
        "tables": {
            "instances": steps.frame(instances, steps.schema("instances", FIELDS)),
            "labels": steps.frame(labels, steps.schema("labels", FIELDS)),
            "corrected_set": steps.frame(kept, steps.schema("corrected_set", FIELDS)),
        },
        "rejected": {
            "instances": steps.frame(bad, steps.schema("rejected", FIELDS)),
            "corrected_set": steps.frame(dropped, steps.schema("rejected", FIELDS)),
        },
        "completions": pl.DataFrame(completions, schema=COMPLETIONS),
        "rows_asked": rows,
        "models": ("demo",),
        "simulated": True,
    }
    return ReportInputs(**{**settings, **changes})


def own_inputs(rows: pl.DataFrame, **changes: Any) -> ReportInputs:
    """Return the inputs of a report on someone's own rows: no steps, calls or rejected items."""
    own = {"tables": {"corrected_set": rows}, "rejected": {}, "completions": None}
    return inputs(1, **{**own, "rows_asked": None, "simulated": False, "models": (), **changes})
