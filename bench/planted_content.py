"""What the guards let through: the simulator with texts that are not content planted into answers.

A share of the items of every answer with contexts, seeds or instances gets a text of one of the
`KINDS` in place of what the simulator wrote. No such text may be in a table.
"""

import asyncio
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

import polars as pl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from simulator.app import completion, create_app
from simulator.errors import ErrorRates
from targen.llm.engine import Engine, EngineSettings
from targen.operators import run_step
from targen.steps import CONTEXTS, CORRECTED_SET, INSTANCES, SEEDS, UPSTREAM
from targen.tasks.guards import REASONS
from targen.tasks.loading import load_task
from targen.tasks.sections import Example
from targen.tasks.spec import TaskSpec

ROOT: Final = Path(__file__).parent.parent
TASKS: Final = ("rte", "ticket_urgency", "sentiment", "record")
SHARE: Final = 0.2
KINDS: Final = (
    "constraint", "description", "example", "prompt", "refusal", "loop", "language", "meta",
    "unfinished",
)  # fmt: skip

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "rte": {
        "premise": "The ferry to Horta left an hour late because a crate of oranges had burst.",
        "hypothesis": "Oranges delayed the departure of a ferry to Horta.",
    },
    "ticket_urgency": {
        "subject": "Where do I find the yearly statement of my account",
        "body": "Our tax adviser asks for the yearly statement. I looked in the archive and under "
        "settings, but I must be overlooking it. Next week is soon enough.",
    },
    "sentiment": {
        "review": "I took the lamp back to the shop twice, and twice they gave me one that hums. "
        "The color is nice."
    },
    "record": {
        "passage": "Odd Hansen has sold the last bookshop of Vardø to a bakery. The bakery will "
        "keep two shelves, said its owner Liv Berg, because her father bought his atlas there.",
        "query": "For the sake of an atlas, @placeholder leaves some books where they are.",
        "entities": ["Odd Hansen", "Vardø", "Liv Berg"],
    },
}
"""Task -> a human-made row, which the server plants as well."""

_REFUSALS: Final = (
    "I'm sorry, but I can't assist with that request.",
    "I cannot create content of this kind.",
    "As an AI language model, I am unable to write about this topic.",
)
_META: Final = (
    "This is the text that was asked for. Label: {label}",
    "Here is an example of a text with the requested label: it is about ferries.",
    "The hypothesis is that ferries are often late in winter.",
    "The text was written by [Your Name] on behalf of [Company Name] in Lisbon.",
    "```json\nThe ferry was late again on Monday.\n```",
)
_FOREIGN: Final = (
    "Die Fähre nach Horta ist am Montag zu spät abgefahren, weil der Motor nicht ging.",
    "Le bac pour Horta est parti lundi avec une heure de retard à cause de son moteur.",
    "El transbordador a Horta salió el lunes con una hora de retraso por culpa del motor.",
    "开往奥尔塔的渡轮星期一晚了一个小时才离开,因为发动机坏了,乘客们只好在码头等待。",
)
_NOT_TEXTS: Final = frozenset({"about", "rationale", "answer", "label", "domain"})
_FEWEST_WORDS: Final = 8


