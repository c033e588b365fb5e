"""Reading a refusal: which parameter an endpoint's error message is about."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

Feature = Literal["token_name", "seed", "temperature", "top_p", "logprobs", "format", "system"]

FEATURES: Mapping[Feature, str] = {
    "token_name": r"\bmax_tokens\b|\bmax_completion_tokens\b",
    "seed": r"\bseed\b",
    "temperature": r"\btemperature\b",
    "top_p": r"\btop_p\b",
    "logprobs": r"\b(?:top_)?logprobs?\b",
    "format": r"response[_ ]format|json[_ ]?schema|json_object|json mode|structured output|"
    r"\bschema\b|response_?(?:json_?)?schema|\bgrammar|\bguided_|minitems|maxitems|\bstrict\b",
    "system": r"\b(?:system|developer)[ _](?:role|message|prompt|instruction)|\brole\W{1,3}system\b"
    r"|\broles must alternate|\bonly user and \w+ roles\b",
}
"""The parts of a request that can be left out or sent in another way, and their names."""

_REFUSED = re.compile(
    r"unsupport|n[o']t support|unknown|unrecogni[sz]|unexpected|not (?:be )?(?:permitted|allowed|"
    r"enabled|available|implemented|accepted?|valid|compatible|specified|used|set)|"
    r"(?:must|should) (?:be|alternate)|only user and|incorrect|"
    r"only (?:available|enabled|supported)|enabled only|unavailable|incompatible|"
    r"extra (?:input|field|param|arg)|invalid|forbidden|disallow|deprecated|cannot|can't|must not|"
    r"fail|only the default|instead|no such|does not take|not take|removed"
)
"""Words that indicate a refusal."""

_NEAR = 80
"""The most characters between a parameter and the refusal word that refers to it."""

_NAME_REFUSED = re.compile(
    r"unsupported|n[o']t support|unknown|unrecogni[sz]|unexpected|extra (?:input|field|param|arg)|"
    r"not (?:permitted|allowed)|deprecated|instead|disallow|forbidden|no such|cannot find|"
    r"invalid (?:parameter|argument|field|key|name)"
)
"""Means that the name of a parameter is unknown, not that its value is wrong."""

_VAGUE = frozenset({"body", "request", "none", "null", "params", "parameters", "root", "__root__"})
"""Components of `param` that name no parameter."""

_LOCATION = re.compile(r"['\"]loc['\"]: *[\[(]([^\])]*)[\])]")
"""The location in a FastAPI error list, as JSON or as a Python literal."""

_MESSAGE = re.compile(r"['\"](?:msg|message)['\"]: *(?:'([^']*)'|\"([^\"]*)\")")

_OF_THE_PROMPT = re.compile(
    r"(?:invalid|unknown|unsupported|unrecogni[sz]ed|unexpected)(?: \w+){0,3}:? "
    r"['\"`](?:messages|model|prompt|input|tools|stop|user)\b"
)
"""Means that the prompt or the model's name is what is wrong."""

_GRAM = 5
"""This many consecutive words that also occur in the prompt count as a quotation of it."""


class Refusal:
    """One refusal.

    Attributes:
        text: the message in lower case, without the parts of the request that it repeats.
        path: the components of the parameter that it names; empty if it names none.
    """

    def __init__(self, param: str, words: str, messages: Sequence[Mapping[str, str]]) -> None:
        location = _LOCATION.search(words)
        path = _components(param)
        if location and not path:
            path = _components(location[1])
        said = _MESSAGE.search(words)
        if location or words.lstrip().startswith(("{", "[")):
            words = (said[1] or said[2] or "") if said else ""
        self.path = path
        self.text = _without_prompt(_without_blocks(words), messages).lower()

    def about(self) -> list[Feature]:
        """Return what the refusal is about, in the order of mention."""
        if self.path:
            named = dict.fromkeys(self.path)
            found = [f for name in named for f, names in FEATURES.items() if re.search(names, name)]
            return list(dict.fromkeys(found))
        if _OF_THE_PROMPT.search(self.text):
            return []
        places: list[tuple[int, Feature]] = []
        start = 0
        for sentence in re.split(r"(?<=[.!?;])\s|\n", self.text):
            refusals = list(_REFUSED.finditer(sentence))
            for feature, names in FEATURES.items():
                mention = next(
                    (
                        m
                        for m in re.finditer(names, sentence)
                        if any(_distance(m, refusal) <= _NEAR for refusal in refusals)
                    ),
                    None,
                )
                if mention:
                    places.append((start + mention.start(), feature))
            start += len(sentence) + 1
        found = [feature for _, feature in sorted(places)]
        if found[:2] == ["temperature", "top_p"]:
            # Some endpoints refuse the two together; top_p is the less important one.
            found[:2] = ["top_p", "temperature"]
        return list(dict.fromkeys(found))

    def names(self, name: str) -> bool:
        """Return whether the refusal is about a parameter of this name."""
        if self.path:
            return name.lower() in self.path
        pattern = re.compile(rf"(?<!\w){re.escape(name.lower())}(?!\w)")
        refusals = list(_REFUSED.finditer(self.text))
        return any(
            _distance(mention, refusal) <= _NEAR
            for mention in pattern.finditer(self.text)
            for refusal in refusals
        )

    def mentions(self, pattern: str) -> bool:
        """Return whether the message or the named parameter matches a pattern."""
        return bool(re.search(pattern, f"{' '.join(self.path)} {self.text}"))

    @property
    def of_the_name(self) -> bool:
        """True if the name of a parameter is refused, not its value."""
        return bool(_NAME_REFUSED.search(self.text))

    @property
    def of_the_account(self) -> bool:
        """True if the account cannot pay, which no other request changes."""
        return bool(ACCOUNT.search(self.text))

    @property
    def of_the_length(self) -> bool:
        """True if the prompt and the output limit are too long for the model."""
        return bool(_LONG.search(self.text) and _TOKENS.search(self.text))


