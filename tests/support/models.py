"""Models for tests, behind the engine's own protocol: no wire, no store, a history to look at."""

import json
import random
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from targen.hashing import digest
from targen.llm.types import Outcome, Request

Answer = Callable[[Request], dict[str, Any] | Outcome]


def block_of(request: Request) -> dict[str, Any]:
    """Return the data block of a request's prompt."""
    text = request.messages[1]["content"]
    block: dict[str, Any] = json.loads(text.split("```json\n")[1].split("\n```")[0])
    return block


def seeds_asked(block: dict[str, Any]) -> list[tuple[int, str, int]]:
    """Return number, context's text and place of each seed that a prompt asks for.

    The place goes on after the number that ends the last seed that the prompt lists for that
    context, or else after their count.
    """
    contexts = {one["context"]: one for one in block["contexts"]}
    places = {}
    for number, one in contexts.items():
        last = one["exclude"][-1].split()[-1] if one["exclude"] else ""
        places[number] = int(last) if last.isdigit() else len(one["exclude"])
    asked = []
    for entry in block["items"]:
        places[entry["context"]] += 1
        text = contexts[entry["context"]]["text"]
        asked.append((entry["item"], text, places[entry["context"]]))
    return asked


def judging(request: Request, say: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return a reader's answer; `say` returns the label of a row, or parts of its item."""
    items = []
    for row in block_of(request)["rows"]:
        said = say(row)
        item: dict[str, Any] = {"row": row["row"], "flaw": "none"}
        if "reasons" in request.schema["properties"]["items"]["items"]["properties"]:
            item["reasons"] = "because"
        items.append(item | (said if isinstance(said, dict) else {"label": said}))
    return {"items": items}


def request_id(request: Request) -> str:
    messages = [dict(m) for m in request.messages]
    return digest([messages, request.schema, request.sample, request.edition])


def ok(request: Request, value: dict[str, Any]) -> Outcome:
    return Outcome(request, request_id(request), "ok", value, json.dumps(value))


def failing(request: Request, status: str = "malformed", error: str = "not JSON") -> Outcome:
    return Outcome(request, request_id(request), status, None, "...", error)  # type: ignore[arg-type]


class ScriptedModel:
    """Answers by a function, and keeps every request that it saw.

    Outcomes come back in reverse order: operators must not lean on arrival order.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.history: list[Request] = []

    async def run(self, requests: Iterable[Request]) -> AsyncIterator[Outcome]:
        asked = list(requests)
        self.history += asked
        for request in reversed(asked):
            given = self.answer(request)
            yield given if isinstance(given, Outcome) else ok(request, given)


WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliet",
    "kilo",
    "lima",
    "mike",
    "november",
    "oscar",
    "papa",
    "quebec",
    "romeo",
    "sierra",
    "tango",
    "uniform",
    "victor",
    "whisker",
    "xenon",
    "yellow",
    "zebra",
]


def random_value(schema: dict[str, Any], rng: random.Random) -> Any:
    """Return random content that fits a schema: what a foreign server with no idea would say."""
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema["type"]
    if kind == "object":
        return {name: random_value(part, rng) for name, part in schema["properties"].items()}
    if kind == "array":
        count = rng.randint(schema.get("minItems", 1), schema.get("maxItems", 3))
        return [random_value(schema["items"], rng) for _ in range(count)]
    if kind == "integer":
        return rng.randint(0, 100)
    return " ".join(rng.choices(WORDS, k=rng.randint(3, 12)))


def random_model() -> ScriptedModel:
    """Return a model that answers any schema with random valid content."""
    return ScriptedModel(
        lambda request: random_value(dict(request.schema), random.Random(request_id(request)))
    )
