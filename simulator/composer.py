"""Answers for tasks that no grammar knows: placeholders that say what they are.

Names and descriptions indicate the role of a short text: a person, a thing, a problem. These are
drawn from a general lexicon. A longer text is a placeholder: a number, random words, and what the
text was to be written from. It does not imitate the task, because half-sensible rows look like a
broken product. This module must not name any task, field or label.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from random import Random
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, SeedAsk, Slot, placeholder_entities
from simulator.prompt import Prompt
from simulator.templates import Phrasebook
from simulator.words import capital

_BOOK: Final = Phrasebook("generic.txt", "words.txt")
_LONG: Final = ("topic", "title", "prose")
"""Roles whose texts are placeholders."""
_WORDS: Final = 9
_QUOTED: Final = 10
"""How many words of a context or a seed a placeholder quotes at most."""
_WAY: Final = 5
"""How many words of a way it quotes: a longer run of the prompt's words is an echo."""
PLACEHOLDER: Final = "Placeholder"
_SELF: Final = re.compile(rf"^({PLACEHOLDER} \d+).*", re.DOTALL)
_IN_LANGUAGES: Final[Mapping[str, str]] = {
    "Arabic": "نص مؤقت",
    "Bulgarian": "Заместващ текст",
    "Chinese": "占位文本",
    "French": "Texte provisoire",
    "German": "Platzhalter",
    "Greek": "Προσωρινό κείμενο",
    "Hindi": "अस्थायी पाठ",
    "Italian": "Segnaposto",
    "Japanese": "仮の文章",
    "Korean": "임시 문장",
    "Russian": "Временный текст",
    "Spanish": "Texto provisional",
    "Ukrainian": "Тимчасовий текст",
}
"""Language -> the word; others use the English one."""


def role(*texts: str) -> str:
    """Return the role that a name and its description indicate; `topic` if they indicate none."""
    said = " ".join(texts).casefold().replace("_", " ")
    said = re.sub(r"in the (?:first|third) person|as the \w+", "", said)
    for name, cues in _BOOK.entries.items():
        if name.startswith("cue ") and any(
            re.search(rf"\b{re.escape(cue)}s?\b", said) for cue in cues
        ):
            return name.removeprefix("cue ")
    return "topic"


def _role(name: str, description: str) -> str:
    by_name = role(name)
    return by_name if by_name != "topic" else role(description)


