"""Entities in a text, for answers of kind `spans`.

A label is a sorted list of entries, `type: text as written`. Code finds the offsets: an entry
stands for every occurrence of its text at word boundaries that is not inside a longer entity.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

SEPARATOR: Final = ": "
MOST: Final = 100
"""Greatest number of entities of a row."""
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
)
"""Scripts without spaces between words, in which every position is a boundary."""
_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
OUTSIDE: Final = "O"


class Entity(NamedTuple):
    """An occurrence of an entity; offsets count characters, the end is exclusive."""

    start: int
    end: int
    type: str
    text: str


def entry(kind: str, text: str) -> str:
    """Return the entry of an entity, as labels have it."""
    return f"{kind}{SEPARATOR}{text}"


def parts(one: str) -> tuple[str, str]:
    """Return type and text of an entry."""
    kind, _, text = one.partition(SEPARATOR)
    return kind, text


def _occurrences(text: str, wanted: str) -> list[tuple[int, int]]:
    pattern = re.escape(wanted)
    if not _UNSPACED.search(wanted):
        pattern = rf"(?<!\w){pattern}(?!\w)"
    return [match.span() for match in re.finditer(pattern, text)]


def located(text: str, label: Sequence[str]) -> tuple[list[Entity], str | None]:
    """Return the entities of a label in order, and the problem that makes the label invalid.

    A label is invalid if an entry is not in the text, if two entries have the same text, if an
    entry occurs only inside a longer one, or if two entries overlap in part.
    """
    taken: list[Entity] = []
    seen: set[str] = set()
    for one in sorted(label, key=lambda one: (-len(parts(one)[1]), one)):
        kind, wanted = parts(one)
        if wanted in seen:
            return taken, f"{wanted!r} has two types"
        seen.add(wanted)
        found = _occurrences(text, wanted)
        if not found:
            return taken, f"{wanted!r} is not in the text"
        free = []
        for start, end in found:
            across = [other for other in taken if other.start < end and start < other.end]
            if any(not (o.start <= start and end <= o.end) for o in across):
                return taken, f"{wanted!r} overlaps {across[0].text!r}"
            free += [] if across else [Entity(start, end, kind, wanted)]
        if not free:
            return taken, f"{wanted!r} occurs only inside another entity"
        taken += free
    return sorted(taken), None


def _entries(listed: object, types: Sequence[str]) -> Iterator[str]:
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("type") in types:
            wanted = str(one.get("text", "")).strip()
            if wanted:
                yield entry(one["type"], wanted)


def written(listed: object, text: str, types: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the label that a writer lists, and the problem that makes its row invalid."""
    count = len(listed) if isinstance(listed, list) else 0
    found = list(_entries(listed, types))
    label = sorted(set(found))
    if len(found) < count:
        return label, "an entity has no text, or a type that the task does not have"
    if len(label) > MOST:
        return label, f"there are more than {MOST} entities"
    return label, located(text, label)[1]


def read(listed: object, text: str, types: Sequence[str]) -> list[str] | None:
    """Return the label that a reader lists; None if it lists none.

    Entries that would make the label invalid are left out, longer ones first: a reader that names
    a text that is not there has not found an entity.
    """
    if not isinstance(listed, list):
        return None
    label: list[str] = []
    for one in sorted(set(_entries(listed, types)), key=lambda one: (-len(one), one))[:MOST]:
        if located(text, [*label, one])[1] is None:
            label.append(one)
    return sorted(label)


def bio(text: str, label: Sequence[str]) -> list[tuple[str, str]]:
    """Return (token, tag) of a text: B-type begins an entity, I-type continues it, O is outside.

    Tokens are words and single punctuation marks. A token counts as part of an entity if it
    overlaps it. Source: Ramshaw and Marcus, 1995 (IOB2).
    """
    entities, _ = located(text, label)
    found = []
    begun: Entity | None = None
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        inside = next((e for e in entities if e.start < end and start < e.end), None)
        tag = OUTSIDE if inside is None else f"{'I' if inside == begun else 'B'}-{inside.type}"
        found.append((match.group(), tag))
        begun = inside
    return found


def as_rows(text: str, label: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entities of a label as {start, end, type, text}."""
    return [one._asdict() for one in located(text, label)[0]]
