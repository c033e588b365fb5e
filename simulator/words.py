"""Word lists from `data/`, and the English that sentences need: articles, endings, capitals."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from random import Random
from typing import Final

PRONOUNS: Final = {"he": "she", "him": "her", "his": "her", "himself": "herself"}
"""Masculine pronoun -> feminine pronoun."""

_ARTICLE: Final = re.compile(r"\b([Aa])n? (?=(\w+))")
_A: Final = re.compile(r"(?i)(?:uni(?!n|m)|use|usu|eu|one\b|once\b)")
_AN: Final = re.compile(r"(?i)[aeiou]|heir|honest|hour|honou?r|8|11\b|18\b")
_END: Final = re.compile(r"[.!?][\"”’]?(?=\s+[\"“A-Z0-9])")
_FIRST: Final = re.compile(r"(^|[.!?][\"”’)]? +|[“\"])([a-z])")


@cache
def load(name: str) -> str:
    """Return the text of a data file without its comment lines (`#`)."""
    text = files("simulator").joinpath("data", name).read_text("utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def lines(name: str) -> Iterator[str]:
    """Yield the lines of a data file that are neither empty nor comments."""
    yield from (line.strip() for line in load(name).splitlines() if line.strip())


@cache
def domains(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return domain -> phrases for contexts, from lines `@ domain: phrase | phrase`."""
    headings = (line[2:].partition(":") for line in lines(name) if line.startswith("@ "))
    return {
        domain: tuple(phrase.strip() for phrase in phrases.split("|"))
        for domain, _, phrases in headings
    }


@cache
def entries(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return name -> entries, from lines `name: entry | entry`; a name may have several lines.

    The spaces around the bars tell them from those within a choice (`[said|told]`).
    """
    found: dict[str, tuple[str, ...]] = {}
    for line in load(name).splitlines():
        key, colon, rest = line.partition(": ")
        if colon:
            found[key] = (*found.get(key, ()), *(entry.strip() for entry in rest.split(" | ")))
    return found


class Lexicon:
    """A closed list of words or phrases of one kind, in the order of the file."""

    def __init__(self, entries: Iterable[str]) -> None:
        self.entries = tuple(entries)
        self._index = {entry.casefold(): entry for entry in self.entries}

    def find(self, text: str) -> str | None:
        """Return the entry that equals `text` apart from case, or None."""
        return self._index.get(text.casefold())

    def draw(self, rng: Random, without: Iterable[str] = ()) -> str:
        """Return a random entry, not one of `without` while others are left."""
        taken = set(without)
        entry = rng.choice(self.entries)
        if entry in taken:
            entry = rng.choice([e for e in self.entries if e not in taken] or list(self.entries))
        return entry


@cache
def lexicons(*names: str) -> Mapping[str, Lexicon]:
    """Return the lexicons of data files (default: `words.txt`), without duplicate entries."""
    found: dict[str, list[str]] = {}
    for name in names or ("words.txt",):
        for key, listed in entries(name).items():
            found.setdefault(key, []).extend(listed)
    return {key: Lexicon(dict.fromkeys(listed)) for key, listed in found.items()}


@cache
def people() -> Lexicon:
    """Return the people of `people.txt`, women first."""
    words = lexicons("people.txt")
    return Lexicon([*words["she_who"].entries, *words["he_who"].entries])


def pronouns(female: bool) -> dict[str, str]:
    """Return masculine pronoun -> its feminine form if `female`, else itself."""
    return {he: she if female else he for he, she in PRONOUNS.items()}


def tidy(text: str) -> str:
    """Correct spaces, `a` and `an`, and the capital at the start of each sentence."""
    text = " ".join(text.split()).replace(" ,", ",").replace(" .", ".").replace(" ?", "?")
    text = _ARTICLE.sub(lambda m: m.group(1) + article(m.group(2))[1:] + " ", text)
    return _FIRST.sub(lambda m: m.group(1) + m.group(2).upper(), text)


@cache
def article(word: str) -> str:
    """Return the indefinite article for `word`."""
    return "an" if _AN.match(word) and not _A.match(word) else "a"


def sentence(clause: str) -> str:
    """Return a clause as a sentence; its own final `.`, `!`, `?` or quotation mark is kept."""
    return tidy(capital(clause if clause.endswith((".", "!", "?", '"')) else f"{clause}."))


def sentences(text: str) -> list[str]:
    """Split a text into sentences; closing quotation marks stay with their sentence."""
    ends = [0, *(match.end() for match in _END.finditer(text)), len(text)]
    parts = (text[start:end].strip() for start, end in pairwise(ends))
    return [part for part in parts if part]


def capital(text: str) -> str:
    """Return `text` with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def uncapital(text: str) -> str:
    """Return `text` with its first letter in lower case if it starts with a function word."""
    first = re.match(r"[A-Za-z’']+", text)
    if first is None or lexicons()["starter"].find(first.group()) is None:
        return text
    return text[:1].lower() + text[1:]


@cache
def _irregular() -> Mapping[str, str]:
    return dict(entry.split() for entry in lexicons()["irregular"].entries)


def past(verb: str) -> str:
    """Return the simple past of a base form."""
    if verb in _irregular():
        return _irregular()[verb]
    if verb.endswith("e"):
        return verb + "d"
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ied"
    short = re.fullmatch(r"[^aeiou]*(?:qu)?[aeiou][bdgklmnprt]", verb)
    return f"{verb}{verb[-1]}ed" if short or lexicons()["stressed"].find(verb) else f"{verb}ed"


def third(verb: str) -> str:
    """Return the third person singular present of a base form."""
    return {"be": "is", "have": "has"}.get(verb) or plural(verb)


def plural(noun: str) -> str:
    """Return the plural of a regular noun."""
    if re.search(r"(?:s|x|z|ch|sh|[^o]o)$", noun):
        return noun + "es"
    return noun[:-1] + "ies" if re.search(r"[^aeiou]y$", noun) else noun + "s"


def frames(name: str) -> tuple[str, ...]:
    """Return the sentence frames of this name in `frames.txt`."""
    return entries("frames.txt")[name]
