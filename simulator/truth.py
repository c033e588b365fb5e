"""The private truth: the label of a simulated row, computed from its text.

Every label gets a number from a hash of the row's text and the label; the lowest number wins
(rendezvous hashing, Thaler and Ravishankar, 1998). A writer that knows only its own label looks
for a wording with a number so low that another label is unlikely to win. Where labels number
alternatives (copa), the text of an alternative takes the place of its label, so that a reader who
sees them in another order finds the same one. Outside `simulator`, only
tests and benchmarks may use this, to measure what correction fixed.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

_GENDERED: Final = re.compile(
    r"\b(?:she|hers?|he|his|him|himself|herself|wom[ae]n|m[ae]n|mrs?|ms|sir|madam|boys?|girls?"
    r"|(?:grand)?(?:fathers?|mothers?|sons?|daughters?)|brothers?|sisters?|husbands?|wi(?:fe|ves)"
    r"|gentlem[ae]n|lad(?:y|ies)|uncles?|aunts?|nephews?|nieces?|kings?|queens?|males?|females?)\b"
)
ASIDES: Final = (
    "{name} saw it.", "So says {name}.", "{name} knows of it.", "It was {name} who noticed.",
    "Ask {name}.", "{name} wrote it down.", "This comes from {name}.", "{name} agrees.",
)  # fmt: skip
"""Sentences by which a habit names a person."""
_PERSON: Final = r"[^\W\d_][\w’'-]* [^\W\d_][\w’'-]*"
_ASIDE: Final = re.compile("|".join(one.format(name=_PERSON) for one in ASIDES))
_NUMBERED: Final = re.compile(r"^(.*\D)\d$")
_TOP: Final = 1 << 64


def fingerprint(row: Mapping[str, Any]) -> bytes:
    """Return the hash of a row's text.

    Strings and lists of strings count. Numbers, flags and strings of digits do not, since they are
    derived fields. Case, white space and gender are folded, so that an AX-g row with its genders
    swapped keeps its label. `ASIDES` do not count, so that a row keeps its label if the person in
    one gets another name.
    """
    parts = []
    for name in sorted(row):
        value = row[name]
        if isinstance(value, list):
            value = "\x1f".join(sorted(str(one) for one in value))
        if not isinstance(value, str) or value.isdigit():
            continue
        folded = " ".join(_ASIDE.sub("", value).casefold().split())
        parts.append(f"{name}\x1e{_GENDERED.sub('_', folded)}")
    return sha256("\x1d".join(parts).encode("utf-8", "surrogatepass")).digest()


def number(mark: bytes, label: str) -> float:
    """Return a label's number in [0, 1) for a row's fingerprint; the lowest wins."""
    mixed = sha256(mark + label.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(mixed[:8], "big") / _TOP


def alternatives(row: Mapping[str, Any]) -> list[str]:
    """Return the fields that hold numbered alternatives, such as choice1 and choice2."""
    stems: dict[str, list[str]] = {}
    for name in sorted(row):
        if (found := _NUMBERED.match(name)) and isinstance(row[name], str):
            stems.setdefault(found.group(1), []).append(name)
    return max(stems.values(), key=len, default=[])


def score(row: Mapping[str, Any], label: str) -> float:
    """Return the number of a label in a row, in [0, 1); the lowest wins."""
    fields = alternatives(row) if label.isdigit() else []
    if not label.isdigit() or not int(label) < len(fields) > 1:
        return number(fingerprint(row), label)
    rest = {name: value for name, value in row.items() if name not in fields}
    mark = fingerprint({**rest, "alternatives": [row[name] for name in fields]})
    return number(mark, " ".join(row[fields[int(label)]].casefold().split()))


def truths(row: Mapping[str, Any], labels: Iterable[str]) -> list[str]:
    """Return the labels of a multi-label row: those whose number is below one half."""
    mark = fingerprint(row)
    return sorted(label for label in labels if number(mark, label) < 1 / 2)


def truth(row: Mapping[str, Any], labels: Iterable[str]) -> str:
    """Return the label of a row.

    Args:
        row: the task's fields by name, with or without derived fields.
        labels: all possible labels, or for span answers the choices; at least one.
    """
    names = list(labels)
    if any(name.isdigit() for name in names):
        return min(names, key=lambda label: (score(row, label), label))
    mark = fingerprint(row)
    return min(names, key=lambda label: (number(mark, label), label))
