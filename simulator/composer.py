"""Writes texts for tasks that no grammar knows.

Names and descriptions indicate the role of a text: a person, a thing, a problem, a title, prose.
The text comes from a general lexicon or from the slot. What a label means comes from its
constraint, its definition and the slot's way, clause by clause and never word for word. This module
must not name any task, field or label.
"""

import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, SeedAsk, Slot
from simulator.prompt import Prompt
from simulator.templates import Phrasebook
from simulator.words import article, capital, tidy

_BOOK: Final = Phrasebook("generic.txt", "words.txt")
_SPLIT: Final = re.compile(
    r"(?<=[.!?;:])\s+|,\s+(?:or|and|but)\s+|,\s+(?=\w+ (?:is|are) )"
    r"|\s+(?:but|because|since|while)\s+"
)
_ALSO: Final = re.compile(r"(?:,?\s+(?:or|and)|,)\s+\x00")
_THAT: Final = re.compile(r"\b(?:shows?|reports?|says?|mentions?|warns?) that (?!not\b)(.+)", re.I)
_SPOKEN: Final = re.compile(
    r"(?:report|ask|suggest|point out|admit|mention|complain) (?!that).+", re.I
)
"""Ways that the writer of a text follows by writing it, such as `ask how a feature works`."""
_COMMAND: Final = re.compile(
    r"(?:add|avoid|break|choose|compare|describe|give|keep|leave|let|limit|make|name|rule|say|set|show"
    r"|start|take|tell|use|write)\b",
    re.I,
)
_META: Final = re.compile(
    r"\b(?:need(?:s)? not|avoid|do not|example|label|must not|slot|such as|instead|rather|ask it"
    r"|state|write|wording|text|sentence|field|copy|seeds?|word)\b",
    re.IGNORECASE,
)
_VERB: Final = r"(?:is|are|was|were|has|have|had|does|do|did|can|cannot|could|will|would)"
_SINGULAR: Final = re.compile(
    r"(?<!there )(?<!that )(?<!how )"
    r"\b(?:wants?|asks?|wishes|points|says|shows|is|has|does|was|can)\b"
)
_FIRST: Final = {"is": "are", "has": "have", "does": "do", "was": "were", "wishes": "wish"}
_RUN: Final = 6
"""How many words in a row a text may share with what the prompt says: more would be an echo."""
_LONGEST: Final = 8
"""Longer clauses are left out, since with an aside they would still be close to the prompt."""
_FRAMED: Final = (4, 7)
"""How many words a sentence has at least besides a clause of the prompt: without and with `that`
before the clause, which the prompt may have as well."""
_ASIDES: Final = ("I think", "it seems", "as I said", "for now", "believe me", "as you know")
_MANY: Final = 8
_TITLE: Final = 10
"""The greatest number of words in a title."""


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


def statements(told: str, who: frozenset[str], about: frozenset[str]) -> list[str]:
    """Return what a constraint, a definition or a way says, as clauses for a text with its label.

    Requirements become facts (`must be` and `may be` become `is`), and so does what the text must
    show or report. Statements about the speaker are put in the first person. Orders to the writer
    and statements about examples and fields are left out. No clause has more than six words in a
    row from the prompt: longer ones get an aside before their verb, or are left out.

    Args:
        told: what the prompt says.
        who: nouns for the speaker.
        about: nouns for the kind of text, which refers to itself as `this`.
    """
    out = []
    speaker = "|".join(sorted(map(re.escape, who))) or "(?!)"
    itself = "|".join(sorted(map(re.escape, about))) or "(?!)"
    for part in _SPLIT.split(" ".join(told.split())):
        clause = part.strip(" .;:,!")
        shown = _THAT.search(clause)
        if _SPOKEN.fullmatch(clause):
            clause = "we " + re.split(r"\s(?:and|or|that)\s", clause[:1].lower() + clause[1:])[0]
        elif shown:
            clause = shown.group(1)
        elif _COMMAND.match(clause):
            continue
        clause = re.sub(r"\b(?:must|may|have to) be\b", "is", clause)
        clause = re.sub(rf"\b[Tt]h(?:e|is) (?:{itself})\b", "this", clause)
        if _META.search(clause):
            continue
        clause, first = re.subn(rf"\b[Tt]he (?:{speaker})\b", "we", clause)
        clauses = [clause]
        if first:
            before, we, after = clause.partition("we ")
            marked = _SINGULAR.sub(lambda m: "\0" + _first_person(m.group()), after)
            head, *rest = _ALSO.split(before + we + marked)
            clauses = [one.replace("\0", "") for one in (head, *(f"we {one}" for one in rest))]
        for one in clauses:
            # A frame may repeat the `that` before the clause.
            own = _reworded(one, _RUN - bool(shown))
            if own and not re.search(r"\b(?:must|may)\b", own):
                out.append(own if own.startswith("I ") else own[:1].lower() + own[1:])
    return out


