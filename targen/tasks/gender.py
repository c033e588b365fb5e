"""The deterministic swap of gender in English text, for the twins of AX-g."""

import re
from typing import Final

_PAIRS: Final = (
    ("he", "she"),
    ("himself", "herself"),
    ("man", "woman"),
    ("men", "women"),
    ("boy", "girl"),
    ("boys", "girls"),
    ("father", "mother"),
    ("fathers", "mothers"),
    ("son", "daughter"),
    ("sons", "daughters"),
    ("brother", "sister"),
    ("brothers", "sisters"),
    ("husband", "wife"),
    ("husbands", "wives"),
    ("uncle", "aunt"),
    ("nephew", "niece"),
    ("grandfather", "grandmother"),
    ("grandson", "granddaughter"),
    ("gentleman", "lady"),
    ("gentlemen", "ladies"),
    ("male", "female"),
    ("mr", "ms"),
    ("sir", "madam"),
)
_SWAP: Final = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])} | {"mrs": "mr"}
_TOKEN: Final = re.compile(r"[A-Za-z]+(?:['’](?:d|ll|s|ve|re))?|[^A-Za-z]+")

# After `her` or `his` these words begin no noun phrase, so the pronoun stands alone: "saw her
# and left". Anything else that is a word follows a possessive: "her desk".
_NO_NOUN: Final = frozenset(
    """
    a an and any as at about after again against all also although are away back be because been
    before being both but by can could despite did do does down during each either even for from
    had has have he her here him his how i if in instead into is it its later may might must nor
    not of off on once only onto or out outside over quickly right shall she should since so
    some still than that the their them then there these they this those though through
    throughout to today together tomorrow twice under until up was we were what when where
    whether which while who whose why will with within without would yesterday yet you
    """.split()  # noqa: SIM905 - a list literal of this length is harder to read
)


def _follows_noun(tokens: list[str], index: int) -> bool:
    """Tell whether a noun phrase begins right after the token, so that it is a possessive."""
    if index + 2 >= len(tokens) or tokens[index + 1].strip():
        return False
    return tokens[index + 2].lower() not in _NO_NOUN


def _partner(tokens: list[str], index: int) -> str | None:
    word = tokens[index].lower()
    base, mark, suffix = word.partition("'") if "'" in word else word.partition("’")
    if base == "him":
        other = "her"
    elif base == "hers":
        other = "his"
    elif base == "her":
        other = "his" if _follows_noun(tokens, index) else "him"
    elif base == "his":
        other = "her" if _follows_noun(tokens, index) else "hers"
    else:
        found = _SWAP.get(base)
        if found is None:
            return None
        other = found
    return other + mark + suffix


def swap_gender(text: str) -> str:
    """Return `text` with every gendered word replaced by its partner, case kept.

    Args:
        text: English; `her` counts as a possessive where a noun phrase follows it.
    """
    tokens = _TOKEN.findall(text)
    swapped: list[str] = []
    for index, token in enumerate(tokens):
        other = _partner(tokens, index)
        if other is None:
            swapped.append(token)
        elif token.isupper() and len(token) > 1:
            swapped.append(other.upper())
        else:
            swapped.append(other.capitalize() if token[0].isupper() else other)
    return "".join(swapped)
