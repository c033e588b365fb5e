"""ReCoRD: a news passage, its entities, and a query with a gap that one of them fills.

A story has roles, such as the company, the town and the person in charge. The passage tells it with
invented names; each query can only be about one role.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from random import Random
from typing import Final, NamedTuple

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Template, Values, frame, read_any
from simulator.words import PRONOUNS, Lexicon, lexicons, lines, pronouns, sentences, tidy

_WORDS: Final = lexicons("words.txt", "record_words.txt")
_MARKS: Final = Lexicon([f"@{number}" for number in range(10)])
# Kinds whose names take the definite article.
_ARTICLED: Final = frozenset({"lifeboat", "weather", "roads", "brigade", "party", "prize"})
_WRAPPED: Final = 0.4
_SECOND_END: Final = 0.5
# Queries that already name a source get an aside instead of an opening.
_REPORTED: Final = re.compile(r"\b(?:sa(?:ys?|id)|told|promised|replied|assured|repeated|hinted)\b")
_ANY: Final = 0.25


class _Story(NamedTuple):
    """A story.

    Attributes:
        themes: what it is about.
        roles: role -> the kind of its name.
        places: the sentences for each place in the passage; of the last, one or two are used.
        queries: role -> the queries whose answer it is.
    """

    themes: frozenset[str]
    roles: Mapping[str, str]
    places: list[list[Template]]
    queries: Mapping[str, list[Template]]


@cache
def _stories() -> tuple[_Story, ...]:
    blocks: list[list[str]] = []
    for line in lines("record_stories.txt"):
        if line.startswith("= "):
            blocks.append([])
        blocks[-1].append(line)
    return tuple(_story(block) for block in blocks)


def _story(block: list[str]) -> _Story:
    themes = frozenset(block[0].partition(" | ")[2].split())
    roles = dict(re.findall(r"(\w+)=(\w+)", block[1]))
    words = dict(_WORDS)
    for role in roles:
        words[role] = _MARKS
        words[f"{role}_last"] = words["surname"]
        words[f"{role}_first"] = Lexicon([*words["female"].entries, *words["male"].entries])
        words |= {f"{role}_{he}": Lexicon([she, he]) for he, she in PRONOUNS.items()}
    places: dict[str, list[Template]] = {}
    queries: dict[str, list[Template]] = {role: [] for role in roles}
    for line in block[2:]:
        head, _, text = line.partition(" ")
        if head != "?":
            places.setdefault(head, []).append(frame(text, words))
            continue
        role, _, text = text.partition(" ")
        if roles[role] in _ARTICLED:
            text = text.replace("@placeholder", "the @placeholder")
        queries[role].append(frame(text, words))
    return _Story(themes, roles, list(places.values()), queries)


class RecordGrammar(Grammar):
    """Invented news with a cloze query."""

    name = "record"
    fields = frozenset({"passage", "query", "entities"})
    cues = frozenset({"news", "entities", "entity", "cloze", "placeholder", "record"})
    seeded = frozenset({"passage", "entities"})

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield news domains; every requested attribute gets the domain as its value."""
        domains = [entry.split(" > ")[0] for entry in _WORDS["domain"].entries]
        for domain in rng.sample(domains, len(domains)):
            yield {"text": domain, **dict.fromkeys(ask.attributes, domain)}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        stories = _fitting(" ".join([ask.context, *map(str, ask.attributes.values())]))
        while True:
            # Some stories are from any domain, so that small domains do not repeat themselves.
            story = rng.choice(_stories() if rng.random() < _ANY else stories)
            values = _cast(story, rng)
            passage = _passage(story, values, rng)
            entities = [values[role] for role in story.roles]
            yield {"passage": passage, "entities": sorted(entities, key=passage.index)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield queries whose answer is the entity `label`."""
        entities = [str(one) for one in slot.given.get("entities") or ()]
        reading = _read(str(slot.given.get("passage", "")), entities)
        if reading is None:
            return
        story, values = reading
        role = next((one for one in story.roles if values.get(one) == label), None)
        if role is None:
            return
        while True:
            for query in rng.sample(story.queries[role], len(story.queries[role])):
                yield {"query": _query(query, dict(values), rng)}


def _fitting(context: str) -> tuple[_Story, ...]:
    text = context.casefold()
    themes = set(re.findall(r"\w+", text))
    for entry in _WORDS["domain"].entries:
        domain, _, of_domain = entry.partition(" > ")
        if domain.casefold() in text:
            themes.update(of_domain.split())
    return tuple(s for s in _stories() if s.themes & themes) or _stories()


def _cast(story: _Story, rng: Random) -> Values:
    """Return a name for each role; no two names share a word."""
    values: Values = {}
    taken: set[str] = set()
    for role, kind in story.roles.items():
        female = rng.random() < 0.5
        while True:
            first = _WORDS["female" if female else "male"].draw(rng)
            last = _WORDS["surname"].draw(rng)
            name = f"{first} {last}" if kind == "person" else _name(kind, rng)
            parts = set(re.findall(r"\w{3,}", name))
            if taken.isdisjoint(parts) and first != last:
                break
        taken |= parts
        values[role] = name
        if kind == "person":
            values |= _forms(role, name)
    return values


def _name(kind: str, rng: Random) -> str:
    name = _WORDS[kind].draw(rng)
    return re.sub(r"\{([a-z]+)\d?\}", lambda slot: _WORDS[slot.group(1)].draw(rng), name)


def _forms(role: str, name: str) -> Values:
    """Return the first name, the last name and the pronouns of a person."""
    first, _, last = name.partition(" ")
    female = _WORDS["female"].find(first) is not None
    forms = {"first": first, "last": last, **pronouns(female)}
    return {f"{role}_{form}": text for form, text in forms.items()}


def _passage(story: _Story, values: Values, rng: Random) -> str:
    told = [rng.choice(one) for one in story.places[:-1]]
    told += rng.sample(story.places[-1], 2 if rng.random() < _SECOND_END else 1)
    return " ".join(sentence.fill(values, rng) for sentence in told)


def _read(passage: str, entities: list[str]) -> tuple[_Story, Values] | None:
    """Return the story of a passage, the names of its roles, and its other slot values."""
    told = [_marked(sentence, entities) for sentence in sentences(passage)]
    for story in _stories():
        if not told or read_any(story.places[0], told[0]) is None:
            continue
        found: Values = {}
        templates = [one for place in story.places for one in place]
        for sentence in told:
            found |= read_any(templates, sentence) or {}
        values = {k: v for k, v in found.items() if "_" not in k and k not in story.roles}
        for role, kind in story.roles.items():
            if role in found:
                values[role] = entities[int(found[role][1:])]
                values |= _forms(role, values[role]) if kind == "person" else {}
        return (story, values) if set(story.roles) <= set(values) else None
    return None


def _marked(sentence: str, entities: list[str]) -> str:
    for entity in sorted(entities[:10], key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(entity)}(?!\w)"
        sentence = re.sub(pattern, f"@{entities.index(entity)}", sentence)
    return sentence


def _query(query: Template, values: Values, rng: Random) -> str:
    text = query.fill(values, rng)
    if rng.random() > _WRAPPED or '"' in text:
        return text
    opening = rng.choice(_WORDS["aside" if _REPORTED.search(text) else "opening"].entries)
    # Names appear only in slots: a template that begins with a letter never begins with a name.
    if not opening.startswith("...") and query.pattern[0].isalpha():
        text = text[0].lower() + text[1:]
    return tidy(opening.replace("...", text.rstrip(".")) + ".")
