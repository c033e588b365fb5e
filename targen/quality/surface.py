"""Texts with faults that show on the surface: refusals, remains of prompts, personal data.

Every check is a function from texts to flags, so that other code can use it.
"""

# ruff: noqa: E501 - patterns

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.quality.text import joined
from targen.tasks.guards import Written, loop, refusal
from targen.tasks.sections import ENGLISH, Guards

Flags = npt.NDArray[np.bool_]

EXAMPLES: Final = 5
"""Texts shown per fault."""

REMAINS: Final = (
    r"(?i)^\W*(?:sure|certainly|of course|absolutely|okay|great)(?:[!,.]| thing)[^.!?]{0,40}"
    r"(?:here|below|i)\b"
    r"|^\W*here(?:['’]s| is| are|\sgoes)\b[^.:\n]{0,60}\b(?:example|text|sentence|row|sample|item|review"
    r"|passage|question|version|response|answer|entry|instance|one)s?\b"
    r"|\b(?:as (?:you )?requested|let me know if you(?:['’]d| would)? (?:like|need|want)"
    r"|hope this helps|i hope this (?:example|text|meets))\b"
    r"|<\|(?:im_start|im_end|endoftext|eot_id|assistant|user|system)\|>|\[/?INST\]"
)
"""Words of a model to its user, ahead of the text or after it, and marks of chat templates."""
ODD: Final[Mapping[str, str]] = {
    "HTML": r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,5});"
    r"|</?(?:br|p|div|span|b|i|em|strong|a|li|ul|td|tr|h[1-6])(?:\s[^<>]*)?/?>",
    "markup": r"```|\{\s*\"\w+\"\s*:|(?m:^\s*#{1,6} \w)|\*\*[^*\n]{1,80}\*\*|\[[^\]\n]+\]\(https?://",
    "placeholders": r"\[(?:insert|your|name|city|date|company|product|place|person|entity|country)\b"
    r"[^\]\n]{0,30}\]|\[[A-Z][A-Z_ ]{2,30}\]|\{\{?\s*[a-z_]{2,30}\s*\}?\}|<[A-Z][A-Z_ ]{3,30}>|\bX{3,}\b"
    r"|(?i:\blorem ipsum\b|\bTODO:|\bTBD\b)",
    "wrong encoding": "\ufffd|â€|Ã[\u0080-\u00bf¡-¿]|Â[\u00a0-\u00bf]|ï»¿|ðŸ",
    "invisible characters": "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u2069\ufeff\u00ad]",
}
"""Kind of odd text -> its pattern."""
FINISHED: Final = r"[.!?…。！？؟।|\"'”’»)\]}:;*`~」』]\s*$"
DANGLING: Final = (
    r"(?i)(?:^|\s)(?:the|a|an|and|or|but|of|with|because|which|whose|their|its|his|her|my|your|than"
    r"|into|between|to|in|for|on|at|by|from|as|is|are|was|were|that|when|if|has|have|not|very),?\s*$"
)
"""A last word that rarely ends an English sentence."""
FINISHING: Final = 0.6
"""Share of a field's texts that must end in punctuation before the others count as truncated."""
LONG_ENOUGH: Final = 4
"""Words of a text that can count as truncated."""
LOOP: Final = float(Guards().loop)
EMPTY: Final = r"^(?:\W*|(?i:\W*(?:n/?a|none|null|nan|empty|undefined)\W*))$"

EMAIL: Final = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}"
PHONE: Final = (
    r"(?:\+\d{1,3}[ .-]?)?\(\d{2,4}\)[ .-]?\d{3,4}[ .-]?\d{3,4}\b|\+\d{1,3}(?:[ .-]?\d{2,5}){2,4}\b"
    r"|\b\d{3}[.-]\d{3}[.-]\d{4}\b"
)
CARD: Final = r"\b\d(?:[ -]?\d){12,18}\b"
IBAN: Final = r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"
SSN: Final = r"\b\d{3}-\d{2}-\d{4}\b"


def matching(text: pl.Series, pattern: str) -> Flags:
    """Return whether each text contains the pattern; a null contains nothing."""
    return text.str.contains(pattern).fill_null(False).to_numpy().astype(bool)


def is_refusal(text: pl.Series) -> Flags:
    """Return whether each text (or one of each list) begins with a refusal, by the guard that rejects generated ones."""
    return _guarded(text, lambda written: refusal.refused(written) is not None)


def is_looped(text: pl.Series) -> Flags:
    """Return whether each text (or one of each list) repeats itself, by the guard that rejects generated ones.

    The threshold is the default of the task's section `guards`.
    """
    return _guarded(text, lambda written: loop.looped(written, LOOP) is not None)


def _guarded(text: pl.Series, test: Callable[[Written], bool]) -> Flags:
    """Return whether each text, or one text of each list, fails a test."""
    cells = ([cell] if isinstance(cell, str) else cell for cell in text.to_list())
    flags = (any(test(Written("", one)) for one in cell or () if one) for cell in cells)
    return np.fromiter(flags, dtype=bool, count=text.len())


def has_remains(text: pl.Series) -> Flags:
    """Return whether each text has words of a model to its user, or marks of a chat template."""
    return matching(text, REMAINS)


def is_empty(text: pl.Series) -> Flags:
    """Return whether each text is null or has no word, or is a word for nothing, such as N/A."""
    return text.is_null().to_numpy() | matching(text, EMPTY)


