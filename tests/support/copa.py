"""Whether an alternative of COPA is a known cause or effect of its premise."""

from simulator.grammars.copa import _filled, _read
from simulator.words import tidy


def explains(premise: str, question: str, choice: str) -> bool:
    found = _read(premise)
    if found is None:
        return False
    event, values = found
    return choice in (
        tidy(_filled(one.replace("{he} ", f"{who} ", 1), values) + ".")
        for one in getattr(event, question)
        for who in ("{he}", values["p"])
    )