ACCOUNT = re.compile(
    r"insufficient (?:account )?(?:balance|credits?|funds)|billing (?:hard )?limit|in arrears"
    r"|(?:balance|credits?)\W{1,3}(?:\w+ ){0,3}(?:too low|insufficient|exhausted|depleted|used up)"
    r"|(?:out of|\bno|n[o']t have any) credits?\b|please recharge"
    r"|account (?:is |has been )?(?:not active|suspended|deactivated|overdue)",
    re.IGNORECASE,
)
"""Means that the account cannot pay."""
_TOKENS = re.compile(r"\btokens?\b|max_(?:completion_|new_)?tokens|context|max_model_len")
_LONG = re.compile(
    r"too (?:large|long|many)|exceed|maximum|at most|more than|less than or equal|greater than|"
    r"<=|>=? ?\d|range|lower than|limit|context (?:length|size|window)"
)

_CONTEXT = (
    r"\d+ \+ \d+ > (\d+)",
    r"context (?:length|size|window|limit)(?: is| of|:)?(?: only)? ?\(?(\d+)",
    r"max_new_tokens`? must be <= ?(\d+)",
    r"max_model_len\D{0,30}?(\d+)",
)
_PROMPT = (
    r"(\d+) \+ \d+ > \d+",
    r"(\d+) (?:tokens )?(?:in|from|of) (?:the |text )*(?:input|messages|prompt)",
    r"(\d+) `?(?:inputs?|prompt)`? tokens",
)
_TOTAL = (r"requested (?:about |a total of )?(\d+) tokens",)
_OUTPUT = (
    r"at most (\d+) (?:completion |output )?tokens",
    r"model limit of (\d+)",
    r"\d+ > (\d+), which is the maximum",
    r"\[\d+, ?(\d+)\]",
    r"(?:less than or equal to|<=|at most|more than|not exceed|cannot exceed) ?[`'\"]?(\d+)",
    r"maximum (?:allowed )?(?:value|number)[^.\d]{0,60}?(?:is|of|:) ?[`'\"]?(\d+)",
    r"greater than [^.\d]*?(\d+)",
)
_LEAST_OUTPUT = 16
"""An answer with fewer tokens is of no use."""


def largest_output(refusal: Refusal, sent: int) -> tuple[int, bool] | None:
    """Return the output limit that the numbers in a refusal allow.

    Args:
        refusal: a refusal for length.
        sent: the limit that was refused, in tokens.

    Returns:
        The limit in tokens, less than `sent`, and whether it is the model's own (which applies to
        every request) or what the prompt left of the context; None if the numbers give none.
    """
    text = re.sub(r"(?<=\d)[,_](?=\d{3})", "", refusal.text)
    context, prompt = _number(text, _CONTEXT), _number(text, _PROMPT)
    total = _number(text, _TOTAL)
    if prompt is None and total is not None:
        prompt = total - sent
    found: tuple[int, bool] | None = None
    if context is not None and prompt is not None:
        found = context - prompt, False
    elif (output := _number(text, _OUTPUT)) is not None:
        found = output, True
    return found if found and _LEAST_OUTPUT <= found[0] < sent else None


def _number(text: str, patterns: Sequence[str]) -> int | None:
    for pattern in patterns:
        if found := re.search(pattern, text):
            return int(found[1][:12])
    return None


def _components(path: str) -> list[str]:
    return [part for part in re.findall(r"[a-z_]\w*", path.lower()) if part not in _VAGUE]


def _distance(first: re.Match[str], second: re.Match[str]) -> int:
    return max(first.start() - second.end(), second.start() - first.end(), 0)


def _without_blocks(text: str) -> str:
    """Blank out everything in braces: a repeated body or schema, possibly truncated."""
    kept, depth = [], 0
    for character in text:
        depth += character == "{"
        kept.append(character if depth == 0 else " ")
        if character == "}" and depth:
            depth -= 1
    return "".join(kept)


def _without_prompt(text: str, messages: Sequence[Mapping[str, str]]) -> str:
    """Blank out what is quoted from the prompt, keeping the distances."""
    grams: set[tuple[str, ...]] = set()
    for message in messages:
        content = str(message.get("content") or "")
        if len(content) >= _GRAM:
            text = text.replace(content, " " * len(content))
        words = re.findall(r"\w+", content.lower())
        grams.update(tuple(words[at : at + _GRAM]) for at in range(len(words) - _GRAM + 1))
    spans = list(re.finditer(r"\w+", text))
    said = [span[0].lower() for span in spans]
    kept = list(text)
    for at in range(len(said) - _GRAM + 1):
        if tuple(said[at : at + _GRAM]) in grams:
            start, end = spans[at].start(), spans[at + _GRAM - 1].end()
            kept[start:end] = " " * (end - start)
    return "".join(kept)
