"""Words of the lexicons that are part of a longer proper name, and so mention no group.

Michael Jordan is no country, Stephen King no monarch, and North America not the United States.
"""

import re
from typing import Final

_BEFORE: Final = re.compile(r"([^\W\d_][\w'’-]*)(\.?)[ \t-]$")
_AFTER: Final = re.compile(r"^[ \t-]([^\W\d_][\w-]*)")
_CONTEXT: Final = 40
"""Number of characters before a word that are read."""

FUNCTION_WORDS: Final = frozenset(
    """
    a about across after against all although among an and are around as at because before behind
    between beyond both but by can could despite did do does during each either even every few for
    from had has have he her here his how however i if in inside is it its just like many more most
    my near neither no nor not now of off on once one only or our out outside over perhaps she
    should since so some still such than that the their then there these they this those though
    through throughout to today toward towards two under unless unlike until up upon was we were
    what when where whether which while who whose why will with within without would yet you your
    """.split()  # noqa: SIM905 - readable as a list of words
)
"""Words that are capitalized at the beginning of a sentence or in a title, and are no names."""
DIRECTIONS: Final = frozenset(
    """
    east eastern west western north northern south southern central mainland modern ancient
    """.split()  # noqa: SIM905
)
"""Words before a country that leave it the same country."""
OTHERWISE: Final = frozenset({"America", "Wales"})
"""Countries that are another place after a direction: South America, New South Wales."""
TITLES: Final = frozenset(
    "king queen lady mother father sister brother aunt uncle grandmother grandfather".split()  # noqa: SIM905
)
"""Words that stay a mention before a name: Queen Victoria."""
NOUNS: Final = frozenset(
    "man men woman women boy boys girl girls kid kids baby babies son sons brothers sisters".split()  # noqa: SIM905
)
"""Words that are part of a name if they are capitalized within a sentence: the Isle of Man."""
SURNAMES: Final = TITLES | NOUNS | {"christian", "church", "churches", "prince", "child"}
"""Words of the lexicons that also occur in names of people, firms and works."""
DENOMINATIONS: Final = frozenset(
    """
    anglican apostolic baptist coptic episcopal evangelical greek lutheran methodist mormon orthodox
    presbyterian reformed roman russian
    """.split()  # noqa: SIM905
)
"""Words before a church that leave it a church."""


def _capitalized(word: str | None) -> bool:
    return word is not None and word[0].isupper() and word.lower() not in FUNCTION_WORDS


def _before(text: str, start: int) -> str | None:
    """Return the word before a position in the same sentence."""
    found = _BEFORE.search(text[max(0, start - _CONTEXT) : start])
    if found is None or (found[2] and len(found[1]) > 2):
        return None
    return found[1]


def is_mention(text: str, start: int, end: int, known: frozenset[str], *, country: bool) -> bool:
    """Return whether the form of a lexicon at a place in a text is not just part of a name.

    A capitalized form next to another capitalized word is part of a name. Exceptions are function
    words at the beginning of a sentence, other forms of the lexicon, titles before a name, and
    directions before a country. In texts without capitals, names cannot be recognized.

    Args:
        text: the text.
        start: where the form begins.
        end: where it ends.
        known: all forms of the lexicon, in lower case.
        country: the form is the name of a country; otherwise only `SURNAMES` can be in names.
    """
    form = text[start:end]
    if not form[0].isupper():
        return True
    before, found = _before(text, start), _AFTER.search(text[end : end + _CONTEXT])
    after = found[1] if found is not None else None
    named_before = _capitalized(before) and str(before).lower() not in known
    named_after = _capitalized(after) and str(after).lower() not in known
    low, previous = form.lower(), (before or "").lower()
    if country:
        directed = form not in OTHERWISE and previous in DIRECTIONS
        return " " in form or not (named_after or (named_before and not directed))
    if low not in SURNAMES or (low.startswith("church") and previous in DENOMINATIONS):
        return True
    if named_before or named_after:
        return not named_before and low in TITLES
    return low not in NOUNS or before is None or before[0].isupper()
