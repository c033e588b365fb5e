"""Finds texts that talk about the task or contain what is left of a format.

Names of labels are often ordinary words (low, high, true), so a label counts only where the text
uses it as a label: after `label:`, or in "this review is classified as negative". Names of fields
count as the beginning of a text ("Premise: ...").
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from targen.tasks.guards.written import Written, words

_FLAGS: Final = re.IGNORECASE | re.VERBOSE

_TALK_WORDS: Final = frozenset(
    words(
        """ai label labels labeled labelled premise hypothesis entail entails prompt lorem
    constraint constraints instruction instructions dataset seed slot requirements"""
    )
)
"""Every alternative of `_TALK` contains one of these words, or `language model`. Most texts have
none of them and are not searched."""

_TALK: Final = re.compile(
    r"""
    \bas\ an?\ (?:AI|artificial\ intelligence|(?:large\ )?language\ model)\b
  | \bI(?:'m|’m|\ am)\ an?\ (?:AI|(?:large\ )?language\ model)\b
  | \b(?:the|this)\ hypothesis\ (?:is\ that|states|says|follows|entails|contradicts|can\ be
        |could\ be|would\ be|must\ be|should\ be|is\ (?:an?\ )?(?:true|false|neutral|entail))
  | \b(?:the|this)\ premise\ (?:states|says|follows|entails|contradicts|implies|describes|mentions
        |does\ not|is\ (?:about|the|an?)\b)
  | \b(?:the|this)\ premise\ and\ (?:the\ )?hypothesis\b
  | \bentail(?:s|ed)?\ (?:by\ )?(?:the|this)\ (?:hypothesis|premise)\b
  | \bthe\ (?:correct|intended|gold|assigned|appropriate)\ label\b
  | \bthe\ label\ of\ th(?:is|e)\ (?:example|text|row|item|instance)\b
  | \blabell?ed\ data\s?set\b
  | \bthe\ (?:given|provided|above)\ (?:prompt|instructions?|constraints?|premise|hypothesis
        |requirements|seed|slot)\b
  | \b(?:the|this)\ (?:constraint|prompt|data\s?set|slot|seed)\ (?:requires|says|states|asks)\b
  | \blorem\ ipsum\b
    """,
    _FLAGS,
)

_OPENING: Final = re.compile(
    r"""
    ^\W*(?:sure|certainly|of\ course|absolutely)\b[,.!]?\ +here(?:'s|’s|\ is|\ are)\b
  | ^\W*here(?:'s|’s|\ is|\ are)\ (?:an?|the|my|some|one|another|\d+|two|three)\ (?:\w+\ ){0,3}
        (?:examples?|hypothes[ie]s|premises?|json|instances?|samples?|rewrites?|rewritten|outputs?)\b
    """,
    _FLAGS,
)
_OPENING_WORDS: Final = frozenset({"sure", "certainly", "of", "absolutely", "here"})

_TAG: Final = re.compile(
    r"""
    <\|?/?(?:im_start|im_end|endoftext|system|user|assistant|eot_id|start_header_id|end_of_turn
        |bos|eos|think|s)\|?>
  | </?(?:p|br|div|span|html|body|ul|ol|li|strong|em|h[1-6])(?:\s[^<>]{0,80})?\s?/?>
    """,
    _FLAGS,
)
_BRACKET: Final = re.compile(
    r"""
    \[/?INST\]
  | \[(?:insert|your|enter|add)\b[^\[\]]{0,40}\]
  | \[(?:the\ )?(?:(?:first|last|full|user|product|company|customer|brand|city|order)\ )?
        (?:name|date|time|number|company|product|customer|city|location|address|email|phone|url|link
        |brand|amount|topic|placeholder)\]
    """,
    _FLAGS,
)
_BRACE: Final = re.compile(r'\{\{\s*\w{2,30}\s*\}\}|^\s*\{\s*"\w+"\s*:')
_NEXT_KEY: Final = re.compile(r'"\s*,\s*"\w+"\s*:\s*["\[{\d]')

_MARKUP: Final[Sequence[tuple[str, re.Pattern[str]]]] = (
    ("```", re.compile("```")),
    ("<", _TAG),
    ("[", _BRACKET),
    ("{", _BRACE),
    ('"', _NEXT_KEY),
)
"""A character without which a pattern cannot be found, and the pattern."""

_EMPTY: Final = frozenset(
    {"n/a", "na", "null", "tbd", "todo", "string", "placeholder", "undefined"}
)

_LABEL_NOUNS: Final = (
    r"(?:label|class|classification|category|sentiment|answer|verdict|intended[ _]label)"
)
_LABEL_CUES: Final = frozenset(
    words(
        """label labels labeled labelled class classified classification category categorized
    categorised sentiment answer verdict annotated marked rated example this above"""
    )
)
"""Words beside which the name of a label is a label."""


_FORM_WORDS: Final = frozenset(
    words("""sentences paragraphs noun verb adjective word words feature""")
)
"""`form` contains one of these."""


def about_task(
    written: Written, fields: tuple[str, ...], labels: tuple[str, ...], code: bool
) -> str | None:
    """Return what a text says about the task, else None.

    Args:
        written: the text.
        fields: the names of the task's fields.
        labels: the names of the task's labels.
        code: whether the field contains code, in which brackets and markup are content.
    """
    text, found_words = written.text, written.vocabulary
    bare = text.casefold().strip(" .!-[]<>\"'…")
    if written.whole and (not bare or bare in _EMPTY):
        return "is a placeholder"
    if code:
        return None
    if written.whole and bare.replace(" ", "_") in {
        one.casefold().replace(" ", "_") for one in labels
    }:
        return "is the name of a label"
    own = _own(fields, labels)
    found = None
    if not _TALK_WORDS.isdisjoint(found_words) or {"language", "model"} <= found_words:
        found = _TALK.search(text)
    if found is None and written.words and written.words[0] in _OPENING_WORDS:
        found = _OPENING.match(text)
    if found is None and not own.labels.isdisjoint(found_words) and own.is_cued(found_words):
        found = own.mention.search(text)
    if found is None and not _FORM_WORDS.isdisjoint(found_words):
        found = own.form.search(text)
    if found is None and ":" in text:
        found = own.heading.search(text)
    if found is None:
        found = next(
            (hit for mark, pattern in _MARKUP if mark in text and (hit := pattern.search(text))),
            None,
        )
    return _quoted("contains", found)


@dataclass(frozen=True)
class _Own:
    """The patterns for the names of one task.

    Attributes:
        labels: the words of the labels' names, of which `mention` contains one.
        is_cued: whether words contain one that `mention` needs.
        mention: a label that is used as one.
        form: what a text says about its own form, by the name of its field.
        heading: the name of a field before a colon, at the beginning of a text or line.
    """

    labels: frozenset[str]
    is_cued: Callable[[frozenset[str]], bool]
    mention: re.Pattern[str]
    form: re.Pattern[str]
    heading: re.Pattern[str]


@lru_cache(maxsize=256)
def _own(fields: tuple[str, ...], labels: tuple[str, ...]) -> _Own:
    names, known = _any(fields), _any(labels)
    shown = rf"[\"'“‘*]*{known}\b"
    kind = rf"(?:{names}|text|example|row|item|statement|sentence|passage|case|instance)"
    mention = [
        rf"(?:^|[.!?(\[\n])[\W_]*{_LABEL_NOUNS}\s*[:=]\s*{shown}",
        rf"\b(?:label|class|category)\s+(?:is|=|should be|would be|must be)\s+{shown}",
        rf"\bsentiment (?:is|would be|should be)\s+{shown}",
        rf"\b(?:this|the|above) {kind} (?:is|was|should be|would be|can be|must be|has been)"
        rf" (?:labell?ed|classified|marked|annotated|categori[sz]ed|rated)"
        rf" (?:as |an? |with )?(?:\w+ )?{shown}",
        rf"\b(?:should|would|must|could) be (?:labell?ed|classified|annotated|categori[sz]ed)"
        rf" as (?:an? )?{shown}",
        rf"\b(?:labell?ed|classified|annotated|categori[sz]ed) (?:as )?[\"'“‘]{known}\b",
        rf"\bthis {kind} is (?:an? )?(?:(?:good |clear )?example of (?:an? )?)?{shown}"
        rf"(?: {kind})?[\"'”’*]*\s*(?:[.!?]|$)",
    ]
    # A name that no text contains by itself.
    odd = "|".join(re.escape(label) for label in labels if "_" in label)
    if odd:
        mention.append(rf"(?<!\w)(?:{odd})(?!\w)")
    underscored = frozenset(label.casefold() for label in labels if "_" in label)

    def is_cued(found: frozenset[str]) -> bool:
        return not _LABEL_CUES.isdisjoint(found) or not underscored.isdisjoint(found)

    return _Own(
        frozenset(word for label in labels for word in re.findall(r"\w+", label.casefold())),
        is_cued,
        re.compile("|".join(mention), re.IGNORECASE),
        re.compile(
            rf"\b(?:this|the) {names} (?:contains?|has|have|consists? of|includes?|uses?) "
            r"(?:(?:\w+ ){0,3}(?:sentences|paragraphs)\b"
            r"|(?:this|the) (?:noun|verb|adjective|words?|feature)\b)",
            re.IGNORECASE,
        ),
        re.compile(
            rf'^(?:\W*["*]*{names}["*]*\s*:|.*[{{,]\s*"{names}"\s*:)', re.IGNORECASE | re.MULTILINE
        ),
    )


def _any(names: Sequence[str]) -> str:
    spelled = {form for name in names for form in (name, name.replace("_", " "))}
    by_length = sorted(spelled, key=lambda name: (-len(name), name))
    return f"(?:{'|'.join(map(re.escape, by_length)) or '(?!)'})"


def _quoted(how: str, found: re.Match[str] | None) -> str | None:
    return None if found is None else f"{how} {' '.join(found.group().split())[:60]!r}"
