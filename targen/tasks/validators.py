"""Checks of one row (validators, empty fields, lengths) and the gender swap for English."""

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from rapidfuzz.distance import Indel

from targen.steps import LABEL
from targen.tasks.field_values import misfit
from targen.tasks.guards.written import words
from targen.tasks.plugin_kinds import Check, Row, Validator
from targen.tasks.sections import ENGLISH, LANGUAGES
from targen.tasks.spec import TaskSpec

VALIDATORS: dict[str, Validator] = {}
_TEXTS: Final = ("text", "choice")
_LISTS: Final = frozenset(("parts", "candidates", "code"))
"""Roles whose fields are lists of texts."""


def validator(name: str, *literals: str, **roles: bool) -> Callable[[Check], Check]:
    """Register a validator.

    Args:
        name: its name in task files.
        literals: the roles that name a label.
        roles: role -> whether the validator fills in its field.
    """

    def register(check: Check) -> Check:
        types = {
            role: ("integer",) if fills else ("texts",) if role in _LISTS else _TEXTS
            for role, fills in roles.items()
        }
        VALIDATORS[name] = Validator(name, roles, check, frozenset(literals), types=types)
        return check

    return register


def fold(text: str) -> str:
    """Return a text in lower case with single spaces; texts with equal results count as equal."""
    return " ".join(text.casefold().split())


@validator("differ", a=False, b=False)
def differ(row: Row, roles: Mapping[str, str]) -> str | None:
    """Two fields must not hold the same text."""
    if fold(row[roles["a"]]) == fold(row[roles["b"]]):
        return f"{roles['a']} and {roles['b']} are the same"
    return None


ALIKE: Final = 0.8
"""ROUGE-L F (Lin, 2004) above which two texts are nearly the same: one word of six may differ."""


@validator("differ_clearly", a=False, b=False)
def differ_clearly(row: Row, roles: Mapping[str, str]) -> str | None:
    """Two fields must not have four of five words in common, in the same order."""
    if problem := differ(row, roles):
        return problem
    score = Indel.normalized_similarity(words(row[roles["a"]]), words(row[roles["b"]]))
    return f"{roles['a']} and {roles['b']} are nearly the same" if score > ALIKE else None


_OPEN_QUESTION: Final = {
    *("what", "who", "whom", "whose", "which", "when", "where", "why", "how"),
    *("what's", "who's", "where's", "how's"),
}


_CLAUSES: Final = {"when", "where"}
"""Question words that also begin a clause, as in "when it rains, do the trains run"."""
_LEFT_OPEN: Final = {"what", "who", "whom", "which"}
_AUXILIARY: Final = {
    *("is", "are", "was", "were", "am", "do", "does", "did", "has", "have", "had", "can", "could"),
    *("will", "would", "shall", "should", "may", "might", "must"),
}
_ANSWERED: Final = re.compile(r"\?\W*(yes|no|true|false)\b", re.IGNORECASE)


@validator("yes_no_question", text=False)
def yes_no_question(row: Row, roles: Mapping[str, str]) -> str | None:
    """The question can be answered with yes or no, and is not answered in the text itself.

    English question words are looked for at the beginning of the text, after an introductory
    phrase ("in soccer, what ..."), and at the end ("... is called what").
    """
    name, text = roles["text"], str(row[roles["text"]])
    if found := _ANSWERED.search(text):
        return f"{name} goes on with '{found[1]}' after the question, which answers it"
    first, _, rest = text.partition(",")
    begins, goes_on = words(first)[:1], words(rest)[:1]
    clause = _CLAUSES.issuperset(begins) and _AUXILIARY.intersection(goes_on)
    if _OPEN_QUESTION.intersection(begins) and not clause:
        return f"{name} begins with '{begins[0]}', so yes and no do not answer it"
    if _OPEN_QUESTION.intersection(goes_on) and not _AUXILIARY.intersection(begins):
        return f"{name} asks '{goes_on[0]}', so yes and no do not answer it"
    if _LEFT_OPEN.intersection(last := words(text)[-1:]):
        return f"{name} ends with '{last[0]}', so yes and no do not answer it"
    return None


_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


