"""Finds texts that refuse what the prompt asks for."""

import re
from typing import Final

from targen.tasks.guards.written import Written, words

_REFUSAL: Final = re.compile(
    r"""
    ^[\W_]*
    (?:(?:(?:i(?:'m|’m|\ am)\ )?(?:(?:very|so|really)\ )?sorry|i\ apologi[sz]e|unfortunately
        |apologies)[,.;:!]?\ +(?:but\ +|that\ +)?)?
    (?: as\ an?\ (?:ai|artificial\ intelligence|(?:large\ )?language\ model)\b
      | (?:i\ |we\ )?(?:can(?:not|'t|’t|\ not)|(?:am|'m|’m)\ (?:not\ able|unable)\ to
            |won(?:'t|’t)|will\ not|must\ decline\ to|could(?:n't|n’t|\ not))\ +
        (?:in\ good\ conscience\ )?(?:directly\ )?
        (?: assist\b | fulfil | comply\b | engage\ in\b
          | help\ (?:you\ )?(?:with\ (?:that|this|your\ request)\b|write|create|generate)
          | generate\b
          | (?:create|write|produce|provide)\ (?:content|texts?|examples?|this\ (?:content|text)
                |such|an?\ (?:text|example|review|hypothesis|premise|story|ticket|response))\b
          | provide\ (?:information\ (?:on|about)\ |assistance\b)
          | continue\ with\ (?:this|that)\b | (?:answer|discuss)\ (?:that|this)\b )
      | i\ (?:do\ not|don't|don’t)\ (?:feel\ comfortable
            |have\ (?:enough|sufficient)\ (?:information|context)\ to\ (?:write|generate|create))
      | (?:this|your|the)\ (?:request|prompt)\ (?:violates|goes\ against|is\ against)\b
    )
  | ^[\W_]*(?:es\ tut\ mir\ leid|entschuldigung|tut\ mir\ leid)[,.]?\ +(?:aber\ )?ich\ kann\b
        [^.!?]{0,60}\b(?:erfüllen|unterstützen|erstellen|generieren|(?:dabei|damit)\ helfen)\b
  | ^[\W_]*als\ (?:KI|künstliche\ Intelligenz|Sprachmodell|KI-Sprachmodell)\b
  | ^[\W_]*(?:je\ suis\ )?désolée?[,.]?\ +(?:mais\ )?je\ ne\ (?:peux|suis)\b
        [^.!?]{0,60}\b(?:aider|générer|créer|fournir)\b
  | ^[\W_]*en\ tant\ qu(?:e\ modèle\ de\ langage|['’]IA)\b
  | ^[\W_]*lo\ siento[,.]?\ +(?:pero\ )?no\ puedo\b[^.!?]{0,60}\b(?:ayudar|generar|crear|cumplir)
  | ^[\W_]*como\ (?:modelo\ de\ lenguaje|(?:una\ )?IA)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_REFUSAL_WITHIN: Final = 200
"""A refusal is within this many characters of a text's beginning."""

_REFUSAL_WORDS: Final = frozenset(
    words(
        """can cannot can't t sorry unable not decline couldn comfortable don enough ai language
    artificial request prompt leid ich ki sprachmodell künstliche désolé désolée modèle
    siento modelo ia"""
    )
)
"""A refusal has one of these among its first words."""

_FIRST_WORDS: Final = 8


def refused(written: Written) -> str | None:
    """Return the refusal with which a text begins, else None."""
    if _REFUSAL_WORDS.isdisjoint(written.words[:_FIRST_WORDS]):
        return None
    found = _REFUSAL.search(written.text[:_REFUSAL_WITHIN])
    return None if found is None else f"begins with {' '.join(found.group().split())[:60]!r}"
