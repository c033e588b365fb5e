"""The private check: which label a row of the embedded model bears, told from its text alone.

Writers of rows search among wordings that mean the same until the hash of the row's text names
the label that the text has by its meaning. Whoever knows the text then knows the label, in every
process. Nothing outside `simulator` may lean on this, except tests and benchmarks that
measure what correction mended.

The hash is rendezvous hashing (Thaler and Ravishankar, 1998): every label gets a number from the
text and the label, the lowest wins. So a writer that knows only its own label can look for a
wording whose number is so low that hardly any other label can win.
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
_TOP: Final = 1 << 64


def fingerprint(row: Mapping[str, Any]) -> bytes:
    """Return the hash of a row's text.

    Strings and lists of strings count; numbers, flags and strings of digits are derived fields
    and do not. Case, white space and gender are folded, so that the twin of an AX-g row, its
    genders swapped, has the label of the original.
    """
    parts = []
    for name in sorted(row):
        value = row[name]
        if isinstance(value, list):
            value = "\x1f".join(sorted(str(one) for one in value))
        if not isinstance(value, str) or value.isdigit():
            continue
        folded = " ".join(value.casefold().split())
        parts.append(f"{name}\x1e{_GENDERED.sub('_', folded)}")
    return sha256("\x1d".join(parts).encode("utf-8", "surrogatepass")).digest()


def number(mark: bytes, label: str) -> float:
    """Return the number in [0, 1) that a label has for a row's fingerprint; the lowest wins."""
    mixed = sha256(mark + label.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(mixed[:8], "big") / _TOP


def truths(row: Mapping[str, Any], labels: Iterable[str]) -> list[str]:
    """Return the labels of a row that can have several: those whose number is below one half."""
    mark = fingerprint(row)
    return sorted(label for label in labels if number(mark, label) < 1 / 2)


def truth(row: Mapping[str, Any], labels: Iterable[str]) -> str:
    """Return the label of a row, given all labels it could have (for spans: its choices).

    Args:
        row: the task's fields by name; fields that code derived may be there or not.
        labels: at least one.

    Raises:
        ValueError: `labels` is empty.
    """
    mark = fingerprint(row)
    return min(labels, key=lambda label: (number(mark, label), label))
