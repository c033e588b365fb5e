"""Helpers for tests of the simulator: rows through the real application, and skeletons of rows.

A skeleton is a sentence with its content words, names and numbers masked: what stays are function
words, their order, and punctuation.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx2

from simulator.app import MODEL, create_app
from simulator.errors import NONE, ErrorRates
from simulator.words import sentences

_FUNCTION_WORDS = """
a an the this that these those some any no every each all both many most few more less
other another such what which who whom whose when where why how i you he she it we they me
him her us them my your his its our their mine yours hers ours theirs himself herself
itself themselves myself yourself am is are was were be been being have has had having do
does did doing will would shall should can could may might must ought need dare not n't
and or but nor so yet for if because as until while of at by with about against between
into through during before after above below to from up down in out on off over under
again further then once here there than too very just only own same still also even
although though unless since whether without within along across behind beyond near
towards upon per via despite except like ever never always already often soon later nobody
everybody everyone someone anyone nothing something anything everything none one
"""
FUNCTION = frozenset(_FUNCTION_WORDS.split())
_TOKEN = re.compile(r"@placeholder|\w+(?:['’]\w+)*|[^\w\s]")


def skeleton(sentence: str) -> str:
    """Return a sentence with its content masked; a run of content is one slot."""
    out: list[str] = []
    for token in _TOKEN.findall(sentence):
        word = token.casefold()
        keep = word in FUNCTION or not token[0].isalnum()
        mark = word if keep else "_"
        if mark != "_" or not out or out[-1] != "_":
            out.append(mark)
    return " ".join(out)


def shares(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, str, str]]:
    """Return (share of rows, field or `row`, skeleton), most frequent first.

    Fields count sentence by sentence; fields of one or two words (a planned value, a word, a
    span) hold no sentence and count only in the whole row.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        whole = []
        here = set()
        for name, value in row.items():
            text = value if isinstance(value, str) else ""
            parts = [skeleton(one) for one in sentences(text)]
            whole.append(" ".join(parts))
            if len(text.split()) > 4:
                here.update((name, one) for one in parts)
        counts.update({*here, ("row", " / ".join(whole))})
    return [(n / len(rows), name, text) for (name, text), n in counts.most_common()]