def is_truncated(text: pl.Series) -> Flags | None:
    """Return whether each text lacks the punctuation that ends most texts of the series.

    None if fewer than `FINISHING` of the texts end in punctuation, so that nothing can be said.
    Texts of fewer than `LONG_ENOUGH` words do not count.
    """
    long = (text.fill_null("").str.count_matches(r"\S+") >= LONG_ENOUGH).to_numpy()
    finished = matching(text, FINISHED)
    if not long.any() or finished[long].mean() < FINISHING:
        return None
    return np.asarray(long & ~finished, dtype=bool)


def luhn(digits: str) -> bool:
    """Return whether the check digit of a card number is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if i % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def is_card(found: str) -> bool:
    """Return whether a match of `CARD` is a number that a card network issues."""
    digits = re.sub(r"\D", "", found)
    return digits[0] in "3456" and len(digits) in (13, 14, 15, 16, 19) and luhn(digits)


def is_iban(found: str) -> bool:
    """Return whether the check digits of an IBAN are right (ISO 13616: remainder 1 modulo 97)."""
    code = found.replace(" ", "")
    if not 15 <= len(code) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in code[4:] + code[:4])) % 97 == 1


def is_ssn(found: str) -> bool:
    """Return whether a US social security number is in a range that is issued."""
    area, group, serial = found.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _is_phone(found: str) -> bool:
    return 9 <= len(re.sub(r"\D", "", found)) <= 15


PERSONAL: Final[Mapping[str, tuple[str, Callable[[str], bool] | None]]] = {
    "e-mail addresses": (EMAIL, None),
    "phone numbers": (PHONE, _is_phone),
    "card numbers": (CARD, is_card),
    "bank accounts (IBAN)": (IBAN, is_iban),
    "US social security numbers": (SSN, is_ssn),
}
"""Kind of personal data -> its pattern, and the test of a match, if there is one."""


def personal(text: pl.Series) -> dict[str, Flags]:
    """Return kind of personal data -> whether each text has it, checksums included."""
    out: dict[str, Flags] = {}
    for kind, (pattern, test) in PERSONAL.items():
        flags = matching(text, pattern)
        if test is not None:
            for i in np.flatnonzero(flags):
                flags[i] = any(test(m[0]) for m in re.finditer(pattern, text[int(i)]))
        out[kind] = flags
    return out


def found_in(
    frame: pl.DataFrame, fields: Sequence[str], code: Sequence[str] = ()
) -> dict[str, dict[str, Flags]]:
    """Return metric -> slice -> whether each row has this fault.

    A slice that cannot be judged is absent. Fields of program code are not searched for loops.
    """
    text = joined(frame, fields).fill_null("")
    none = np.zeros(frame.height, dtype=bool)
    out: dict[str, dict[str, Flags]] = {
        "refusals": {"all": none.copy()},
        "prompt_remains": {"all": none.copy()},
        "empty_texts": {},
        "truncated_texts": {},
        "loops": {"all": none.copy()},
        "odd_texts": {kind: matching(text, pattern) for kind, pattern in ODD.items()},
        "personal_data": personal(text),
    }
    for name in fields:
        out["refusals"]["all"] |= is_refusal(frame[name])
        if name not in code:
            out["loops"]["all"] |= is_looped(frame[name])
        if frame.schema[name] == pl.List(pl.String):
            continue
        own = frame[name].cast(pl.String)
        out["prompt_remains"]["all"] |= has_remains(own)
        out["empty_texts"][name] = is_empty(own)
        truncated = is_truncated(own)
        if truncated is not None:
            out["truncated_texts"][name] = truncated
    for metric in ("odd_texts", "personal_data"):
        out[metric] = {"all": np.logical_or.reduce(list(out[metric].values())), **out[metric]}
    return out


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows with each fault, beside the reference's, with examples."""
    fields = [
        name
        for name in inputs.text_fields
        # A field that no row fills is absent, not empty.
        if inputs.rows[name].null_count() < inputs.rows.height
    ]
    if not fields or not inputs.rows.height:
        collector.skip("refusals", "the rows have no text")
        return
    own, gold = found_in(inputs.rows, fields, inputs.code_fields), None
    if inputs.reference is not None:
        known = [f for f in fields if inputs.reference[f].null_count() < inputs.reference.height]
        gold = found_in(inputs.reference, known, inputs.code_fields)
    if inputs.answer_kind != "none" and inputs.rows["label"].null_count():
        own["empty_texts"]["label"] = inputs.rows["label"].is_null().to_numpy()
    if not own["truncated_texts"]:
        collector.skip("truncated_texts", "most texts do not end in punctuation")
    # The words are English.
    ended = own["truncated_texts"] if inputs.language == ENGLISH else {}
    collector.shared["dangling"] = {
        name: float(matching(inputs.rows[name].filter(pl.Series(flags)), DANGLING).mean())
        for name, flags in ended.items()
        if flags.any()
    }
    examples: dict[str, Any] = {}
    text = joined(inputs.rows, fields)
    for metric, slices in own.items():
        for slice_, flags in slices.items():
            other = None if gold is None else gold[metric].get(slice_)
            mean = None if other is None or not other.size else float(other.mean())
            if slice_ == "all" or flags.any() or metric in ("empty_texts", "truncated_texts"):
                collector.add(proportion(metric, slice_, int(flags.sum()), flags.size, mean))
            if flags.any() and slice_ != "label" and (slice_ != "all" or len(slices) == 1):
                shown = [text[int(i)] for i in np.flatnonzero(flags)[:EXAMPLES]]
                examples[f"{metric}, {slice_}" if slice_ != "all" else metric] = shown
            collector.mark(metric, flags)
    collector.details["faulty_texts"] = examples
