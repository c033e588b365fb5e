"""Calls of a reader (annotator or corrector): several rows a call, answers bound by row number."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.llm.types import Outcome, Request
from targen.operators.base import LLMParams, StepInput
from targen.operators.requests import answered, make_request, question_block, row_key, text_key
from targen.prompts.render import entities_schema, items_schema, messages
from targen.tasks import entities
from targen.tasks.answers import Kind, Label
from targen.tasks.spec import TaskSpec

Row = Mapping[str, Any]

NO_FLAW: Final = "none"
FLAWS: Final = (NO_FLAW, "ambiguous", "unanswerable", "incoherent", "gives_itself_away")
"""Flaws that a reader can find in a row, besides its label."""

NATURALNESS: Final = range(1, 6)
"""Scores from "no person would write this" to "a native speaker wrote this"."""

CALL_TOKENS: Final = 16
ITEM_TOKENS: Final = 24
SCORE_TOKENS: Final = 16
REASON_TOKENS: Final = 120
REASON_CHARACTERS: Final = 480
ENTITIES_TOKENS: Final = 600
"""Bounds of an answer: tokens per call, per row without its label, and per row for scores and for
reasons (two short sentences; 120 tokens are about 480 characters of English), and per row for a
list of entities (about 25)."""


class JudgeParams(LLMParams):
    """Parameters of the operators that label rows."""

    temperature: float | None = Field(default=0.0, ge=0, le=2)
    max_output_tokens: int = Field(default=4096, ge=1)
    """upper limit for one answer; the limit itself is derived from the number of rows and the
    length of the labels."""
    per_call: int = Field(default=1, ge=1, le=50)
    """rows in one call."""
    shots: int = Field(default=0, ge=0)
    """number of the task's `examples` that are shown with their labels."""


@dataclass(frozen=True)
class Reader:
    """One reading of a set of rows.

    Attributes:
        prompt: its template.
        name: the schema's name on the wire.
        turn: rotates labels, choices and rows, so that no position is favored in all readings;
            in an odd turn, numbered alternatives are swapped as well.
        sample: sample number of its requests.
        reasons: whether it gives reasons before the label.
        shown: whether it sees the intended label. Alternatives are then not swapped, because the
            writer's rationale may name them.
        flaws: whether it names flaws.
        scores: whether it scores naturalness and whether the constraint of its label is met.
    """

    prompt: str
    name: str
    turn: int = 0
    sample: int = 0
    reasons: bool = False
    shown: bool = False
    flaws: bool = True
    scores: bool = False

    def swaps(self, spec: TaskSpec) -> bool:
        """Return whether it sees the task's alternatives in reverse order."""
        return bool(spec.answer.options) and self.turn % 2 == 1 and not self.shown


@dataclass(slots=True)
class Reading:
    """What a reader said about a row.

    Attributes:
        label: None if it gave no valid label.
        flaw: one of `FLAWS`; None without a label.
        reasons: None if it gave none.
        request_ids: the call with the row, and the call with this row alone if there was one.
        error: why there is no label.
        naturalness: 1 to 5; None if it gave no valid score.
        constraint_met: None if it gave no answer.
    """

    label: Label | None = None
    flaw: str | None = None
    reasons: str | None = None
    request_ids: list[str] = field(default_factory=list)
    error: str = ""
    naturalness: int | None = None
    constraint_met: bool | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    ask: int
    rows: tuple[int, ...]
    """Indices of the rows, in the order in which they are shown."""


def rotated(items: Iterable[Any], turn: int) -> list[Any]:
    """Return the items in order, starting with item `turn` modulo their number."""
    found = list(items)
    start = turn % len(found) if found else 0
    return found[start:] + found[:start]


def mirrored(label: Label, count: int) -> Label:
    """Return the label of the same alternative once `count` alternatives are in reverse order."""
    return str(count - 1 - int(label)) if isinstance(label, str) and label.isdigit() else label


