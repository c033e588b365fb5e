"""Checks of one row: validators by name, empty fields, lengths; and the gender swap for English."""

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from targen.tasks.sections import ENGLISH, LANGUAGES
from targen.tasks.spec import TaskSpec

Row = dict[str, Any]
Check = Callable[[Row, Mapping[str, str]], str | None]


@dataclass(frozen=True)
class Validator:
    """An invariant by name.

    Attributes:
        name: as tasks write it.
        roles: role -> True where the named field is written by the validator itself.
        check: takes a row and role -> field, with the task's language as the role `language`;
            fills derived fields; returns what is wrong or None.
    """

    name: str
    roles: Mapping[str, bool]
    check: Check


VALIDATORS: dict[str, Validator] = {}


def validator(name: str, **roles: bool) -> Callable[[Check], Check]:
    """Register an invariant; each keyword is a role, True where the validator fills it in."""

    def register(check: Check) -> Check:
        VALIDATORS[name] = Validator(name, roles, check)
        return check

    return register


def fold(text: str) -> str:
    """Casefold and fold white space: the equality under which two texts are the same."""
    return " ".join(text.casefold().split())


@validator("differ", a=False, b=False)
def differ(row: Row, roles: Mapping[str, str]) -> str | None:
    """Two fields must not hold the same text."""
    if fold(row[roles["a"]]) == fold(row[roles["b"]]):
        return f"{roles['a']} and {roles['b']} are the same"
    return None


_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


# Irregular forms that are words of their own too, for which the dictionary names only that word.
_ALSO = dict(
    pair.split(":")
    for pair in """
        bent:bend bit:bite bore:bear bound:bind broke:break dove:dive drew:draw drove:drive
        fell:fall felt:feel found:find ground:grind held:hold laid:lay lay:lie led:lead left:leave
        lent:lend lit:light lost:lose made:make meant:mean met:meet rang:ring rent:rend rode:ride
        rose:rise rung:ring saw:see sank:sink sat:sit sent:send shed:shed shone:shine shook:shake
        shot:shoot slid:slide sold:sell sped:speed spent:spend spoke:speak spun:spin stood:stand
        stuck:stick struck:strike strove:strive stole:steal stove:stave swam:swim swept:sweep
        swore:swear swung:swing taught:teach thought:think threw:throw tore:tear told:tell
        took:take wore:wear wound:wind wove:weave worn:wear born:bear borne:bear drawn:draw
        driven:drive given:give known:know shown:show thrown:throw torn:tear written:write
        better:good best:good worse:bad worst:bad further:far less:little more:much most:much
    """.split()  # noqa: SIM905 - as pairs they can be read
)


# The other languages of tasks have no dictionary: there, only the word itself counts as a form.
_LEMMATISED = frozenset(LANGUAGES) - {"hr", "ja", "ko", "mt", "vi", "zh"}


@cache
def _lemmas(word: str, language: str) -> frozenset[str]:
    import simplemma  # noqa: PLC0415 - its dictionary takes a while and only WiC needs it

    lower = word.lower()
    forms = [lower, _ALSO.get(lower, lower) if language == ENGLISH else lower]
    if language in _LEMMATISED:
        # German nouns are found by their capital letter only.
        for token in {lower} if language == ENGLISH else {lower, word}:
            forms += [simplemma.lemmatize(token, lang=language, greedy=g) for g in (False, True)]
    return frozenset(str(form).lower() for form in forms)


def _is_form(token: str, word: str, language: str = ENGLISH) -> bool:
    if word in _lemmas(token, language):
        return True
    return language == ENGLISH and _regular_form(token.lower(), word)


def _regular_form(token: str, word: str) -> bool:
    """Tell a regular inflection that the dictionary lemmatises to another word.

    `building` is a lemma of its own, `saw` is both noun and past tense: WiC counts them as forms.
    """
    stems = {word, word.removesuffix("e"), word + word[-1:]}
    if word.endswith("y"):
        stems.add(word[:-1] + "i")
    endings = ("", "s", "es", "d", "ed", "ing", "r", "er", "st", "est", "'s", "’s")
    return any(
        token == stem + ending for stem in stems for ending in endings if stem == word or ending
    )


@validator("word_form", word=False, sentence=False, start=True, end=True)
def word_form(row: Row, roles: Mapping[str, str]) -> str | None:
    """The sentence holds a form of the word; its offsets are characters, end exclusive."""
    word, sentence = row[roles["word"]].strip().lower(), row[roles["sentence"]]
    for match in _WORD.finditer(sentence):
        if _is_form(match.group(), word, roles.get("language", ENGLISH)):
            row[roles["start"]], row[roles["end"]] = match.span()
            return None
    return f"{roles['sentence']} holds no form of {roles['word']}"


def _bare(token: str) -> str:
    stripped = re.sub(r"^\W+|\W+$", "", token.casefold())
    return re.sub(r"['’]s$", "", stripped)


def find_span(text: str, span: str, start: int = 0) -> int | None:
    """Return the index of the whitespace token at which `span` stands, from `start` on.

    Punctuation around a token and a possessive 's are no part of the comparison.
    """
    tokens = [_bare(token) for token in text.split()]
    wanted = [_bare(token) for token in span.split()]
    if not wanted or not all(wanted):
        return None
    for index in range(start, len(tokens) - len(wanted) + 1):
        if tokens[index : index + len(wanted)] == wanted:
            return index
    return None