def _reworded(clause: str, run: int) -> str:
    """Return a clause without more than `run` of its words in a row; empty if there is no way."""
    words = clause.split()
    if not 3 <= len(words) <= _LONGEST or re.match(rf"{_VERB}\b", clause, re.IGNORECASE):
        return ""
    if len(words) - (words[0] == "we") <= run:
        return clause
    for at, word in enumerate(words[: run + 1]):
        if at > 1 and re.fullmatch(_VERB, word) and len(words) - at <= _RUN:
            aside = _ASIDES[sum(map(ord, clause)) % len(_ASIDES)]
            return f"{' '.join(words[:at])}, {aside}, {' '.join(words[at:])}"
    return ""


def _first_person(verb: str) -> str:
    return _FIRST.get(verb, verb.removesuffix("s"))


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
        """Yield vocabulary terms of the category's role, or made from its name."""
        kind = role(category)
        while True:
            if kind in ("topic", "title", "prose"):
                aspect, setting = (_BOOK.draw(name, {}, rng) for name in ("aspect", "setting"))
                yield tidy(f"x {aspect} {category} of {setting}")[2:]
            else:
                yield self._phrase(kind, rng)

    def domain(self, rng: Random) -> str:
        """Return a wide field of life."""
        return _BOOK.draw("domain", {}, rng)

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield contexts: attributes by their roles, and a text that contains them."""
        described = (self._prompt.block.get("wanted") or {}).get("attributes") or {}
        kinds = {name: _role(name, _description(described.get(name))) for name in ask.attributes}
        while True:
            attributes = {}
            for name, values in ask.attributes.items():
                given = ask.terms.get(name) or values
                attributes[name] = rng.choice(given) if given else self._phrase(kinds[name], rng)
            place = self._phrase("setting", rng)
            whole = " and ".join(attributes.values())
            text = f"{whole}: {place}" if whole else self._phrase("topic", rng)
            yield {"text": text, **attributes}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield seeds: every field by its role."""
        thing = _thing(ask.attributes)
        while True:
            yield {
                name: self._phrase(_role(name, description), rng, thing) or ask.context
                for name, description in ask.wanted.items()
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

    def instances(
        self, slot: Slot, label: str, names: list[str], wrong: bool, rng: Random
    ) -> Iterator[Fields]:
        """Yield rows: each field by its description, from what the slot gives.

        Wrong rows contain nothing from the label's constraint.
        """
        if not (slot.given or slot.attributes or slot.context or slot.answer):
            slot = self._imagined(rng)
        fields = self._task.get("fields") or {}
        who = frozenset(n for n in slot.attributes if role(n) == "person")
        words = re.findall(r"\w{4,}", str(self._task.get("title")).lower())
        block = self._prompt.block
        defined = str((block.get("label") or {}).get("definition", ""))
        about = frozenset(word.removesuffix("s") for word in words)
        said, way = (
            [s for s in statements(told, who, about) if not any(n in s.split() for n in fields)]
            for told in (f"{slot.constraint} {defined}", slot.way or "")
        )
        material = _Material(slot, [] if wrong else said, [] if wrong else way[:1])
        parts = {name: material.options(name, fields.get(name), rng) for name in names}
        while True:
            yield {
                name: " ".join(filter(None, map(rng.choice, options)))
                for name, options in parts.items()
            }

    def _imagined(self, rng: Random) -> Slot:
        """Return a slot with a person and a subject, for recipes that give none."""
        told = f"{self._task.get('title')} {self._task.get('description')}".casefold()
        people = (cue for cue in _BOOK.entries["cue person"] if re.search(rf"\b{cue}\b", told))
        attributes = {next(people, "person"): "person", "product": "thing"}
        drawn = {name: self._phrase(kind, rng) for name, kind in attributes.items()}
        given = {kind: self._phrase(kind, rng) for kind in ("trouble", "effect")}
        return Slot(self._phrase("setting", rng), drawn, given)

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Return the reason for a label."""
        texts = [str(v) for v in row.values() if isinstance(v, str) and len(v) > 20]
        shown = rng.choice(texts)[:90] if texts else "the row"
        how = rng.choice(("points to", "speaks for", "is best explained by"))
        return f"Among other things, the row says: “{shown}”. That {how} the label {label}."


class _Material:
    """What a slot gives to write from.

    A text is a sequence of parts with several wordings each, so that a search gets many candidates
    cheaply.
    """

    def __init__(self, slot: Slot, said: list[str], way: list[str]) -> None:
        texts = [str(v) for v in slot.given.values() if isinstance(v, str) and v]
        clauses = [text for text in texts if _is_clause(text)]
        nouns = [text for text in texts if text not in clauses and len(text.split()) <= 15]
        self._said, self._way = said, way
        self._context = slot.context or "an ordinary day"
        self._answer = slot.answer
        self._values = {
            "a": clauses[0] if clauses else "",
            "b": nouns[0] if nouns else "",
            "t": _thing(slot.attributes) or "the matter",
            "p": _person(slot.attributes) or "people like us",
            "c": self._context,
        }

    def options(self, name: str, field: object, rng: Random) -> list[list[str]]:
        """Return the parts of a field's text with their wordings; an empty wording omits a part."""
        if isinstance(field, dict) and field.get("values"):
            return [list(map(str, field["values"]))]
        description = _description(field)
        kind = _role(name, description)
        if kind == "title":
            return [self._titles(rng)]
        if "question" in description.casefold():
            return [[tidy(f"is it true that {one}?") for one in self._statements(rng)]]
        if kind == "prose":
            return self._prose(rng)
        return [[_sentence(one) for one in self._statements(rng)]]

    def _frames(self, name: str, rng: Random, count: int, **more: str) -> list[str]:
        """Fill frames; `{A}` and `{T}` are `{a}` and `{t}` without their articles."""
        values = {**self._values, **more}
        values |= {key.upper(): _bare(text) for key, text in values.items()}
        return _BOOK.sample(name, count, values, rng)

    def _titles(self, rng: Random) -> list[str]:
        if not (self._values["a"] and self._values["b"]):
            return [capital(self._values["a"] or self._values["b"] or self._values["t"])]
        titles = [tidy(one) for one in self._frames("title clause", rng, _MANY)]
        return [one for one in titles if len(one.split()) <= _TITLE] or titles

    def _prose(self, rng: Random) -> list[list[str]]:
        told = bool(self._values["a"])
        parts = [self._frames("open" if told else "plain open", rng, 4) + [""] * 2]
        if told:
            parts.append(self._frames("clause", rng, 4))
        if self._values["b"]:
            parts.append(self._frames("noun", rng, 4))
        said = rng.sample(self._said, min(len(self._said), 2 - len(self._way)))
        said = [*self._way, *said]
        used: set[str] = set()
        for number, one in enumerate(said):
            # A statement without words of its own would be close to the prompt.
            stated = self._frames("state", rng, 3 * _MANY, s=one)
            framed = [text for text in stated if _framed(text, one)]
            # Two statements in a row would make a long run of the prompt's words.
            framed = [text for text in framed if not (number and text.startswith(one))]
            framed = [text for text in framed if text.replace(one, "") not in used][:4]
            used.update(text.replace(one, "") for text in framed)
            parts.append(framed + [""] * (2 * number))
        parts.append(self._frames("close", rng, 4) + [""] * (8 if len(parts) > 2 else 0))
        return [[_sentence(one) if one else "" for one in part] for part in parts]

    def _statements(self, rng: Random) -> list[str]:
        if self._answer:
            return [f"{self._answer} belongs to {self._context}"]
        said = self._way or [*self._said, *filter(None, [self._values["a"]])]
        if not said:
            return self._frames("plain open", rng, _MANY)
        return [one for s in said for one in self._frames("state", rng, _MANY, s=s)]


def _framed(text: str, clause: str) -> bool:
    more = len(text.split()) - len(clause.split())
    return more >= _FRAMED[f"that {clause}" in text]


def _sentence(clause: str) -> str:
    text = tidy(clause)
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _bare(phrase: str) -> str:
    return re.sub(r"^(?:an?|the|our) ", "", phrase)


def _thing(attributes: Mapping[str, str]) -> str:
    found = next((str(v) for n, v in attributes.items() if role(n) == "thing"), "")
    return f"the {_bare(found)}" if found else ""


def _person(attributes: Mapping[str, str]) -> str:
    found = next((str(v) for n, v in attributes.items() if role(n) == "person"), "")
    return found if not found or found[:1].isupper() else f"{article(_bare(found))} {_bare(found)}"


def _is_clause(text: str) -> bool:
    return any(does.split("{")[0].strip() in text for does in _BOOK.entries["does"])


def _description(field: object) -> str:
    return str(field.get("description", "")) if isinstance(field, dict) else str(field or "")