class PlantedServer:
    """An application that answers like the simulator, with planted texts.

    Args:
        spec: the task; the names of its labels and its examples are planted.
        share: the share of items with a planted text.

    Attributes:
        planted: text -> (step, kind).
        counts: (step, kind) -> number of planted items; kind "clean" counts all others.
    """

    def __init__(self, spec: TaskSpec, share: float = SHARE) -> None:
        self.spec, self.share = spec, share
        self.planted: dict[str, tuple[str, str]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self._rates = ErrorRates()

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Mount("/", create_app(self._rates)),
            ]
        )

    async def _chat(self, request: Request) -> JSONResponse:
        body = await request.json()
        answer = completion(body, self._rates)
        step = body.get("response_format", {}).get("json_schema", {}).get("name")
        if step in (CONTEXTS, SEEDS, INSTANCES):
            for choice in answer["choices"]:
                message = choice["message"]
                message["content"] = self._with_plants(step, body, message["content"])
        return JSONResponse(answer)

    def _with_plants(self, step: str, body: Mapping[str, Any], content: str) -> str:
        try:
            value = json.loads(content)
            schema = body["response_format"]["json_schema"]["schema"]
            properties = schema["properties"]["items"]["items"]["properties"]
        except (ValueError, KeyError):
            return content
        for number, item in enumerate(value.get("items", [])):
            rng = Random(f"{content} {number}")  # noqa: S311
            names = [
                name
                for name, part in properties.items()
                if part == {"type": "string"} | {k: part[k] for k in part if k == "maxLength"}
                and name not in _NOT_TEXTS
                and isinstance(item.get(name), str)
            ]
            kind, name, text = "clean", "", None
            if names and rng.random() < self.share:
                kind, name = rng.choice(KINDS), rng.choice(names)
                text = self._text(kind, step, name, item[name], body, rng)
            if text is None:
                kind = "clean"
            else:
                item[name] = text
                self.planted[text] = (step, kind)
            self.counts[step, kind] += 1
        return json.dumps(value, ensure_ascii=False)

    def _text(
        self, kind: str, step: str, name: str, own: str, body: Mapping[str, Any], rng: Random
    ) -> str | None:
        """Return a text to plant; None if the prompt or the simulator's own text has none."""
        system = body["messages"][0]["content"]
        block = _block(body["messages"][1]["content"])
        texts: list[str | None] = []
        match kind:
            case "constraint":
                label, wanted = block.get("label") or {}, block.get("wanted") or {}
                found = label.get("constraint") or wanted.get("what") or ""
                texts = [found, *_long_parts(found)]
            case "description":
                wanted = (block.get("wanted") or {}).get("fields") or {}
                found = wanted.get(name) or self._description(name)
                texts = [found] if len(found.split()) > 2 else []
            case "example":
                texts = [dict(EXAMPLES[self.spec.name]).get(name)] if step == INSTANCES else []
            case "prompt":
                texts = [part for part in _long_parts(system) if "{" not in part]
            case "refusal":
                texts = [*_REFUSALS]
            case "loop":
                texts = [" ".join([" ".join(own.split()[:12]).rstrip(".,;") + "."] * 5)]
            case "language":
                texts = [*_FOREIGN]
            case "meta":
                label = rng.choice([*self.spec.labels] or ["entity"])
                texts = [text.format(label=label) for text in _META[not self.spec.labels :]]
            case _:
                texts = [_cut(own, rng)]
        return rng.choice(texts) or None if texts else None

    def _description(self, name: str) -> str:
        field = self.spec.fields.get(name)
        return field.description if field is not None else ""


def _block(message: str) -> dict[str, Any]:
    found = re.search(r"```json\n(.*?)\n```", message, re.DOTALL)
    block: dict[str, Any] = json.loads(found.group(1)) if found else {}
    return block


def _long_parts(text: str) -> list[str]:
    parts = re.split(r"(?<=[.!?])\s+|\n+", text)
    return [part.strip(" -") for part in parts if len(part.split()) >= _FEWEST_WORDS]