def swapped(fields: Row, options: Sequence[str]) -> dict[str, Any]:
    """Return a row with its alternatives in reverse order."""
    return {**fields, **{a: fields[b] for a, b in zip(options, reversed(options), strict=True)}}


def groups(rows: Sequence[Row], per_call: int) -> list[list[int]]:
    """Return the calls, as lists of row indices: `per_call` consecutive rows each.

    The last call may have fewer rows. A larger data set fills it up and so asks about these rows
    again; all other calls stay as they are. The two rows of a pair are never in the same call:
    they are nearly equal, and a reader that sees both gives both the same label.
    """
    parts: dict[int, list[int]] = {}
    seen: dict[Any, int] = {}
    for index, row in enumerate(rows):
        part = seen.get(row["slot"], 0)
        seen[row["slot"]] = part + 1
        parts.setdefault(part, []).append(index)
    return [
        part[start : start + per_call]
        for part in parts.values()
        for start in range(0, len(part), per_call)
    ]


def options_of(spec: TaskSpec, row: Row) -> list[str]:
    """Return the possible labels of a row: the task's labels, or the row's choices."""
    return list(spec.labels) or list(row[spec.answer.choices or ""] or ())


def item_about(value: Mapping[str, Any] | None, number: int, count: int) -> dict[str, Any] | None:
    """Return the item of an answer about row `number` of `count`; None if not exactly one is.

    If only one row was shown, its number does not matter. Models that number the rows from 0 are
    understood if they number all of them.
    """
    listed = (value or {}).get("items")
    items = [i for i in listed if isinstance(i, dict)] if isinstance(listed, list) else []
    if count > 1:
        # `type`, because True is equal to 1.
        found = [i["row"] if type(i.get("row")) is int else None for i in items]
        if 0 in found:
            # Every number may be one too low, which would bind items to the wrong rows.
            number = number - 1 if found == [*range(count)] else -1
        items = [i for i, row in zip(items, found, strict=True) if row == number]
    return items[0] if len(items) == 1 else None


def label_of(
    item: Mapping[str, Any] | None, kind: Kind, options: Sequence[str], text: str = ""
) -> Label | None:
    """Return the label of an item, sorted for lists; None if it is not among the options.

    Args:
        item: an item of an answer.
        kind: kind of answer.
        options: possible labels; for `spans`, the types.
        text: for `spans`, the text with the entities.
    """
    label = (item or {}).get("label")
    if kind == "spans":
        return entities.read(label, text, options)
    if kind == "multi":
        valid = isinstance(label, list) and all(one in options for one in label)
        return sorted(set(label)) if valid else None  # type: ignore[arg-type]
    # The task's own string: millions of equal ones would take memory.
    return options[options.index(label)] if isinstance(label, str) and label in options else None


def flaw_of(item: Mapping[str, Any]) -> str:
    """Return the flaw that an item names; `none` if it names none of `FLAWS`."""
    flaw = item.get("flaw")
    return FLAWS[FLAWS.index(flaw)] if isinstance(flaw, str) and flaw in FLAWS else NO_FLAW


def reasons_of(item: Mapping[str, Any]) -> str | None:
    """Return the reasons of an item, at most `REASON_CHARACTERS`; None if it has none."""
    reasons = item.get("reasons")
    return reasons[:REASON_CHARACTERS] if isinstance(reasons, str) else None


def scores_of(item: Mapping[str, Any]) -> tuple[int | None, bool | None]:
    """Return naturalness and whether the constraint is met; None where an item says neither."""
    natural, met = item.get("naturalness"), item.get("constraint_met")
    known = type(natural) is int and natural in NATURALNESS
    return natural if known else None, met if isinstance(met, bool) else None


