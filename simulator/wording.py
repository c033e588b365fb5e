"""The small toolkit that the grammars write with: lexicons, templates, inflection."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from random import Random
from typing import Final

Values = dict[str, str]
"""Slot name -> the text that fills it."""

_TOKEN: Final = re.compile(r"\{(\w+)([!<>]?)(?::(\d+)-(\d+)(?:/(\d+))?)?\}|\[([^\]]*)\]")
_ARTICLE: Final = re.compile(r"\b([Aa])n? (?=(\w+))")
_A: Final = re.compile(r"(?i)(?:uni(?!n|m)|use|usu|eu|one\b|once\b)")
_END: Final = re.compile(r"[.!?][\"”’]?(?=\s+[\"“A-Z0-9])")
_LARGE: Final = 30
_FIRST: Final = re.compile(r"(^|[.!?][\"”’)]? +|[“\"])([a-z])")


@cache
def load(name: str) -> str:
    """Return the text of a data file of this package, comment lines (`#`) left out."""
    text = files("simulator").joinpath("data", name).read_text("utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


class Lexicon:
    """A closed list of words or phrases of one kind.

    Attributes:
        entries: all of them, in the order of the file.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = tuple(entries)
        self._index = {entry.casefold(): entry for entry in self.entries}

    def find(self, text: str) -> str | None:
        """Return the entry that reads like `text` but for case; None where there is none."""
        return self._index.get(text.casefold())

    def draw(self, rng: Random, without: Iterable[str] = ()) -> str:
        """Return an entry that is none of `without`, as long as one is left."""
        taken = set(without)
        entry = rng.choice(self.entries)
        if entry in taken:
            entry = rng.choice([e for e in self.entries if e not in taken] or list(self.entries))
        return entry


@cache
def lexicons(*names: str) -> Mapping[str, Lexicon]:
    """Return the lexicons of data files: lines `name: entry | entry | ...`, one name many lines.

    Without names: the shared file, `words.txt`.
    """
    found: dict[str, list[str]] = {}
    for name in names or ("words.txt",):
        for line in load(name).splitlines():
            key, colon, rest = line.partition(":")
            if colon:
                entries = (entry.strip() for entry in rest.split("|"))
                found.setdefault(key.strip(), []).extend(e for e in entries if e)
    return {key: Lexicon(list(dict.fromkeys(entries))) for key, entries in found.items()}


def base(slot: str) -> str:
    """Return the lexicon that a slot draws from: its name without the digits at its end."""
    return slot.rstrip("0123456789")


def figure(number: int) -> str:
    """Write a number as newspapers do: 12,500."""
    return f"{number:,}"


