"""Finds texts in another language than the task's.

Three tests, from cheap to expensive: the script of the letters; function words that are frequent in
the language and rare in others; and, only for a text that has too few of them, the dictionary of
simplemma, which takes 0.2 to 2 seconds and 25 to 110 MB to load.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

from targen.tasks.guards.written import Written
from targen.tasks.sections import LANGUAGES

_FUNCTION_WORDS: Final = {
    "en": """the of and to is that it with this are by from not have has which were their but you
        they we my his her been would could when there what who was had did does can will a for on
        as at be or an if she he your our""",
    "de": """der die das und ist nicht ein eine einen einem einer zu mit von auf für sich auch dem
        den wie ich wir aber wird bei nach wurde noch sind hat haben kann über im zum zur""",
    "fr": """le les des est et une du dans pour pas qui sur au avec ce il elle nous vous sont cette
        mais ont être été aux ses leur je plus""",
    "es": """el los las del y es una por con para que no se su al lo como más pero sus fue ha
        está muy también son""",
    "it": """il gli della di che è un per non con sono del alla nel dei una più anche questo ha ma
        si come le lo""",
    "pt": """o os uma do da não em para com que é se ao dos das no na mais por foi como mas são está
        seu sua""",
    "nl": """het een van en dat niet op te zijn voor met aan er ook bij maar om wordt naar heeft ik
        je we werd nog""",
}
_ENOUGH: Final = {"en": 0.2}
"""Share of function words from which a text is in the language without a further test."""

_ENOUGH_ELSEWHERE: Final = 0.25

_FEWEST_WORDS: Final = 8
_OTHER: Final = 0.2
"""Share of function words of another language from which a text is in that language, if it has
fewer than half as many of its own."""

_OTHER_DISTINCT: Final = 3
"""The text then has at least this many different function words of the other language."""

_KNOWN: Final = 0.5
"""A text of which the dictionary knows a smaller share of words is in another language."""

_OTHER_SCRIPT: Final = 0.2
"""Largest share of letters of other scripts."""

_SCRIPTS: Final = {
    "ar": {"ARABIC"},
    "bg": {"CYRILLIC"},
    "el": {"GREEK"},
    "hi": {"DEVANAGARI"},
    "ja": {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"},
    "ko": {"HANGUL", "CJK"},
    "ru": {"CYRILLIC"},
    "uk": {"CYRILLIC"},
    "zh": {"CJK", "BOPOMOFO"},
}
_REQUIRED: Final = {"ja": ("HIRAGANA", "KATAKANA"), "ko": ("HANGUL",)}
"""Scripts of which a text of the language has letters, unlike Chinese texts."""

_LATIN: Final = frozenset({"LATIN"})

_NO_DICTIONARY: Final = frozenset({"ja", "ko", "mt", "vi", "zh"})
_DICTIONARY: Final = {"hr": "hbs"}
"""simplemma's own codes."""

_TOKEN: Final = re.compile(r"[^\W\d_]+")


def foreign(texts: Sequence[Written], language: str) -> str | None:
    """Return how the texts of a field are in another language, else None."""
    text = " ".join(one.text for one in texts)
    if not text.isascii() or language in _SCRIPTS:
        problem = _other_script(text, language)
        if problem:
            return problem
    # Entries of lists are mostly names, which no dictionary knows.
    whole = [one for one in texts if one.whole]
    found = [word for one in whole for word in one.words]
    if len(found) < _FEWEST_WORDS or language in _NO_DICTIONARY:
        return None
    if language in _FUNCTION_WORDS:
        hits = _hits(found, language)
        if hits >= _ENOUGH.get(language, _ENOUGH_ELSEWHERE) * len(found):
            return None
        other = _other_language(found, language, hits)
        if other is not None:
            return f"is not in {LANGUAGES[language]}, but in {LANGUAGES[other]}"
    return _unknown_words(whole, language)


def _other_language(found: list[str], language: str, hits: int) -> str | None:
    """Return the language of which a text has far more function words than of its own."""
    distinct, fewest = set(found), max(2 * hits, _OTHER * len(found))
    for other in _FUNCTION_WORDS:
        known = len(distinct & _function_words(other))
        if other != language and known >= _OTHER_DISTINCT and _hits(found, other) > fewest:
            return other
    return None


def _unknown_words(texts: Sequence[Written], language: str) -> str | None:
    tokens = [token for one in texts for token in _TOKEN.findall(one.text)]
    # Words in capitals are mostly names, which no dictionary knows, except at the beginning.
    if language != "de":
        tokens = [token for token in tokens if token.islower()] or tokens
    if len(tokens) < _FEWEST_WORDS // 2:
        return None
    known = sum(is_known(token, language) for token in tokens)
    if known < _KNOWN * len(tokens):
        return f"is not in {LANGUAGES[language]}: {len(tokens) - known} of {len(tokens)} words"
    return None


def _hits(found: list[str], language: str) -> int:
    common = _function_words(language)
    return sum(word in common for word in found)


@cache
def _function_words(language: str) -> frozenset[str]:
    return frozenset(_FUNCTION_WORDS[language].split())


@lru_cache(maxsize=1 << 16)
def is_known(token: str, language: str) -> bool:
    """Return whether simplemma's dictionary of a language contains a word."""
    import simplemma  # noqa: PLC0415 - slow to import, and most texts do not need it

    return bool(simplemma.is_known(token, lang=_DICTIONARY.get(language, language)))


@lru_cache(maxsize=1 << 14)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _other_script(text: str, language: str) -> str | None:
    scripts = [_script(letter) for letter in text if letter.isalpha()]
    if not scripts:
        return None
    allowed = _SCRIPTS.get(language, _LATIN)
    other = [script for script in scripts if script not in allowed and script != "MODIFIER"]
    if language in _SCRIPTS:
        # Names and abbreviations are often in Latin letters.
        limit = 0.5 if all(script == "LATIN" for script in other) else _OTHER_SCRIPT
    else:
        limit = _OTHER_SCRIPT
    if len(scripts) >= _FEWEST_WORDS and len(other) > limit * len(scripts):
        return f"is not in {LANGUAGES[language]}: {len(other)} of {len(scripts)} letters"
    required = _REQUIRED.get(language)
    mostly_chinese = len(scripts) >= 2 * _FEWEST_WORDS and 2 * scripts.count("CJK") > len(scripts)
    if required and mostly_chinese and not any(script in required for script in scripts):
        return f"has no letter of a script that only {LANGUAGES[language]} has"
    return None
