"""Contexts for tasks whose contexts are domains or topics: what RTE, BoolQ, CB and COPA share."""

import re
from collections.abc import Iterator, Mapping
from random import Random

from simulator.grammar import ContextAsk, Fields


def contexts(
    phrases: Mapping[str, tuple[str, ...]], ask: ContextAsk, rng: Random
) -> Iterator[Fields]:
    """Yield contexts in turns over the domains, first phrases before second ones.

    An attribute with given values takes the value that shares a word with the domain, or any.
    """
    domains = list(phrases)
    rng.shuffle(domains)
    for turn in range(max(map(len, phrases.values()))):
        for domain in domains:
            if turn < len(phrases[domain]):
                text = phrases[domain][turn]
                about = f"{domain} {text}".casefold()
                chosen = {
                    name: _fitting(values, about, rng) if values else domain
                    for name, values in ask.attributes.items()
                }
                yield {"text": text, **chosen}


def domain(phrases: Mapping[str, tuple[str, ...]], *texts: str) -> str:
    """Return the domain that the texts speak of; empty where that is none that is known."""
    whole = " ".join(texts).casefold()
    for name, known in phrases.items():
        if any(phrase.casefold() in whole for phrase in known):
            return name
    words = set(re.findall(r"\w+", whole))
    return next((name for name in phrases if name in words), "")


def _fitting(values: tuple[str, ...], about: str, rng: Random) -> str:
    fits = [v for v in values if any(w in about for w in v.casefold().split() if len(w) > 3)]
    return rng.choice(fits or list(values))
