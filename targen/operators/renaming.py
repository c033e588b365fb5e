"""Replaces a person's name by another one, by code, in all fields of a row.

Only for names whose replacement cannot change the label and leaves correct English: rows with words
that tell a gender, or with another form of the name, are not edited.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from targen.hashing import rng
from targen.operators.anchors import drawn_name

DRAWS: Final = 20
"""Names that are drawn until one has no part in the row."""
SIGNS: Final = 0.05
"""Share of a name's occurrences that must look like a person's."""
_GENDERED: Final = re.compile(
    r"\b(?:he|him|his|himself|she|her|hers|herself|mr|mrs|ms|miss|sir|madam|mother|father|son"
    r"|daughter|husband|wife|brother|sister|uncle|aunt|nephew|niece|grandmother|grandfather"
    r"|widow|widower|man|woman|boy|girl|king|queen|prince|princess|lady|lord|actress|waitress"
    r"|hostess|chairman|chairwoman|spokesman|spokeswoman|businessman|businesswoman|mum|mom|dad"
    r"|boyfriend|girlfriend|gentleman|male|female)\b",
    re.I,
)
_TITLES: Final = (
    r"(?:Dr|Prof|Professor|Captain|Detective|Officer|Inspector|Sergeant|Judge|Justice|Senator"
    r"|Mayor|Governor|Minister|President|Chief|Coach|Director|Nurse|Mr|Mrs|Ms|Miss)"
)
_VERBS: Final = (
    r"(?:says|said|saw|sees|knows|knew|noticed|wrote|writes|asks|asked|told|tells|thinks|thought"
    r"|believes|believed|agrees|agreed|remembers|remembered|smiled|nodded|walked|felt|wants"
    r"|wanted|hopes|hoped|explained|explains|emailed|called|recalled|laughed|sighed)"
)
_NO_PERSON: Final = frozenset(
    """
    Academy Air Airlines Airport Association Authority Avenue Bank Bay Board Bridge Center Central
    Centre Church City Club College Committee Company Corp Corporation Council County Court East
    Federal Foundation Fund Global Group High Hospital Hotel House Inc Institute International
    Island Islands Labs Lake Limited Los Ltd Mount Museum National New North Office Park Party
    Republic River Road Royal Saint San Santa School Services Society Solutions South Square
    Station Street Systems Technologies Times Trust Union United University Valley West World
    """.split()  # noqa: SIM905 - readable as a list of words
)
_PART: Final = re.compile(r"[A-Z][\w’'-]+")
_OTHER_NAME: Final = r"(?![\w-]|[’'](?!s\b)\w| [A-Z])"
"""What must not follow the name: more of a word, or a further capitalized word."""


def is_person(texts: Iterable[str], name: str) -> bool:
    """Return whether a name is used as that of a person in English texts.

    It has one or two words, is often next to a title or to a verb of speech or thought, or before
    "who", and rarely after "the", "in" or "at".
    """
    parts = name.split()
    if len(parts) > 2 or not all(map(_PART.fullmatch, parts)) or not _NO_PERSON.isdisjoint(parts):
        return False
    own = re.escape(name)
    verbs = _VERBS if len(parts) > 1 else _VERBS.replace("says|said|", "")
    sign = re.compile(
        rf"\b{_TITLES}\.? {own}\b|\b{own},? (?:who|{verbs})\b|\b(?:[Aa]sk|[Tt]ell|[Tt]hank) {own}\b"
    )
    against = re.compile(rf"\b(?:[Tt]he|[Ii]n|[Aa]t|[Nn]ear|[Aa]cross) {own}\b")
    joined = "\n".join(texts)
    signs, contrary = len(sign.findall(joined)), len(against.findall(joined))
    return signs > max(SIGNS * joined.count(name), 3 * contrary)


def renamed(row: Mapping[str, Any], names: Iterable[str], name: str, key: str) -> dict[str, Any]:
    """Return a row's fields with another name, drawn from the row's id; empty if it cannot be.

    The parts of the name are replaced where they occur alone as well, so that "Voss" becomes the
    new family name.

    Args:
        row: the fields, and the intended label under `intended_label`.
        names: the fields to edit.
        name: the name, of one or two words.
        key: id of the row.
    """
    fields = {one: row[one] for one in names}
    texts = _texts(fields)
    told = "\n".join(texts)
    parts = name.split()
    if not name or len(parts) > 2 or name not in told or _GENDERED.search(told):
        return {}
    if _left(parts, str(row.get("intended_label") or "")):
        return {}
    pairs = _pairs(told, parts, key)
    if not pairs:
        return {}
    edited = {one: _replaced(value, pairs) for one, value in fields.items()}
    return {} if _left(parts, "\n".join(_texts(edited))) else edited


def _texts(fields: Mapping[str, Any]) -> list[str]:
    values = [one for value in fields.values() for one in (value if _many(value) else [value])]
    return [one for one in values if isinstance(one, str)]


def _many(value: Any) -> bool:
    return isinstance(value, list)


def _left(parts: Iterable[str], text: str) -> bool:
    """Return whether a part of a name is anywhere in a text, such as in an address."""
    low = text.lower()
    return any(part.lower() in low for part in parts)


def _pairs(told: str, parts: list[str], key: str) -> list[tuple[re.Pattern[str], str]]:
    """Return what to replace by what, the whole name first; empty if no name can be drawn."""
    random = rng("rename", key, " ".join(parts))
    for _ in range(DRAWS):
        given, family = drawn_name(random).split(" ", 1)
        if not _left((given, family), told):
            break
    else:
        return []
    if len(parts) == 1:
        titled = re.search(rf"\b{_TITLES}\.? {re.escape(parts[0])}\b", told)
        new = [family if titled else given]
    else:
        new = [given, family]
    whole = [(" ".join(parts), " ".join(new))] if len(parts) > 1 else []
    return [
        (re.compile(rf"(?<![\w-]){re.escape(old)}{_OTHER_NAME}"), other)
        for old, other in [*whole, *zip(parts, new, strict=True)]
    ]


def _replaced(value: Any, pairs: list[tuple[re.Pattern[str], str]]) -> Any:
    if _many(value):
        return [_replaced(one, pairs) for one in value]
    if not isinstance(value, str):
        return value
    for pattern, new in pairs:
        value = pattern.sub(new.replace("\\", r"\\"), value)
    return value
