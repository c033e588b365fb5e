"""Frame files: sentence templates with their choices written into the line.

A frame file of a task is read line by line. A template may carry named choices in itself,
`{v=a|b|c}`: the option taken is remembered as `v`, so that a later sentence can speak of the same
thing. This module turns such a line into a `wording.Template`; what the lines mean belongs to the
task's grammar.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from simulator.wording import Lexicon, Template, load

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
