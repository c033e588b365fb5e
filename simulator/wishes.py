"""What a message asks of the texts, in its list `must`, beside what they are to avoid."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Check = Callable[[str, str, str], bool]
"""(text, text of the other field, word) -> whether the text is as asked."""

_NEGATIONS: Final = frozenset(
    ("no", "not", "never", "none", "nobody", "nothing", "nor", "without", "cannot")
)
_SHORT: Final = 3
"""Letters up to which a word counts as a function word."""
_STEM: Final = 5
_HALF: Final = 0.5


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+", text))


def _shared(text: str, other: str) -> float:
    known = {word[:_STEM] for word in _words(other)}
    content = [word[:_STEM] for word in _words(text) if len(word) > _SHORT]
    return sum(word in known for word in content) / max(1, len(content))


_ASKED: Final[tuple[tuple[str, Check], ...]] = (
    (r"State a number in `(?P<field>\w+)`\.", lambda text, *_: bool(_numbers(text))),
    (
        r"State in `(?P<field>\w+)` a number that is not in `(?P<other>\w+)`\.",
        lambda text, other, _: bool(_numbers(text) - _numbers(other)),
    ),
    (
        r"Use in `(?P<field>\w+)` only content words of `(?P<other>\w+)`\.",
        lambda text, other, _: _shared(text, other) == 1,
    ),
    (
        r"Use in `(?P<field>\w+)` mostly words that are not in `(?P<other>\w+)`\.",
        lambda text, other, _: _shared(text, other) < _HALF,
    ),
    (
        r"Use a negation in `(?P<field>\w+)`\.",
        lambda text, *_: not _NEGATIONS.isdisjoint(_words(text)),
    ),
    (
        r"Use the word “(?P<word>[^”]+)” in `(?P<field>\w+)`\.",
        lambda text, _, word: word in _words(text),
    ),
    (
        r"Begin `(?P<field>\w+)` with “(?P<word>[^”]+)”\.",
        lambda text, _, word: _words(text)[:1] == [word],
    ),
)


def unmet(must: Sequence[str], names: Sequence[str]) -> Callable[[Mapping[str, Any]], bool] | None:
    """Return a function from a row to whether it lacks something that is asked for.

    None if nothing is asked of the fields that are written.

    Args:
        must: the demands of the message.
        names: the fields to write.
    """
    asked = [
        (match.groupdict(), check)
        for sentence in must
        for pattern, check in _ASKED
        if (match := re.fullmatch(pattern, sentence)) and match["field"] in names
    ]
    if not asked:
        return None

    def lacks(row: Mapping[str, Any]) -> bool:
        return not all(
            check(
                str(row.get(said["field"], "")),
                str(row.get(said.get("other") or "", "")),
                said.get("word") or "",
            )
            for said, check in asked
        )

    return lacks