async def judge(
    step: StepInput, params: JudgeParams, asks: Sequence[tuple[Reader, Sequence[Row]]]
) -> list[list[Reading]]:
    """Return what each reader says about each of its rows, in their order.

    A row that a call of several rows gives no valid label for is asked about again, alone. This
    covers a missing, repeated or wrong row number, a label that the row does not offer, and a call
    without a readable answer.

    Args:
        step: the step's input.
        params: the operator's parameters.
        asks: readers with their rows; each row has `slot`, the task's fields and, if the reader
            is shown it, `intended_label` and `rationale`.

    Raises:
        StepError: the task has fewer labeled examples than `shots`.
    """
    if params.shots > len(_labeled_examples(step.spec)):
        raise StepError(
            f"shots: {params.shots} needs as many `examples` with a label; the task has "
            f"{len(_labeled_examples(step.spec))}"
        )
    found = [[Reading()] * len(rows) for _, rows in asks]
    calls = [
        _Call(n, tuple(rotated(group, reader.turn)))
        for n, (reader, rows) in enumerate(asks)
        for group in groups(rows, params.per_call)
    ]

    def request_of(call: _Call) -> Request:
        reader, rows = asks[call.ask]
        return request_about(step.spec, params, reader, [rows[index] for index in call.rows])

    while calls:
        again: list[_Call] = []
        async for call, outcome in answered(step.model, calls, request_of):
            reader, rows = asks[call.ask]
            for number, index in enumerate(call.rows, 1):
                place = (number, len(call.rows))
                reading = _reading(step.spec, reader, rows[index], outcome, place)
                reading.request_ids[:0] = found[call.ask][index].request_ids
                found[call.ask][index] = reading
                if reading.label is None and len(call.rows) > 1:
                    again.append(_Call(call.ask, (index,)))
        calls = again
    return found


def _reading(
    spec: TaskSpec, reader: Reader, row: Row, outcome: Outcome, place: tuple[int, int]
) -> Reading:
    ids = [outcome.request_id]
    item = item_about(outcome.value, *place)
    text = str(row.get(spec.answer.text or "") or "")
    label = label_of(item, spec.answer.kind, options_of(spec, row), text)
    if item is None or label is None:
        error = outcome.error or "the answer contains no label of this row"
        return Reading(request_ids=ids, error=f"{outcome.status}: {error}")
    if reader.swaps(spec):
        label = mirrored(label, len(spec.answer.options))
    flaw = flaw_of(item) if reader.flaws else None
    return Reading(label, flaw, reasons_of(item), ids, "", *scores_of(item))


def request_about(
    spec: TaskSpec, params: JudgeParams, reader: Reader, rows: Sequence[Row]
) -> Request:
    """Return a reader's request about these rows, numbered from 1 in this order."""
    block: dict[str, Any] = {"task": question_block(spec)}
    definitions = spec.label_definitions
    names = rotated(definitions, reader.turn)
    if names:
        block["labels"] = {name: definitions[name] for name in names}
    constraints = constraints_of(spec) if reader.scores else {}
    if constraints:
        order = rotated(constraints, reader.turn)
        block["constraints"] = {name: constraints[name] for name in order}
    if params.shots:
        block["examples"] = _examples(spec, params, reader, rows)
    block["rows"] = [_entry(spec, reader, row, number) for number, row in enumerate(rows, 1)]
    # Each row of a span task has its own choices. A list of different items cannot be described
    # in strict mode, so all choices of the call are allowed, and `label_of` checks each row's.
    texts = [text for row in block["rows"] for text in options_of(spec, row)]
    names = names or list(dict.fromkeys(texts))
    prompt = messages(
        reader.prompt,
        block,
        several=spec.answer.kind == "multi",
        choices=spec.answer.choices if not spec.labels else None,
        shots=params.shots > 0,
        shown=reader.shown,
        flaws=reader.flaws,
        scores=reader.scores,
        constraints=bool(constraints),
    )
    schema = items_schema(_properties(spec, reader, names), len(rows))
    request = make_request(
        params, prompt, schema, reader.name, edition=spec.edition, sample=reader.sample
    )
    most = min(params.max_output_tokens, _output_bound(spec, reader, names, len(rows)))
    return replace(request, sampling=replace(request.sampling, max_output_tokens=most))