def other_number(text: str, how: str, rng: Random) -> str:
    """Return a number that is plainly other (`!`), smaller (`<`) or greater (`>`) than `text`."""
    value = int(text.replace(",", ""))
    if how == "!":
        how = rng.choice("<>") if value > 3 else ">"
    factor = rng.choice((0.5, 0.6, 0.75) if how == "<" else (1.5, 2.0, 2.5))
    moved = max(1, round(value * factor))
    step = 10 ** max(0, len(str(moved)) - 2)
    moved = max(1, moved // step * step)
    if moved == value:
        moved = max(1, value - 1) if how == "<" else value + 1
    return figure(moved)


class Template:
    """A sentence with slots and free choices, that can be filled and read back.

    Notation: `{city}` takes an entry of the lexicon `city`; `{city2}` another one; `{n:20-90/5}`
    a number in that range in steps of 5 (any name); `{city!}` an entry other than all drawn so far,
    `{n!}`, `{n<}`, `{n>}` a number other, smaller, greater than `n` (for sentences that are made
    from values that are known; these do not read back); `[said|announced|]` one of the choices,
    which may hold slots. The first letter becomes a capital, `a` becomes `an` where it must.
    """

    def __init__(self, pattern: str, words: Mapping[str, Lexicon]) -> None:
        self.pattern = pattern
        self._words = words
        self._regex: re.Pattern[str] | None = None
        fixed = [part for part in re.split(r"\{[^}]*\}|\[[^\]]*\]", pattern) if part.strip()]
        anchor = max(fixed, key=len, default="").strip().casefold()
        # An article may change its form between pattern and text.
        self._anchor = max(re.split(r"\ban?\b", anchor), key=len).strip()
        self.slots = frozenset(m.group(1) for m in _TOKEN.finditer(pattern) if m.group(1))

    def fill(self, values: Values, rng: Random) -> str:
        """Return a sentence; slots that `values` does not hold are drawn and added to it."""
        return tidy(self.draft(values, rng))

    def draft(self, values: Values, rng: Random) -> str:
        """Do as `fill` does, but leave capitals, articles and spaces as they come."""
        return self._expand(self.pattern, values, rng)

    def _expand(self, pattern: str, values: Values, rng: Random) -> str:
        out = []
        end = 0
        for token in _TOKEN.finditer(pattern):
            out.append(pattern[end : token.start()])
            end = token.end()
            if token.group(1) is None:
                out.append(self._expand(rng.choice(token.group(6).split("|")), values, rng))
            else:
                out.append(self._slot(token, values, rng))
        out.append(pattern[end:])
        return "".join(out)

    def _slot(self, token: re.Match[str], values: Values, rng: Random) -> str:
        slot, how, low, high, step = token.group(1, 2, 3, 4, 5)
        if how:
            lexicon = self._words.get(base(slot))
            if lexicon is None:
                return other_number(values[slot], how, rng)
            return lexicon.draw(rng, [v for k, v in values.items() if base(k) == base(slot)])
        if slot not in values:
            if low is not None:
                values[slot] = figure(rng.randrange(int(low), int(high) + 1, int(step or 1)))
            else:
                taken = [v for k, v in values.items() if base(k) == base(slot)]
                values[slot] = self._words[base(slot)].draw(rng, taken)
        return values[slot]

    def read(self, sentence: str) -> Values | None:
        """Return the slot values of a sentence that this template wrote; None where it did not."""
        return self._read(sentence.strip(), to_the_end=True)

    def read_start(self, text: str) -> Values | None:
        """Do as `read` does with a text that begins with the sentence."""
        return self._read(text.strip(), to_the_end=False)

    def _read(self, text: str, to_the_end: bool) -> Values | None:
        if self._anchor not in text.casefold():
            return None
        if self._regex is None:
            self._regex = re.compile(self._source(self.pattern, set()), re.IGNORECASE)
        match = self._regex.fullmatch(text) if to_the_end else self._regex.match(text)
        if match is None:
            return None
        values: Values = {}
        for key, part in match.groupdict().items():
            if part is None:
                continue
            slot = key.split("__")[0]
            lexicon = self._words.get(base(slot))
            entry = lexicon.find(part) if lexicon is not None else part
            if entry is None or values.get(slot, entry) != entry:
                return None
            values[slot] = entry
        return values

    def _value(self, slot: str) -> str:
        lexicon = self._words.get(base(slot))
        if lexicon is None:
            return "[0-9,]*[0-9]"
        if len(lexicon.entries) > _LARGE:
            return ".+?"
        # Small lexicons are spelt out, so that slots may stand side by side.
        return "|".join(re.sub(r"\\ ", " ", re.escape(e)) for e in _longest_first(lexicon))

    def _source(self, pattern: str, seen: set[str]) -> str:
        out = []
        end = 0
        for token in _TOKEN.finditer(pattern):
            out.append(_literal(pattern[end : token.start()]))
            end = token.end()
            if token.group(1) is None:
                # Longest first: an empty choice must not leave its rivals to a slot.
                options = sorted(set(token.group(6).split("|")), key=len, reverse=True)
                choices = (self._source(one, seen) for one in options)
                out.append(f"(?:{'|'.join(choices)})")
                continue
            slot = token.group(1)
            name = slot
            while name in seen:
                name += "__"
            seen.add(name)
            out.append(f"(?P<{name}>{self._value(slot)})")
        out.append(_literal(pattern[end:]))
        return "".join(out)


def _longest_first(lexicon: Lexicon) -> list[str]:
    return sorted(lexicon.entries, key=len, reverse=True)


def _literal(text: str) -> str:
    return re.sub(r"\ba(?:n)?\\ ", r"an?\\ ", re.escape(text))


def tidy(text: str) -> str:
    """Put sentences right: one space, `a` or `an`, a capital at every start."""
    text = " ".join(text.split()).replace(" ,", ",").replace(" .", ".").replace(" ?", "?")
    text = _ARTICLE.sub(lambda m: m.group(1) + article(m.group(2))[1:] + " ", text)
    return _FIRST.sub(lambda m: m.group(1) + m.group(2).upper(), text)


@cache
def article(word: str) -> str:
    """Return `a` or `an`, whichever goes before `word`."""
    if _A.match(word):
        return "a"
    return "an" if re.match(r"(?i)[aeiou]|heir|honest|hour|honou?r|8|11\b|18\b", word) else "a"


def sentences(text: str) -> list[str]:
    """Split a text at the ends of its sentences; quotation marks stay with their sentence."""
    ends = [m.end() for m in _END.finditer(text)]
    return [
        text[a:b].strip()
        for a, b in zip([0, *ends], [*ends, len(text)], strict=True)
        if text[a:b].strip()
    ]


def capital(text: str) -> str:
    """Return `text` with a capital at its start, the rest as it is."""
    return text[:1].upper() + text[1:]


def uncapital(text: str) -> str:
    """Return `text` with a small letter at its start, unless a name or `I` stands there."""
    return text[:1].lower() + text[1:] if _function_start(text) else text


def _function_start(text: str) -> bool:
    first = re.match(r"[A-Za-z’']+", text)
    return first is not None and lexicons()["starter"].find(first.group()) is not None


@cache
def _irregular() -> Mapping[str, str]:
    return dict(entry.split() for entry in lexicons()["irregular"].entries)


def past(verb: str) -> str:
    """Return the simple past of a verb's base form."""
    return _irregular().get(verb) or _add(verb, "ed")


def third(verb: str) -> str:
    """Return the third person singular, present, of a verb's base form."""
    if verb in ("be", "have"):
        return "is" if verb == "be" else "has"
    return plural(verb)


def plural(noun: str) -> str:
    """Return the plural of a regular noun (the same endings as the third person of verbs)."""
    if re.search(r"(?:s|x|z|ch|sh|[^o]o)$", noun):
        return noun + "es"
    return noun[:-1] + "ies" if re.search(r"[^aeiou]y$", noun) else noun + "s"


def _add(verb: str, ending: str) -> str:
    if verb.endswith("e"):
        return verb + ending[1:]
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "i" + ending
    return _double(verb) + ending


def _double(verb: str) -> str:
    short = re.fullmatch(r"[^aeiou]*(?:qu)?[aeiou][bdgklmnprt]", verb)
    return verb + verb[-1] if short or lexicons()["stressed"].find(verb) else verb


# What is a port is also a city: it is exchanged for another port, which both lexicons hold.
_LIGHT: Final = ("weekday", "month", "female", "male", "surname", "city", "port")


@cache
def _light() -> tuple[Mapping[str, str], re.Pattern[str]]:
    kinds = {word: kind for kind in _LIGHT for word in lexicons()[kind].entries}
    alternation = "|".join(sorted(map(re.escape, kinds), key=len, reverse=True))
    return kinds, re.compile(rf"\b(?:{alternation})\b")


def lightly_changed(fields: Mapping[str, object], rng: Random) -> dict[str, object] | None:
    """Return the fields with one weekday, month, name or place exchanged, everywhere alike.

    None where nothing can be exchanged. What a grammar wrote with the shared lexicons it can
    still read afterwards: a word is exchanged for one of the same lexicon.
    """
    kinds, pattern = _light()
    text = "\n".join(str(value) for value in fields.values())
    here = sorted(set(pattern.findall(text)))
    if not here:
        return None
    old = rng.choice(here)
    new = lexicons()[kinds[old]].draw(rng, here)
    swap = re.compile(rf"\b{re.escape(old)}\b")

    def exchanged(value: object) -> object:
        if isinstance(value, str):
            return swap.sub(new, value)
        return [exchanged(one) for one in value] if isinstance(value, list) else value

    return {name: exchanged(value) for name, value in fields.items()}


_NAMED: Final = re.compile(r"\{([a-z]+)=([^{}]*)\}")
_BRACED: Final = re.compile(r"\{((?:[^{}]|\{\w+\})*)\}")


def frame(line: str, words: Mapping[str, Lexicon]) -> Template:
    """Return the template of a line with inline choices.

    Args:
        line: `{v=a|b}` is a named choice, `{a|b|}` a free one, whose options may hold slots; all
            else as in `Template`. A choice that may be empty brings its own space along:
            `{| again}`.
        words: the lexicons of the slots that the line does not define itself.
    """
    own = {name: Lexicon(options.split("|")) for name, options in _NAMED.findall(line)}
    pattern = _BRACED.sub(
        lambda field: f"[{field.group(1)}]" if "|" in field.group(1) else field.group(),
        _NAMED.sub(r"{\1}", line),
    )
    return Template(pattern, {**words, **own})


def lines(name: str) -> Iterator[str]:
    """Yield the lines of a data file that are neither empty nor comments."""
    yield from (line.strip() for line in load(name).splitlines() if line.strip())


def wanted_terms(terms: Mapping[str, tuple[str, ...]], attribute: str) -> tuple[str, ...]:
    """Return the terms of the category that is named like an attribute, singular or plural."""
    stem = attribute.casefold().rstrip("s")
    for category, entries in terms.items():
        if category.casefold().rstrip("s") == stem or stem in category.casefold():
            return entries
    return ()


class Phrasebook:
    """Patterns by name, to be filled with words.

    Args:
        name: the data file, lines `name: pattern | pattern`, the bars with spaces around them;
            bars without belong to the choices of a pattern (`[said|told]`).
        shared: files of lexicons that patterns may draw from besides.
    """

    def __init__(self, name: str, *shared: str) -> None:
        found: dict[str, list[str]] = {}
        for line in load(name).splitlines():
            key, colon, rest = line.partition(": ")
            if colon:
                found.setdefault(key, []).extend(part.strip() for part in rest.split(" | "))
        self.entries: Mapping[str, tuple[str, ...]] = {k: tuple(v) for k, v in found.items()}
        words = dict(lexicons(*shared)) if shared else {}
        self._words: Mapping[str, Lexicon] = words | {k: Lexicon(v) for k, v in found.items()}
        self._templates: dict[str, Template] = {}

    def draw(self, name: str, values: Values, rng: Random) -> str:
        """Return a filled pattern of this name; what it draws is not kept in `values`."""
        return self.fill(rng.choice(self.entries[name]), values, rng)

    def sample(self, name: str, count: int, values: Values, rng: Random) -> list[str]:
        """Return `count` different patterns of this name, filled; fewer where there are fewer."""
        entries = self.entries[name]
        chosen = rng.sample(entries, min(count, len(entries)))
        return [self.fill(pattern, values, rng) for pattern in chosen]

    def fill(self, pattern: str, values: Values, rng: Random) -> str:
        """Return a pattern filled, its spaces put right."""
        if pattern not in self._templates:
            self._templates[pattern] = Template(pattern, self._words)
        return " ".join(self._templates[pattern].draft(dict(values), rng).split())


@cache
def phrasebook(name: str, *shared: str) -> Phrasebook:
    """Return a phrase book, read once."""
    return Phrasebook(name, *shared)