@validator("token_span", text=False, span=False, index=True)
def token_span(row: Row, roles: Mapping[str, str]) -> str | None:
    """The span stands in the text; its index counts whitespace tokens."""
    index = find_span(row[roles["text"]], row[roles["span"]])
    if index is None:
        return f"{roles['span']} does not stand in {roles['text']}"
    row[roles["index"]] = index
    return None


@validator("pronoun_span", text=False, span=False, antecedent=False, index=True)
def pronoun_span(row: Row, roles: Mapping[str, str]) -> str | None:
    """The pronoun is one word of the text; where it stands twice, the one after the antecedent."""
    text, span = row[roles["text"]], row[roles["span"]]
    if len(span.split()) != 1:
        return f"{roles['span']} is not one word"
    index = find_span(text, span)
    if index is None:
        return f"{roles['span']} does not stand in {roles['text']}"
    antecedent = row.get(roles["antecedent"])
    first = find_span(text, antecedent) if isinstance(antecedent, str) else None
    later = find_span(text, span, first) if first is not None else None
    row[roles["index"]] = index if later is None else later
    return None


PLACEHOLDER = "@placeholder"


@validator("placeholder", query=False)
def placeholder(row: Row, roles: Mapping[str, str]) -> str | None:
    """The query holds `@placeholder` exactly once."""
    count = row[roles["query"]].count(PLACEHOLDER)
    return None if count == 1 else f"{roles['query']} must hold {PLACEHOLDER} exactly once"


@validator("parts_of", parts=False, whole=False)
def parts_of(row: Row, roles: Mapping[str, str]) -> str | None:
    """Each text of a list stands in the whole, at word boundaries, and none is named twice."""
    parts = row[roles["parts"]]
    if len({fold(part) for part in parts}) != len(parts):
        return f"{roles['parts']} names one twice"
    for part in parts:
        if not re.search(rf"(?<!\w){re.escape(part)}(?!\w)", row[roles["whole"]]):
            return f"{roles['parts']} must all stand in {roles['whole']}"
    return None


@validator("at_least_two", parts=False)
def at_least_two(row: Row, roles: Mapping[str, str]) -> str | None:
    """A list to choose from holds two entries or more."""
    return None if len(row[roles["parts"]]) >= 2 else f"{roles['parts']} holds fewer than two"


@validator("gendered", text=False)
def gendered(row: Row, roles: Mapping[str, str]) -> str | None:
    """Swapping the gender of the text changes it: there is something to swap."""
    text = row[roles["text"]]
    return None if swap_gender(text) != text else f"{roles['text']} holds no gendered word"


CODE_AT_MOST = 20_000
"""Characters of a snippet; longer ones are not parsed."""


@validator("python_syntax", code=False)
def python_syntax(row: Row, roles: Mapping[str, str]) -> str | None:
    """Every snippet parses as Python; it is parsed to a tree and never compiled or run."""
    for place, snippet in enumerate(row[roles["code"]], 1):
        if len(snippet) > CODE_AT_MOST:
            return f"snippet {place} of {roles['code']} has more than {CODE_AT_MOST} characters"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(snippet)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"snippet {place} of {roles['code']} is no Python: {error.__class__.__name__}"
    return None


def needed(values: Mapping[str, Any], spec: TaskSpec) -> dict[str, Any]:
    """Return the values that may not be empty: all but those of optional fields."""
    optional = {name for name, field in spec.fields.items() if field.optional}
    return {name: value for name, value in values.items() if name not in optional}


def empty_field(values: Mapping[str, Any]) -> str | None:
    """Return what is wrong where a value is missing or blank, None where all is well."""
    for name, value in values.items():
        blank = (
            value is None
            or (isinstance(value, str) and not value.strip())
            or (isinstance(value, list) and (not value or not all(str(v).strip() for v in value)))
        )
        if blank:
            return f"not_empty: {name} is empty"
    return None


def too_long(values: Mapping[str, Any], spec: TaskSpec) -> str | None:
    """Return what is wrong where a text has more words than its field allows."""
    for name, value in values.items():
        limit = spec.fields[name].max_words if name in spec.fields else None
        if limit is not None and len(str(value).split()) > limit:
            return f"max_words: {name} has more than {limit} words"
    return None


def first_violation(
    row: dict[str, Any],
    validators: list[dict[str, dict[str, str]]],
    only: bool = False,
    language: str = ENGLISH,
) -> str | None:
    """Run validators over a row, filling derived fields in, and return the first violation.

    Args:
        row: changed in place.
        validators: as the task lists them.
        language: the task's.
        only: run only those whose inputs are all in the row (seeds hold a part of the fields).
    """
    for entry in validators:
        for name, roles in entry.items():
            check = VALIDATORS[name]
            inputs = [roles[role] for role, fills in check.roles.items() if not fills]
            if only and (any(field not in row for field in inputs) or any(check.roles.values())):
                continue
            problem = check.check(row, {**roles, "language": language})
            if problem is not None:
                return f"{name}: {problem}"
    return None


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