class Composer:
    """Writes the answer to one prompt; has the methods of a grammar."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._task: Mapping[str, Any] = prompt.block.get("task") or {}

    def completed(self, value: Fields) -> Fields:
        """Return a value with everything added that the prompt's schema requires."""
        if not self._prompt.schema:
            return value or {"text": self._phrase("topic", self._prompt.random("value"))}
        found = self._fitted(value, self._prompt.schema, "")
        return found if isinstance(found, dict) else value

    def _fitted(self, value: Any, schema: Mapping[str, Any], name: str) -> Any:
        kind = schema.get("type")
        if kind == "object" and isinstance(value, dict):
            parts = (schema.get("properties") or {}).items()
            return {key: self._fitted(value.get(key), one, f"{name} {key}") for key, one in parts}
        if kind == "array" and isinstance(value, list):
            more = [None] * (int(schema.get("minItems") or 0) - len(value))
            one = schema.get("items") or {}
            return [self._fitted(v, one, f"{name} {n}") for n, v in enumerate([*value, *more])]
        allowed = schema.get("enum")
        if value is None or (allowed and value not in allowed):
            return self._instance(schema, self._prompt.random(f"value {name}"), name)
        return value

    def _instance(self, schema: Mapping[str, Any], rng: Random, name: str) -> Any:
        if allowed := schema.get("enum"):
            return rng.choice(allowed)
        kind = schema.get("type")
        if kind == "object":
            properties = (schema.get("properties") or {}).items()
            return {key: self._instance(one, rng, key) for key, one in properties}
        if kind == "array":
            count = max(1, int(schema.get("minItems") or 1))
            return [self._instance(schema.get("items") or {}, rng, name) for _ in range(count)]
        if kind in ("integer", "number"):
            return rng.randint(1, 9)
        if kind == "boolean":
            return rng.random() < 0.5
        return capital(self._phrase(_role(name, _description(schema)), rng))

    def terms(self, category: str, rng: Random) -> Iterator[str]:
        """Yield vocabulary terms of the category's role, or its name with a number."""
        kind = role(category)
        while True:
            if kind in _LONG:
                yield f"{category.replace('_', ' ')} {_mark(rng)}"
            else:
                yield self._phrase(kind, rng)

    def domain(self, rng: Random) -> str:
        """Return a wide field of life; a placeholder where the language has another script."""
        word = _IN_LANGUAGES.get(str(self._task.get("language")), PLACEHOLDER)
        if not word.isascii():
            return self._short(rng)
        return _BOOK.draw("domain", {}, rng)

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield contexts: attributes by their roles, and a placeholder as their text."""
        described = (self._prompt.block.get("wanted") or {}).get("attributes") or {}
        kinds = {name: _role(name, _description(described.get(name))) for name in ask.attributes}
        while True:
            attributes = {}
            for name, values in ask.attributes.items():
                given = ask.terms.get(name) or values
                attributes[name] = rng.choice(given) if given else self._named(kinds[name], rng)
            yield {"text": self._short(rng), **attributes}

    def _named(self, kind: str, rng: Random) -> str:
        """Return a phrase for a role if it is a short one and the task is in English."""
        long = kind in _LONG or self._task.get("language")
        return self._short(rng) if long else self._phrase(kind, rng)

    def _short(self, rng: Random) -> str:
        language = self._task.get("language")
        if language:
            return f"{_IN_LANGUAGES.get(str(language), PLACEHOLDER)} {_mark(rng)}"
        return f"{PLACEHOLDER} {_mark(rng)}: {', '.join(rng.sample(_BOOK.entries['word'], 2))}"

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield seeds: short fields by their roles, placeholders for the others."""
        kinds = {name: _role(name, description) for name, description in ask.wanted.items()}
        thing = _thing(ask.attributes)
        while True:
            yield {
                name: self._placeholder(name, ask.wanted[name], _mark(rng), "", rng)
                if kind in _LONG
                else self._phrase(kind, rng, thing)
                for name, kind in kinds.items()
            }

    def _phrase(self, kind: str, rng: Random, thing: str = "") -> str:
        """Return a phrase for a role: a clause for `trouble`, otherwise a noun phrase."""
        if kind == "trouble":
            part, does = (rng.choice(_BOOK.entries[name]) for name in ("part", "does"))
            of = f" of the {_bare(thing)}" if thing and rng.random() < 0.3 else ""
            return _BOOK.fill(f"the {part}{of} {does}", {}, rng)
        if kind == "time":
            return _BOOK.fill("{weekday} in {month}", {}, rng)
        if kind in ("topic", "title", "prose"):
            return f"{_BOOK.draw('setting', {}, rng)} in {_BOOK.draw('place', {}, rng)}"
        return _BOOK.draw(kind, {}, rng)

    def instances(self, slot: Slot, names: list[str], rng: Random) -> Iterator[Fields]:
        """Yield rows of placeholders, which quote what the slot gives."""
        fields = self._task.get("fields") or {}
        texts = [slot.context, *(v for v in slot.given.values() if isinstance(v, str))]
        planned = [" ".join(_SELF.sub(r"\1", text).split()[:_QUOTED]) for text in texts if text]
        if slot.way:
            planned.append(" ".join(slot.way.split()[:_WAY]))
        plan = "; ".join(text.rstrip(".") for text in dict.fromkeys(planned))
        schemas = self._schemas()
        while True:
            mark = _mark(rng)
            yield {
                name: self._placeholder(name, fields.get(name), mark, plan, rng)
                if (value := _value(fields.get(name), schemas.get(name) or {}, rng)) is None
                else value
                for name in names
            }

    def _schemas(self) -> Mapping[str, Any]:
        """Return field -> its schema in an item of the answer; empty without a schema."""
        for one in (self._prompt.schema.get("properties") or {}).values():
            found = (one.get("items") or {}).get("properties")
            if isinstance(found, dict):
                return found
        return {}

    def _placeholder(self, name: str, field: object, mark: int, plan: str, rng: Random) -> str:
        """Return a text that says that it is a placeholder.

        Args:
            name: of the field.
            field: its description in the prompt, and its values if it has some.
            mark: number of the row.
            plan: what the text was to be written from.
            rng: the source of randomness.
        """
        if isinstance(field, dict) and field.get("values"):
            return str(rng.choice(field["values"]))
        language = self._task.get("language")
        if language:
            # Too short for a check of the language, except for its script.
            return (
                f"{_IN_LANGUAGES.get(str(language), PLACEHOLDER)} {mark} {rng.randint(100, 999)}."
            )
        words = rng.sample(_BOOK.entries["word"], _WORDS)
        readable = name.replace("_", " ")
        description = _description(field)
        if "question" in description.casefold():
            return f"{PLACEHOLDER} {mark} of the {readable}: what about {', '.join(words[:4])}?"
        if _role(name, description) == "title":
            return f"{PLACEHOLDER} {mark}: {', '.join(words[:3])}"
        said = f"{PLACEHOLDER} {mark} of the {readable}, with random words: {', '.join(words)}."
        return f"{said} The plan was: {plan}." if plan else said

    def entities(self, row: Mapping[str, Any], types: tuple[str, ...]) -> list[dict[str, str]]:
        """Return entities of a placeholder; see `placeholder_entities`."""
        return placeholder_entities(row, types)

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Return the reason for a label."""
        texts = [str(v) for v in row.values() if isinstance(v, str) and len(v) > 20]
        shown = rng.choice(texts)[:90] if texts else "the row"
        how = rng.choice(("points to", "speaks for", "is best explained by"))
        return f"Among other things, the row says: “{shown}”. That {how} the label {label}."


def _value(field: object, schema: Mapping[str, Any], rng: Random) -> Any:
    """Return a number, a flag or a date within the bounds that the prompt names; else None."""
    said = field if isinstance(field, dict) else {}
    kinds = schema.get("type")
    kind = next((one for one in kinds if one != "null"), "") if isinstance(kinds, list) else kinds
    if kind == "boolean":
        return rng.random() < 0.5
    if kind in ("integer", "number"):
        low = said.get("at_least", 0)
        high = said.get("at_most", low + 9)
        if kind == "integer":
            return rng.randint(int(low), int(high))
        return round(low + (high - low) * rng.random(), 2)
    if schema.get("format") == "date":
        first = date.fromisoformat(said.get("at_least", "2025-01-01"))
        last = date.fromisoformat(said.get("at_most", "2025-12-31"))
        days = max(0, (last - first).days)
        return (first + timedelta(days=rng.randint(0, days))).isoformat()
    return None


def _bare(phrase: str) -> str:
    return re.sub(r"^(?:an?|the|our) ", "", phrase)


def _thing(attributes: Mapping[str, str]) -> str:
    found = next((str(v) for n, v in attributes.items() if role(n) == "thing"), "")
    return f"the {_bare(found)}" if found else ""


def _mark(rng: Random) -> int:
    return rng.randint(10_000, 99_999)


def _description(field: object) -> str:
    return str(field.get("description", "")) if isinstance(field, dict) else str(field or "")