# Irregular forms that are also words of their own; simplemma returns only the latter.
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
    """.split()  # noqa: SIM905 - readable as pairs
)


# simplemma has no dictionary for these languages; only the word itself counts as a form.
_LEMMATIZED = frozenset(LANGUAGES) - {"hr", "ja", "ko", "mt", "vi", "zh"}


@cache
def _lemmas(word: str, language: str) -> frozenset[str]:
    import simplemma  # noqa: PLC0415 - slow to import, and only WiC needs it

    lower = word.lower()
    forms = [lower, _ALSO.get(lower, lower) if language == ENGLISH else lower]
    if language in _LEMMATIZED:
        # German nouns are found by their capital letter only.
        for token in {lower} if language == ENGLISH else {lower, word}:
            forms += [simplemma.lemmatize(token, lang=language, greedy=g) for g in (False, True)]
    return frozenset(str(form).lower() for form in forms)


def _is_form(token: str, word: str, language: str = ENGLISH) -> bool:
    if word in _lemmas(token, language):
        return True
    return language == ENGLISH and _regular_form(token.lower(), word)


def _regular_form(token: str, word: str) -> bool:
    """Return whether a token is a regular inflection that simplemma maps to another lemma.

    `building` is a lemma of its own; WiC counts it as a form of `build`.
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
    """The sentence contains a form of the word; offsets count characters, end exclusive."""
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
    """Return the index of the whitespace token at which `span` begins, searching from `start`.

    The comparison ignores punctuation around a token and a possessive 's.
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
    """The text contains the span; its index counts whitespace tokens."""
    index = find_span(row[roles["text"]], row[roles["span"]])
    if index is None:
        return f"{roles['span']} does not stand in {roles['text']}"
    row[roles["index"]] = index
    return None


@validator("pronoun_span", text=False, span=False, antecedent=False, index=True)
def pronoun_span(row: Row, roles: Mapping[str, str]) -> str | None:
    """The pronoun is one word of the text: its first occurrence after the antecedent, if any."""
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
    """The query contains `@placeholder` exactly once."""
    count = row[roles["query"]].count(PLACEHOLDER)
    return None if count == 1 else f"{roles['query']} must hold {PLACEHOLDER} exactly once"


@validator("parts_of", parts=False, whole=False)
def parts_of(row: Row, roles: Mapping[str, str]) -> str | None:
    """The whole contains each text of a list at word boundaries, and the list has no duplicates."""
    parts = row[roles["parts"]]
    if len({fold(part) for part in parts}) != len(parts):
        return f"{roles['parts']} names one twice"
    for part in parts:
        if not re.search(rf"(?<!\w){re.escape(part)}(?!\w)", row[roles["whole"]]):
            return f"{roles['parts']} must all stand in {roles['whole']}"
    return None


@validator("at_least_two", parts=False)
def at_least_two(row: Row, roles: Mapping[str, str]) -> str | None:
    """The list has at least two entries."""
    return None if len(row[roles["parts"]]) >= 2 else f"{roles['parts']} holds fewer than two"


@validator("gendered", text=False)
def gendered(row: Row, roles: Mapping[str, str]) -> str | None:
    """The text contains a gendered word."""
    text = row[roles["text"]]
    return None if swap_gender(text) != text else f"{roles['text']} holds no gendered word"


@validator("pronoun_case", text=False, case=False)
def pronoun_case(row: Row, roles: Mapping[str, str]) -> str | None:
    """The text has one gendered pronoun: subject (she), object (her) or possessive (her desk)."""
    tokens = _TOKEN.findall(row[roles["text"]])
    found = [n for n, token in enumerate(tokens) if _base(token) in _CASES]
    if len(found) != 1:
        return f"{roles['text']} has {len(found)} gendered pronouns instead of one"
    case = _CASES[_base(tokens[found[0]])]
    if _base(tokens[found[0]]) == "her" and _follows_noun(tokens, found[0]):
        case = "possessive"
    wanted = row[roles["case"]]
    return None if case == wanted else f"the pronoun of {roles['text']} is no {wanted}"


@validator(
    "planned_person", "label", text=False, referent=False, one=False, other=False, label=False
)
def planned_person(row: Row, roles: Mapping[str, str]) -> str | None:
    """The text names the referent if the row has the label, and otherwise the other person.

    `one` and `other` are attributes of the context; `referent` has the name of one of them.
    """
    meant, other = roles["one"], roles["other"]
    if row[roles["referent"]] not in (meant, other):
        return f"{roles['referent']} must be {meant} or {other}"
    if (row[roles["referent"]] == meant) != (row[LABEL] == roles["label"]):
        meant, other = other, meant
    if not _mentions(row[roles["text"]], row[meant]):
        return f"{roles['text']} does not name the {meant}"
    if _mentions(row[roles["text"]], row[other]):
        return f"{roles['text']} names the {other} as well"
    return None


@validator("planned_span", "label", span=False, candidates=False, referent=False, label=False)
def planned_span(row: Row, roles: Mapping[str, str]) -> str | None:
    """The span is the referent if the row has the label, and otherwise the other candidate.

    `referent` is first or second; there must be two candidates.
    """
    candidates = [fold(text) for text in row[roles["candidates"]]]
    if len(candidates) != 2:
        return f"{roles['candidates']} must be two"
    right = (row[LABEL] == roles["label"]) == (row[roles["referent"]] == "first")
    if fold(row[roles["span"]]) != candidates[0 if right else 1]:
        return f"{roles['span']} is not the candidate that the label and the plan ask for"
    return None


def _mentions(text: str, phrase: str) -> bool:
    bare = re.sub(r"^(?:an?|the) ", "", fold(phrase))
    return re.search(rf"(?<!\w){re.escape(bare)}(?!\w)", fold(text)) is not None


CODE_AT_MOST = 20_000
"""Maximum length of a snippet in characters; longer ones are rejected without parsing."""


@validator("python_syntax", code=False)
def python_syntax(row: Row, roles: Mapping[str, str]) -> str | None:
    """Every snippet parses as Python; snippets are never compiled or run."""
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
    """Return the values of fields that are not optional."""
    optional = {name for name, field in spec.fields.items() if field.optional}
    return {name: value for name, value in values.items() if name not in optional}


def empty_field(values: Mapping[str, Any]) -> str | None:
    """Return the problem if a value is missing or blank, else None."""
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
    """Return the problem if a text has more words than its field allows, else None."""
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
    planned: Mapping[str, Any] | None = None,
    plugins: Mapping[str, Validator] | None = None,
) -> str | None:
    """Run validators on a row and return the first violation, None if there is none.

    A validator is skipped if one of its inputs is neither in the row nor planned: later steps know
    the rows, but no longer what was planned for them. A built-in one is also skipped if one is
    null, as a field that may be empty can be.

    Args:
        row: derived fields are filled in.
        validators: the task's `validators`.
        only: skip validators that fill in fields, for seeds, which have some of the fields.
        language: the task's language.
        planned: further values: the seed's fields and attributes, those of the context, and the
            intended label under `label`.
        plugins: the validators of plug-ins, by name.
    """
    known = {**(planned or {}), **row}
    for entry in validators:
        for name, roles in entry.items():
            check = (plugins or {}).get(name) or VALIDATORS[name]
            inputs = [
                LABEL if role in check.literals else roles[role]
                for role, fills in check.roles.items()
                if not fills
            ]
            filled = [roles[role] for role, fills in check.roles.items() if fills]
            if any(field not in known for field in inputs) or (only and filled):
                continue
            if check.code is None and any(known[field] is None for field in inputs):
                continue
            problem = check.check(known, {**roles, "language": language})
            if problem is not None:
                return f"{name}: {problem}"
            row.update({field: known[field] for field in filled})
    return None


def first_problem(
    values: Row, spec: TaskSpec, only: bool = False, planned: Mapping[str, Any] | None = None
) -> str | None:
    """Return the first problem of a row, None if it has none.

    Problems are an empty field, a value of another type or beyond its bounds, a long text, and a
    failed validator.

    Args:
        values: field -> value, converted to the types of their columns; validators fill in derived
            fields.
        spec: the task.
        only: see `first_violation`.
        planned: see `first_violation`.
    """
    problem = empty_field(needed(values, spec)) or misfit(values, spec.fields)
    problem = problem or too_long(values, spec)
    return problem or first_violation(
        values, spec.validators, only, spec.language, planned, spec.plugin_set.validators
    )


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

# `her` or `his` before one of these words is not a possessive ("saw her and left"). Before any
# other word it is ("her desk").
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


_CASES: Final = {
    **dict.fromkeys(("he", "she"), "subject"),
    **dict.fromkeys(("him", "her"), "object"),
    **dict.fromkeys(("his", "hers"), "possessive"),
}
"""Gendered pronoun -> its case; `her` before a noun phrase is a possessive."""


def _base(token: str) -> str:
    """Return a token in lower case without its contraction (`she'd`)."""
    return token.lower().replace("’", "'").partition("'")[0]


def _follows_noun(tokens: list[str], index: int) -> bool:
    """Return whether a noun phrase follows the token, which makes it a possessive."""
    if index + 2 >= len(tokens) or tokens[index + 1].strip():
        return False
    return tokens[index + 2].lower() not in _NO_NOUN


def _partner(tokens: list[str], index: int) -> str | None:
    word = tokens[index].lower()
    base, mark, suffix = word.partition("'") if "'" in word else word.partition("’")
    if base == "her":
        other: str | None = "his" if _follows_noun(tokens, index) else "him"
    elif base == "his":
        other = "her" if _follows_noun(tokens, index) else "hers"
    else:
        other = {"him": "her", "hers": "his"}.get(base) or _SWAP.get(base)
    return None if other is None else other + mark + suffix


def swap_gender(text: str) -> str:
    """Return an English text with every gendered word replaced by its counterpart; keeps case.

    `her` counts as a possessive if a noun phrase follows it.
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
