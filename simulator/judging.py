"""Answers of readers: the label of each row in a prompt, with deliberate errors.

A reader uses the row's text, the labels and the answer's schema, all from the prompt.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from simulator.errors import ErrorRates, misread, mistaken
from simulator.prompt import Prompt
from simulator.truth import truth, truths

NO_FLAW = "none"
ENTITIES = "entities"
"""Key of the list of entities in a writer's item."""
_NATURALNESS = (4, 5, 5)


class Explains(Protocol):
    """Writes the reason for a label."""

    def rationale(self, row: Mapping[str, Any], label: str, rng: Any) -> str:
        """Return why the row has the label."""
        ...

    def entities(self, row: Mapping[str, Any], types: tuple[str, ...]) -> list[dict[str, str]]:
        """Return the entities of these types in a row."""
        ...


def judgments(prompt: Prompt, rates: ErrorRates, writer: Explains) -> list[dict[str, Any]]:
    """Return an item for each of the prompt's rows.

    Args:
        prompt: a prompt whose block has `rows`.
        rates: error rates; the corrector's apply if the schema has `reasons`.
        writer: writes the reasons.
    """
    schema = ((prompt.schema.get("properties") or {}).get("items") or {}).get("items") or {}
    properties = schema.get("properties") or {}
    return [
        _judgment(prompt, rates, writer, properties, number)
        for number in range(len(prompt.block["rows"]))
    ]


def _judgment(
    prompt: Prompt,
    rates: ErrorRates,
    writer: Explains,
    properties: Mapping[str, Any],
    index: int,
) -> dict[str, Any]:
    entry = prompt.block["rows"][index]
    row = {name: value for name, value in entry.items() if name not in ("row", "proposed")}
    asked = properties.get("label") or {}
    if (asked.get("items") or {}).get("type") == "object":
        return _marked(prompt, rates, writer, properties, index, row)
    several = asked.get("type") == "array"
    labels = _labels(prompt.block, row, asked.get("items") or {} if several else asked)
    correcting = "reasons" in properties or (not properties and "proposed" in entry)
    rng = prompt.random(f"errors {index}")
    errs = rng.random() < (rates.corrector if correcting else rates.annotator)
    named = truths(row, labels) if several else [truth(row, labels)]
    if errs and several:
        named = sorted({rng.choice(labels)} ^ set(named))
    elif errs and len(labels) > 1:
        named = [mistaken(named[0], labels, rng)]
    said: dict[str, Any] = {"row": entry.get("row", index + 1)}
    if correcting:
        most = (properties.get("reasons") or {}).get("maxLength")
        said["reasons"] = writer.rationale(row, ", ".join(named), rng)[:most]
    if "flaw" in properties or not properties:
        said["flaw"] = NO_FLAW
    said["label"] = named if several else named[0]
    if "naturalness" in properties:
        said["naturalness"] = prompt.random(f"scores {index}").choice(_NATURALNESS)
    if "constraint_met" in properties:
        said["constraint_met"] = True
    return said


def _marked(
    prompt: Prompt,
    rates: ErrorRates,
    writer: Explains,
    properties: Mapping[str, Any],
    index: int,
    row: Mapping[str, Any],
) -> dict[str, Any]:
    """Return an item that lists the entities of `row`, the row with this index."""
    types = tuple(map(str, prompt.block.get("labels") or ()))
    correcting = "reasons" in properties
    rng = prompt.random(f"errors {index}")
    listed: list[Any] = list(writer.entities(row, types))
    if rng.random() < (rates.corrector if correcting else rates.annotator):
        listed = misread(listed, types, rng)
    said: dict[str, Any] = {"row": prompt.block["rows"][index].get("row", index + 1)}
    if correcting:
        said["reasons"] = writer.rationale(row, ", ".join(one["text"] for one in listed), rng)
    if "flaw" in properties:
        said["flaw"] = NO_FLAW
    return said | {"label": listed}


def _labels(
    block: Mapping[str, Any], row: Mapping[str, Any], schema: Mapping[str, Any]
) -> list[str]:
    """Return the possible labels of a row: the prompt's labels, or the row's own choices.

    With several rows in a call, the schema allows the choices of all of them.
    """
    if block.get("labels"):
        return [str(one) for one in block["labels"]]
    allowed = [str(one) for one in schema.get("enum") or ()]
    lists = [[str(one) for one in v] for v in row.values() if isinstance(v, list) and v]
    own = next((one for one in lists if not allowed or set(one) <= set(allowed)), None)
    return own or allowed or [""]