def constraints_of(spec: TaskSpec) -> dict[str, str]:
    """Return what a text must do to get each label; the key "" has what applies to every text."""
    found = {"": spec.answer.constraint.strip(), **spec.label_constraints}
    return {name: text for name, text in found.items() if text}


def _entry(spec: TaskSpec, reader: Reader, row: Row, number: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"row": number, **_displayed(spec, reader, row)}
    if reader.shown:
        entry["proposed"] = {"label": row["intended_label"]}
        if row["rationale"]:
            entry["proposed"]["rationale"] = row["rationale"]
    return entry


def _displayed(spec: TaskSpec, reader: Reader, row: Row) -> dict[str, Any]:
    """Return a row's fields as a reader sees them."""
    fields = {name: row[name] for name in spec.shown_fields}
    if reader.swaps(spec):
        fields = swapped(fields, spec.answer.options)
    if spec.answer.choices in fields:
        fields[spec.answer.choices] = rotated(fields[spec.answer.choices] or (), reader.turn)
    return fields


def _labeled_examples(spec: TaskSpec) -> list[tuple[dict[str, Any], Label]]:
    """Return fields and label of the task's examples that have a label."""
    return [
        ({name: one.fields.get(name) for name in spec.shown_fields}, one.label)
        for one in spec.examples
        if one.label is not None
    ]


def _examples(
    spec: TaskSpec, params: JudgeParams, reader: Reader, rows: Sequence[Row]
) -> list[dict[str, Any]]:
    """Return the first `shots` examples; one that is among the rows is left out."""
    judged = {row_key(spec, row) for row in rows}
    shown = []
    for fields, label in _labeled_examples(spec):
        if text_key(fields) not in judged:
            seen = mirrored(label, len(spec.answer.options)) if reader.swaps(spec) else label
            shown.append({**_displayed(spec, reader, fields), "label": seen})
    return shown[: params.shots]


def _properties(spec: TaskSpec, reader: Reader, names: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schemas of an item's properties, in the order of the answer."""
    label: dict[str, Any] = {"type": "string", "enum": list(names)}
    if spec.answer.kind == "multi":
        label = {"type": "array", "items": label}
    if spec.answer.kind == "spans":
        label = entities_schema(names)
    # Without maxLength, which strict mode and llama.cpp refuse; see `field_schema`.
    reasons = {"reasons": {"type": "string"}}
    # Null, so that an unreadable flaw or score does not cost the label; see `llm.coercion`.
    flaw = {"flaw": {"type": ["string", "null"], "enum": [*FLAWS, None]}}
    scores: dict[str, Any] = {
        "naturalness": {"type": ["integer", "null"], "enum": [*NATURALNESS, None]}
    }
    if reader.scores and constraints_of(spec):
        scores["constraint_met"] = {"type": ["boolean", "null"], "enum": [True, False, None]}
    return {
        "row": {"type": "integer"},
        **(reasons if reader.reasons else {}),
        **(flaw if reader.flaws else {}),
        "label": label,
        **(scores if reader.scores else {}),
    }


def _output_bound(spec: TaskSpec, reader: Reader, names: Sequence[str], rows: int) -> int:
    """Return the greatest length of an answer in tokens.

    A label takes about one token per three bytes; for `multi`, all of them may be named.
    """
    if spec.answer.kind == "spans":
        return CALL_TOKENS + rows * (ITEM_TOKENS + ENTITIES_TOKENS + 2 * REASON_TOKENS)
    lengths = [2 + len(name.encode()) // 3 for name in names] or [0]
    label = sum(lengths) if spec.answer.kind == "multi" else max(lengths)
    reasons = REASON_TOKENS if reader.reasons else 0
    reasons += SCORE_TOKENS if reader.scores else 0
    return CALL_TOKENS + rows * (ITEM_TOKENS + reasons + label)
