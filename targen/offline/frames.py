"""Sentence frames: templates that can be written out and read back.

A frame is a sentence with choices in it. It serves both directions, because the embedded model
has no memory between calls: a seed is written from a frame in one call, and in a later call the
frame is found again from the text alone. What the sentences are about stands in the data files
and in the modules of the tasks, not here.

The notation::

    {name}          a value that the caller gives, or that an earlier choice of that name took
    {name=a|b|c}    one of the options, remembered under the name
    {a|b|c}         one of the options; an empty option is allowed
"""

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import resources

_FIELD = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"([a-z_][a-z_0-9]*)=")


class Frame:
    """One sentence template: `write` makes a text of it, `read` finds its values in a text."""

    def __init__(self, template: str) -> None:
        self.template = template
        self._parts: list[tuple[str, str | None, tuple[str, ...]]] = []
        end = 0
        for field in _FIELD.finditer(template):
            self._parts.append(("text", None, (template[end : field.start()],)))
            self._parts.append(_parse_field(field.group(1)))
            end = field.end()
        self._parts.append(("text", None, (template[end:],)))

    def write(self, rng: random.Random, values: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Write the frame out.

        Args:
            rng: Takes the choices.
            values: The values that the frame refers to by name.

        Returns:
            The text, its first letter a capital, and all values including the named choices.

        Raises:
            KeyError: A name that neither `values` nor an earlier choice holds.
        """
        known = dict(values)
        pieces: list[str] = []
        for kind, name, options in self._parts:
            if kind == "text":
                pieces.append(options[0])
            elif kind == "value":
                pieces.append(known[name or ""])
            else:
                # A value that is given wins over the choice: so a text that was read is kept to.
                taken = known.get(name) if name else None
                taken = rng.choice(options) if taken is None else taken
                pieces.append(taken)
                if name:
                    known[name] = taken
        return capital("".join(pieces)), known

    def read(self, text: str) -> dict[str, str] | None:
        """Return the values that make this frame into exactly `text`, or None."""
        if self._anchor not in text:
            return None
        found = self._pattern.fullmatch(text[:1].lower() + text[1:]) or self._pattern.fullmatch(
            text
        )
        return found.groupdict() if found else None

    @cached_property
    def _anchor(self) -> str:
        # The longest fixed text rules out most frames before a pattern is compiled at all; the
        # first letter may stand as a capital, so it is left out.
        texts = [
            options[0][1:] if number == 0 else options[0]
            for number, (kind, _, options) in enumerate(self._parts)
            if kind == "text"
        ]
        return max(texts, key=len)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        seen: set[str] = set()
        pieces: list[str] = []
        for kind, name, options in self._parts:
            body = "|".join(re.escape(option) for option in options)
            if kind == "text":
                pieces.append(body)
            elif name is None:
                pieces.append(f"(?:{body})")
            elif name in seen:
                pieces.append(f"(?P={name})")
            else:
                seen.add(name)
                pieces.append(f"(?P<{name}>{body if kind == 'choice' else '.+?'})")
        return re.compile("".join(pieces))


def _parse_field(body: str) -> tuple[str, str | None, tuple[str, ...]]:
    named = _NAME.match(body)
    if named:
        return "choice", named.group(1), tuple(body[named.end() :].split("|"))
    if "|" in body:
        return "choice", None, tuple(body.split("|"))
    return "value", body, ()


def capital(text: str) -> str:
    """Return the text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def shuffled(rng: random.Random, items: list[Frame]) -> Iterator[Frame]:
    """Yield the items in an order that `rng` takes, each once."""
    yield from rng.sample(items, len(items))


def text_hash(*texts: str) -> int:
    """Return the sha256 of the texts as an integer, blind to case and to white space.

    The truth of a row is read off this number, so it must not change where a text is only
    reformatted.
    """
    folded = "\x1f".join(" ".join(text.casefold().split()) for text in texts)
    return int.from_bytes(hashlib.sha256(folded.encode("utf-8", "surrogatepass")).digest(), "big")


def bit(*texts: str) -> bool:
    """Return one bit of `text_hash`: the truth value that the texts encode."""
    return text_hash(*texts) % 2 == 1


def data_lines(name: str) -> list[str]:
    """Return the lines of a data file of this package, without comments and empty lines."""
    text = resources.files("targen.offline").joinpath("data", name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