class Client:
    """Asks the real application, without a network."""

    def __init__(self, rates: ErrorRates = NONE) -> None:
        self._app = create_app(rates)

    def many(self, bodies: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the answers (whole response bodies) of chat completion requests."""

        async def go() -> list[dict[str, Any]]:
            transport = httpx2.ASGITransport(app=self._app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                out = []
                for body in bodies:
                    answer = await client.post("/v1/chat/completions", json=dict(body))
                    assert answer.status_code == 200, answer.text
                    out.append(answer.json())
                return out

        return asyncio.run(go())

    def ask(self, block: Mapping[str, Any], schema: Mapping[str, Any], seed: int = 0) -> Any:
        """Return the parsed answer to a block."""
        (answer,) = self.many([request(block, schema, seed)])
        return json.loads(answer["choices"][0]["message"]["content"])


def request(
    block: Mapping[str, Any],
    schema: Mapping[str, Any],
    seed: int = 0,
    system: str = "Follow the task. Answer with JSON.",
    user: str = "Here are the data.",
) -> dict[str, Any]:
    """Return the body of a chat completion request as the operators send it."""
    text = f"{user}\n\n```json\n{json.dumps(block, ensure_ascii=False)}\n```\n"
    return {
        "model": MODEL,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}],
        "seed": seed,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        },
    }


def object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object, all properties required."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def items_schema(properties: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the schema of a list answer."""
    items = {
        "type": "array",
        "minItems": count,
        "maxItems": count,
        "items": object_schema(properties),
    }
    return object_schema({"items": items})


TEXT = {"type": "string"}


def write_rows(
    client: Client,
    task: Mapping[str, Any],
    labels: Mapping[str, str],
    count: int,
    *,
    what: str = "contexts",
    attributes: Mapping[str, Any] | None = None,
    typed: Sequence[Mapping[str, Any]] = ({},),
    seed_fields: Mapping[str, Any],
    seed_kind: str = "passage",
    planned: Sequence[Mapping[str, Any]] = ({},),
    contexts: int = 20,
    page: int = 5,
) -> list[dict[str, Any]]:
    """Return rows made as the recipes make them: contexts, seeds, then instances by label.

    Args:
        task: the block's task.
        labels: name -> constraint.
        count: rows wanted.
        what: what the contexts are.
        attributes: the attributes of the contexts.
        typed: typed attributes of the seeds, in turn.
        seed_fields: name -> JSON schema.
        seed_kind: the kind of the seeds.
        planned: fields that the plan fixes, in turn.
        contexts: how many.
        page: seeds and instances a call.

    Returns:
        Each row the task's fields, with `_label` (asked for) and `_context`.
    """
    wanted = {"what": what, "count": contexts, "attributes": dict(attributes or {})}
    props = {
        name: {"enum": a["values"]} if "values" in a else TEXT
        for name, a in (attributes or {}).items()
    }
    asked = {"task": task, "wanted": wanted, "exclude": []}
    found = client.ask(asked, items_schema({"text": TEXT, **props}, contexts))["items"]
    per_context = -(-count // contexts // page) * page + page
    seeds: list[tuple[dict[str, Any], dict[str, Any]]] = []
    by_context = []
    for context in found:
        given = {
            "text": context["text"],
            "attributes": {k: v for k, v in context.items() if k != "text"},
        }
        mine: list[dict[str, Any]] = []
        while len(mine) < per_context:
            items = [{"item": i + 1, **typed[(len(mine) + i) % len(typed)]} for i in range(page)]
            block = {
                "task": task,
                "context": given,
                "wanted": {
                    "what": "seeds",
                    "kind": seed_kind,
                    "fields": dict.fromkeys(seed_fields, "text"),
                },
                "exclude": [str(next(iter(one.values()))) for one in mine],
                "items": items,
            }
            schema = items_schema({"item": {"type": "integer"}, **seed_fields}, page)
            for asked, one in zip(
                items, client.ask(block, schema, len(mine))["items"], strict=True
            ):
                mine.append({k: v for k, v in (one | asked).items() if k != "item"})
        by_context.append([(given, seed) for seed in mine])
    for at in range(per_context):
        seeds.extend(one[at] for one in by_context)
    names = list(labels) or [None]
    rows = []
    derived = {n for n, f in task["fields"].items() if isinstance(f, dict) and f.get("derived")}
    for start in range(0, count, page):
        label = names[(start // page) % len(names)]
        slots = []
        for i in range(start, min(start + page, count)):
            context, seed = seeds[i]
            given = {
                **planned[i % len(planned)],
                **{k: v for k, v in seed.items() if k in task["fields"]},
            }
            extra = {k: v for k, v in seed.items() if k not in given}
            slot = {"slot": i - start + 1, "context": context, "seed": extra, "given": given}
            if label is None:
                options = next(v for v in given.values() if isinstance(v, list))
                slot["answer"] = options[i % len(options)]
            slots.append(slot)
        write = [n for n in task["fields"] if n not in slots[0]["given"] and n not in derived]
        block = {"task": task, "slots": slots}
        if label is not None:
            block = {
                "task": task,
                "label": {"name": label, "constraint": labels[label]},
                "slots": slots,
            }
        schema = items_schema(
            {"slot": {"type": "integer"}, **dict.fromkeys(write, TEXT)}, len(slots)
        )
        for slot, item in zip(slots, client.ask(block, schema, start)["items"], strict=True):
            row = {n: slot["given"].get(n, item.get(n)) for n in task["fields"] if n not in derived}
            rows.append(
                {**row, "_label": label or slot["answer"], "_context": slot["context"]["text"]}
            )
    return rows
