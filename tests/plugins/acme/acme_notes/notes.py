"""One plug-in of each kind."""

from collections.abc import Mapping
from typing import Any

from targen.plugins import (
    GuardFunction,
    Measure,
    MetricFunction,
    OperatorFunction,
    Params,
    ReportInputs,
    StepInput,
    StepResult,
    ValidatorFunction,
    Written,
    guard,
    ids,
    metric,
    operator,
    validator,
)


@validator("acme_short", reads=("text",))
def short(row: dict[str, Any], roles: Mapping[str, str]) -> str | None:
    """The text has at most 60 words."""
    return None if len(row[roles["text"]].split()) <= 60 else "too long for Acme"


@guard("acme_names")
def names(text: Written) -> str | None:
    """No text names a competitor."""
    return "names a competitor" if "initech" in text.words else None


@metric("acme_words", words="words per note", says="mean number of words")
def words(inputs: ReportInputs) -> list[Measure]:
    """Return the mean number of words of the notes."""
    counts = inputs.rows["note"].str.split(" ").list.len()
    return [Measure("acme_words", float(counts.sum()) / len(counts), len(counts))]


@operator("contexts", "acme_sites")
async def sites(step: StepInput, params: Params) -> StepResult:
    """Use the only site of Acme as a context."""
    text, attributes = "site: Springfield", [{"name": "site", "value": "Springfield"}]
    context_id = ids.drawn_context_id(0, text, attributes)
    row = {"context_id": context_id, "text": text, "attributes": attributes, "term_ids": []}
    return StepResult(rows=[row], asked=1)


TYPED: tuple[ValidatorFunction, GuardFunction, MetricFunction, OperatorFunction[Params]] = (
    short, names, words, sites,
)  # fmt: skip
"""The functions have the types of the protocols, for type checkers."""
