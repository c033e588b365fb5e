"""Answers of real models, recorded for the parser's tests: reading, judging and recording them.

    python -m tests.support.recording record ADDRESS MODEL COUNT STORE...
    python -m tests.support.recording judge

`record` takes prompts from completion stores (of any model: `make demo` makes some), asks the
model at ADDRESS in several forms and appends its answers to tests/recorded/answers.jsonl. `judge`
writes anew what the parser makes of each answer: look at the difference before you commit it.
"""

import asyncio
import hashlib
import json
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa

from targen.lineage import completions
from targen.llm import wire
from targen.llm.structured import parse
from targen.llm.types import Request, Sampling
from targen.store.completions import Store
from targen.store.schema import COMPLETIONS
from tests.support.specs import ROOT

FOLDER = ROOT / "tests" / "recorded"
ANSWERS, SHARED = FOLDER / "answers.jsonl", FOLDER / "shared.jsonl"

FORMS: tuple[tuple[wire.Format, int, float], ...] = (
    ("json_schema", 200, 1.0),
    ("text", 200, 1.0),
    ("text", 160, 0.0),
    ("json_schema", 60, 1.0),
    ("json_object", 160, 1.0),
    ("text", 60, 1.0),
    ("text", 120, 1.4),
)
"""Format of the answer, greatest number of tokens, temperature: what is asked in turn."""

SLOTS = 4


def load() -> list[dict[str, Any]]:
    """Return the recorded answers, each with its prompt and schema.

    `system` and `schema` are stored once for all answers that share them.
    """
    shared = {one["id"]: one["content"] for one in _lines(SHARED)}
    return [
        one | {name: shared[one[name]] for name in ("system", "schema")} for one in _lines(ANSWERS)
    ]


def judged(raw: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return what the parser makes of an answer, without the words of its error.

    `kind` is `whole`, `part` (an error, but something was saved) or `nothing`. `value` is left out
    where the text is nothing but that JSON value.
    """
    found = parse(raw, schema)
    kind = "whole" if found.error is None else "part" if found.value is not None else "nothing"
    made: dict[str, Any] = {"kind": kind}
    if found.value is not None and not _is(raw, found.value):
        made["value"] = found.value
    return made


def _is(raw: str, value: Any) -> bool:
    try:
        return bool(json.loads(raw) == value)
    except ValueError:
        return False


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _line(content: dict[str, Any]) -> str:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    # JSON may hold these as they are, but `splitlines` would end a line there.
    for separator in "\u0085\u2028\u2029":
        text = text.replace(separator, f"\\u{ord(separator):04x}")
    return text + "\n"


def _append(path: Path, content: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(_line(content))


def judge() -> None:
    """Write anew what the parser makes of each answer."""
    full = load()
    lines = [*_lines(ANSWERS)]
    for line, one in zip(lines, full, strict=True):
        line["expected"] = judged(one["raw"], one["schema"])
    ANSWERS.write_text("".join(map(_line, lines)), encoding="utf-8")


def prompts(url: str) -> dict[str, list[dict[str, Any]]]:
    """Return what was asked in a store, by task and step, without what was asked again."""
    with closing(Store(url, make=False)) as store:
        with store.read() as connection:
            ids = list(connection.execute(sa.select(COMPLETIONS.c.request_id)).scalars())
        stored = completions.read(store, ids)
        uses = completions.uses(store, ids)
    found: dict[str, list[dict[str, Any]]] = {}
    for request_id in sorted(stored):
        one = stored[request_id]
        if one.parent is None and one.asked is not None:
            use = uses[request_id][0]
            found.setdefault(f"{use['task']}/{use['step']}", []).append(dict(one.asked))
    return found


async def record(address: str, model: str, count: int, stores: Sequence[str]) -> None:
    """Ask a model `count` of the prompts in `stores`, in the `FORMS` in turn."""
    # Another draw each time that answers are added.
    rng = random.Random(f"{model} {len([*_lines(ANSWERS)])}")
    named = [pair for url in stores for pair in sorted(prompts(url).items())]
    rng.shuffle(named)
    wanted = []
    for number in range(count):
        name, asked = named[number % len(named)]
        wanted.append((name, rng.choice(asked), FORMS[number % len(FORMS)]))
    # Prompts that begin alike follow each other: the server keeps what it has read.
    wanted.sort(key=lambda one: one[0].rpartition("/")[2])
    slots = asyncio.Semaphore(SLOTS)
    async with httpx2.AsyncClient(base_url=address, timeout=1800) as client:

        async def ask(name: str, asked: dict[str, Any], form: tuple[Any, int, float]) -> None:
            async with slots:
                _keep(name, form, await _answer(client, model, asked, form), model, asked)

        await asyncio.gather(*(ask(*one) for one in wanted))


async def _answer(
    client: httpx2.AsyncClient, model: str, asked: dict[str, Any], form: tuple[Any, int, float]
) -> dict[str, Any]:
    format_, most, temperature = form
    request = Request(
        tuple(asked["messages"]),
        asked["schema"],
        asked["schema_name"],
        Sampling(temperature=temperature, max_output_tokens=most),
    )
    body = wire.body(request, model, wire.Profile(format=format_))
    reply = await client.post("chat/completions", json=body)
    reply.raise_for_status()
    choice = reply.json()["choices"][0]
    return {"raw": choice["message"]["content"] or "", "finish": choice["finish_reason"]}


def _keep(
    name: str, form: tuple[Any, int, float], answer: dict[str, Any], model: str, asked: Any
) -> None:
    task, _, step = name.partition("/")
    format_, most, temperature = form
    system, user = (message["content"] for message in asked["messages"])
    known = {one["id"] for one in _lines(SHARED)}
    ids = {}
    for key, content in (("system", system), ("schema", asked["schema"])):
        ids[key] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
        if ids[key] not in known:
            _append(SHARED, {"id": ids[key], "content": content})
    line = {
        "model": model,
        "task": task,
        "step": step,
        "format": format_,
        "max_tokens": most,
        "temperature": temperature,
        **ids,
        "user": user,
        **answer,
        "expected": judged(answer["raw"], asked["schema"]),
    }
    _append(ANSWERS, line)


if __name__ == "__main__":
    if sys.argv[1] == "judge":
        judge()
    else:
        _, _, at, name, number, *urls = sys.argv
        asyncio.run(record(f"{at.rstrip('/')}/", name, int(number), urls))