def _cut(own: str, rng: Random) -> str | None:
    """Return the first part of a text of sentences, without the last one's end."""
    if not own.endswith((".", "!", "?")) or len(own.split()) < 12:
        return None
    at = rng.randrange(len(own) // 2, len(own) - 8)
    cut = own[:at].rstrip()
    return None if cut.endswith((".", "!", "?", '"', "”", "’", "'", ")")) else cut


async def measure(name: str, rows: int, folder: Path) -> dict[str, Any]:
    """Run a task on the planted server and return what became of the planted texts.

    Returns:
        `kinds` (kind -> planted and passed, those that are in a table), `clean` (clean items and
        those that a guard rejected), `passed` (the planted texts that are in a table),
        `in_corrected_set` (their number there), `rows`, `reasons` (reason of a guard -> items) and
        `other_checks` (planted items that another check of a row rejected first).
    """
    spec = load_task(name, ROOT / "tasks", ROOT / "recipes", rows)
    label = next(iter(spec.labels), None) or EXAMPLES[name].get("entities", [None])[0]
    example = Example(fields=dict(EXAMPLES[name]), label=label)
    spec = spec.model_copy(update={"examples": [example]})
    server = PlantedServer(spec)
    tables: dict[str, pl.DataFrame] = {}
    rejected: list[dict[str, Any]] = []
    for step, upstream in UPSTREAM.items():
        settings = EngineSettings(
            simulator=server.application,
            store_url=f"sqlite:///{folder}/{name}.db",
            task=name,
            step=step,
        )
        async with Engine(settings) as llm:
            output = await run_step(step, spec, {n: tables[n] for n in upstream}, llm)
        tables[step] = output.table
        rejected += output.rejected.to_dicts()
    return _figures(spec, server, tables, rejected)


def _figures(
    spec: TaskSpec,
    server: PlantedServer,
    tables: Mapping[str, pl.DataFrame],
    rejected: list[dict[str, Any]],
) -> dict[str, Any]:
    kinds: dict[str, dict[str, int]] = {kind: {"planted": 0, "passed": 0} for kind in KINDS}
    clean = {"items": 0, "rejected": 0}
    for (_, kind), count in server.counts.items():
        if kind == "clean":
            clean["items"] += count
        else:
            kinds[kind]["planted"] += count
    reasons: Counter[str] = Counter()
    alarms, other_checks = [], 0
    for row in rejected:
        reason = row["reason"]
        if reason == "given_up":
            reason = row["detail"].rpartition("(")[2].rstrip(")")
        item = _object(row["text"])
        planted = any(isinstance(v, str) and v in server.planted for v in item.values())
        if reason not in REASONS:
            other_checks += planted
            continue
        reasons[reason] += 1
        if not planted:
            clean["rejected"] += 1
            alarms.append(f"{row['detail']}: {row['text']}")
    passed = []
    for step in (CONTEXTS, SEEDS, INSTANCES):
        for text in _texts(step, spec, tables[step]):
            if text in server.planted:
                kinds[server.planted[text][1]]["passed"] += 1
                passed.append(f"{step}: {server.planted[text][1]}: {text}")
    final = _texts(CORRECTED_SET, spec, tables[CORRECTED_SET])
    return {
        "rows": tables[CORRECTED_SET].height,
        "kinds": kinds,
        "clean": clean,
        "reasons": dict(reasons),
        "other_checks": other_checks,
        "in_corrected_set": sum(text in server.planted for text in final),
        "passed": passed,
        "alarms": alarms,
    }


def _object(text: str | None) -> dict[str, Any]:
    """Return a rejected item as an object; empty if it is none."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _texts(step: str, spec: TaskSpec, table: pl.DataFrame) -> list[str]:
    if step == CONTEXTS:
        pairs = [pair for row in table["attributes"].to_list() for pair in row]
        return [*table["text"].to_list(), *(pair["value"] for pair in pairs)]
    if step == SEEDS:
        values = [value for row in table["fields"] for value in json.loads(row).values()]
        return [value for value in values if isinstance(value, str)]
    return [
        value for name in spec.fields for value in table[name].to_list() if isinstance(value, str)
    ]


def run() -> dict[str, Any]:
    """Measure four tasks with 100 rows each, or TARGEN_BENCH_ROWS."""
    rows = int(os.environ.get("TARGEN_BENCH_ROWS", "100"))
    with tempfile.TemporaryDirectory() as folder:
        return {name: asyncio.run(measure(name, rows, Path(folder))) for name in TASKS}
