"""Sentence templates: filled with words, and read back into the words that filled them."""

import re
from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from simulator.words import Lexicon, entries, lexicons, tidy

Values = dict[str, str]
"""Slot name -> the text that fills it."""

_TOKEN: Final = re.compile(
    r"\{(?P<slot>\w+)(?P<how>[!<>]?)(?::(?P<low>\d+)-(?P<high>\d+)(?:/(?P<step>\d+))?)?\}"
    r"|\[(?P<options>[^\]]*)\]"
)
_NAMED: Final = re.compile(r"\{([a-z]+)=([^{}]*)\}")
_BRACED: Final = re.compile(r"\{((?:[^{}]|\{\w+\})*)\}")
_LARGE: Final = 30
"""Larger lexicons are not written out in the regular expression of a template."""


def base(slot: str) -> str:
    """Return the lexicon of a slot: its name without trailing digits."""
    return slot.rstrip("0123456789")


def other_number(text: str, how: str, rng: Random) -> str:
    """Return a number clearly different from (`!`), less (`<`) or greater (`>`) than `text`."""
    value = int(text.replace(",", ""))
    if how == "!":
        how = rng.choice("<>") if value > 3 else ">"
    factor = rng.choice((0.5, 0.6, 0.75) if how == "<" else (1.5, 2.0, 2.5))
    moved = max(1, round(value * factor))
    step = 10 ** max(0, len(str(moved)) - 2)
    moved = max(1, moved // step * step)
    if moved == value:
        moved = max(1, value - 1) if how == "<" else value + 1
    return f"{moved:,}"


class Template:
    """A sentence with slots and choices.

    Notation:

    - `{city}`: an entry of the lexicon `city`; `{city2}`: another entry.
    - `{n:20-90/5}`: a number from 20 to 90 in steps of 5. Any slot name will do.
    - `{city!}`: an entry that no other slot of this lexicon has; `{n!}`, `{n<}`, `{n>}`: a number
      different from, less than or greater than that of slot `n`. Such templates cannot be read.
    - `[said|announced|]`: one of the options, which may contain slots.
    """

    def __init__(self, pattern: str, words: Mapping[str, Lexicon]) -> None:
        self.pattern = pattern
        self._words = words
        self._regex: re.Pattern[str] | None = None
        fixed = [part for part in re.split(r"\{[^}]*\}|\[[^\]]*\]", pattern) if part.strip()]
        anchor = max(fixed, key=len, default="").strip().casefold()
        # Articles are left out, since `tidy` may change them.
        self._anchor = max(re.split(r"\ban?\b", anchor), key=len).strip()

    def fill(self, values: Values, rng: Random) -> str:
        """Return a sentence; draw the slots missing from `values` and add them to it."""
        return tidy(self.draft(values, rng))

    def draft(self, values: Values, rng: Random) -> str:
        """Fill the slots without correcting capitals, articles and spaces."""
        return self._expand(self.pattern, values, rng)

    def _expand(self, pattern: str, values: Values, rng: Random) -> str:
        def filled(token: re.Match[str]) -> str:
            if token["slot"]:
                return self._slot(token, values, rng)
            return self._expand(rng.choice(token["options"].split("|")), values, rng)

        return _TOKEN.sub(filled, pattern)

    def _slot(self, token: re.Match[str], values: Values, rng: Random) -> str:
        slot, how, low, high, step = token.group("slot", "how", "low", "high", "step")
        if slot in values and not how:
            return values[slot]
        if low is not None and not how:
            values[slot] = f"{rng.randrange(int(low), int(high) + 1, int(step or 1)):,}"
            return values[slot]
        if how and base(slot) not in self._words:
            return other_number(values[slot], how, rng)
        taken = [value for key, value in values.items() if base(key) == base(slot)]
        drawn = self._words[base(slot)].draw(rng, taken)
        if not how:
            values[slot] = drawn
        return drawn

    def read(self, text: str) -> Values | None:
        """Return the slot values of a text, or None."""
        text = text.strip()
        if self._anchor not in text.casefold():
            return None
        if self._regex is None:
            self._regex = re.compile(self._source(self.pattern, set()), re.IGNORECASE)
        match = self._regex.fullmatch(text)
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
        # Small lexicons are written out, so that two slots may follow each other.
        longest_first = sorted(lexicon.entries, key=len, reverse=True)
        return "|".join(re.escape(entry).replace(r"\ ", " ") for entry in longest_first)

    def _source(self, pattern: str, seen: set[str]) -> str:
        out = []
        end = 0
        for token in _TOKEN.finditer(pattern):
            out.append(_literal(pattern[end : token.start()]))
            end = token.end()
            name = token["slot"]
            if name is None:
                # Longest first: otherwise an empty option leaves the others to the next slot.
                options = sorted(set(token["options"].split("|")), key=len, reverse=True)
                out.append(f"(?:{'|'.join(self._source(option, seen) for option in options)})")
                continue
            while name in seen:
                name += "__"
            seen.add(name)
            out.append(f"(?P<{name}>{self._value(token['slot'])})")
        out.append(_literal(pattern[end:]))
        return "".join(out)


def _literal(text: str) -> str:
    return re.sub(r"\ba(?:n)?\\ ", r"an?\\ ", re.escape(text))


def read_any(templates: Iterable[Template], text: str) -> Values | None:
    """Return the slot values from the first template that reads a text, or None."""
    found = (template.read(text) for template in templates)
    return next((values for values in found if values is not None), None)


def filled(pattern: str, rng: Random, **values: str) -> str:
    """Return a sentence with words from `words.txt`."""
    return Template(pattern, lexicons()).fill(values, rng)


def frame(line: str, words: Mapping[str, Lexicon]) -> Template:
    """Return the template of a line with inline choices.

    Args:
        line: a template in which `{v=a|b}` is a named choice and `{a|b|}` an unnamed one. An
            option that may be empty includes its space: `{| again}`.
        words: the lexicons of the slots that the line does not define itself.
    """
    own = {name: Lexicon(options.split("|")) for name, options in _NAMED.findall(line)}
    pattern = _BRACED.sub(
        lambda field: f"[{field.group(1)}]" if "|" in field.group(1) else field.group(),
        _NAMED.sub(r"{\1}", line),
    )
    return Template(pattern, {**words, **own})


class Phrasebook:
    """Templates by name; a template may use the names of its book as lexicons.

    Args:
        name: the data file (`words.entries`).
        shared: files of further lexicons.
    """

    def __init__(self, name: str, *shared: str) -> None:
        self.entries = entries(name)
        own = {key: Lexicon(listed) for key, listed in self.entries.items()}
        self._words = {**(lexicons(*shared) if shared else {}), **own}
        self._templates: dict[str, Template] = {}

    def draw(self, name: str, values: Values, rng: Random) -> str:
        """Return a filled pattern of this name; `values` is left unchanged."""
        return self.fill(rng.choice(self.entries[name]), values, rng)

    def sample(self, name: str, count: int, values: Values, rng: Random) -> list[str]:
        """Return up to `count` different patterns of this name, filled."""
        listed = self.entries[name]
        chosen = rng.sample(listed, min(count, len(listed)))
        return [self.fill(pattern, values, rng) for pattern in chosen]

    def fill(self, pattern: str, values: Values, rng: Random) -> str:
        """Return a filled pattern with single spaces; `values` is left unchanged."""
        if pattern not in self._templates:
            self._templates[pattern] = Template(pattern, self._words)
        return " ".join(self._templates[pattern].draft(dict(values), rng).split())
