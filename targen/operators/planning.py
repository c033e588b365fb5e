"""The plan of a task: how many items and calls each step has if every answer is usable.

It uses the operators' own functions for the sizes of pages, groups and rounds.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from targen.lineage import ids
from targen.operators.base import StepInput
from targen.operators.seed_pages import Pages
from targen.operators.sources import contexts_needed
from targen.steps import CONTEXTS, CORRECTED_SET, INSTANCES, LABELS, ROW_STEPS, SEEDS, VOCABULARIES
from targen.steps import schema as table_schema
from targen.tasks.answers import ONE_LABEL
from targen.tasks.registry import Operator, resolve
from targen.tasks.spec import TaskSpec, call_range


@dataclass
class Planned:
    """One step of the plan.

    Attributes:
        step: the step.
        operator: its operator in the recipe.
        items: rows that it requests, or has without a request.
        calls: items per call -> number of such calls; empty if it calls no model.
        note: what the counts depend on besides the plan; empty if on nothing.
    """

    step: str
    operator: str
    items: int
    calls: Counter[int] = field(default_factory=Counter)
    note: str = ""

    @property
    def total(self) -> int:
        """The number of calls."""
        return self.calls.total()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "step": self.step,
            "operator": self.operator,
            "items": self.items,
            "calls": self.total,
            "note": self.note,
        }


def plan(spec: TaskSpec, disputed: float = 0.0) -> list[Planned]:
    """Return the plan of each step that makes rows, in order."""
    found: dict[str, Planned] = {}
    for step in ROW_STEPS:
        operator, params = resolve(spec.recipe.choice(step), step)
        made = Planned(step, operator.name, 0)
        _PLANS[step](spec, operator, params, found, made, disputed)
        found[step] = made
    return list(found.values())


Plans = dict[str, Planned]


def _vocabularies(
    spec: TaskSpec, operator: Operator, params: Any, above: Plans, made: Planned, disputed: float
) -> None:
    if operator.name != "none":
        made.items = sum(len(one.terms) or one.count for one in spec.vocabularies.values())
    if operator.name == "llm_list":
        made.calls.update(one.count for one in spec.vocabularies.values())
    elif operator.name == "attribute_values":
        _attribute_values(spec, params, made)


def _attribute_values(spec: TaskSpec, params: Any, made: Planned) -> None:
    """Plan one call for each list of values, and one to filter the lists that depend on labels."""
    labels, made.items = len(spec.labels), 0
    filtered = bool(params.confusable) and labels > 1
    for one in spec.vocabularies.values():
        lists = labels if one.per_label and not one.terms and labels else 1
        made.items += len(one.terms) or one.count * lists
        if not one.terms:
            made.calls[one.count] += lists * (2 if filtered and one.per_label else 1)
    if filtered and params.confusable < labels - 1:
        made.calls[params.confusable] += labels
    if params.dimensions:
        made.calls[params.dimensions] += 1
        made.calls[params.values] += params.dimensions
        made.items += params.dimensions * params.values
        made.note = "values that depend on the label need more calls"


def _contexts(
    spec: TaskSpec, operator: Operator, params: Any, above: Plans, made: Planned, disputed: float
) -> None:
    if operator.name == "draw":
        made.items = spec.slots_seeded
    elif operator.name == "llm_list":
        made.items = params.count or contexts_needed(spec.slots_seeded, params.first)
        full, rest = divmod(made.items, params.page)
        made.calls[params.page] += full + bool(rest and params.count is None)
        if rest and params.count is not None:
            made.calls[rest] += 1


def _seeds(
    spec: TaskSpec, operator: Operator, params: Any, above: Plans, made: Planned, disputed: float
) -> None:
    contexts = above[CONTEXTS].items
    match operator.name:
        case "examples":
            made.items = len(spec.examples)
        case "file":
            made.items = len(spec.seed_rows)
        case "expand":
            made.items = max(1, contexts)
            made.calls[1] += made.items
        case "llm_per_context":
            made.calls = _CountedPages(_input(spec, contexts), params).counts()
            made.items = sum(size * calls for size, calls in made.calls.items())


def _input(spec: TaskSpec, contexts: int) -> StepInput:
    """Return a step's input with as many contexts as the plan has, without texts."""
    names = [f"context {n}" for n in range(contexts)] or [ids.NONE_CONTEXT_ID]
    columns = table_schema(CONTEXTS, {})
    data = {"context_id": names, "text": [""] * len(names), "attributes": [[]] * len(names)}
    table = pl.DataFrame(data, schema_overrides={n: columns[n] for n in data})
    return StepInput(spec, {CONTEXTS: table})


class _CountedPages(Pages):
    """The pages of `llm_per_context`, with an answer in which every seed is new."""

    def counts(self) -> Counter[int]:
        """Return seeds per call -> number of calls."""
        found: Counter[int] = Counter()
        while ready := self._ready():
            for group in ready:
                size = self._size(group)
                found[size * len(group.contexts)] += 1
                for context in group.contexts:
                    context.rows += [{}] * size
                group.page += 1
        return found

    def _needed(self) -> list[int]:
        # No context is ever exhausted, so it does not change.
        if not hasattr(self, "_counted"):
            self._counted = super()._needed()
        return self._counted


def _instances(
    spec: TaskSpec, operator: Operator, params: Any, above: Plans, made: Planned, disputed: float
) -> None:
    made.items = spec.wanted_instances
    if operator.name == "file":
        made.items = min(made.items, len(spec.given_rows))
    elif operator.name in ("bootstrap", "example_growth"):
        full, rest = divmod(spec.slots_wanted, params.per_call)
        made.calls[params.per_call] += full + bool(rest)
        made.note = "grows until there are enough new rows"
    else:
        for size, calls in _groups(spec, params.per_call).items():
            made.calls[size] += calls * int(getattr(params, "over", 1))


def _groups(spec: TaskSpec, per_call: int) -> Counter[int]:
    """Return slots per call -> number of calls that cover all slots; see `Plan.groups`."""
    labels = len(spec.labels) if spec.answer.kind in ONE_LABEL and not spec.contrast else 1
    share, more = divmod(spec.slots_wanted, labels)
    found: Counter[int] = Counter()
    # Slots go to labels in blocks, so some labels have one slot more than others.
    for ordinals, times in ((share, labels - more), (share + 1, more)):
        ordinal = 0
        while times and ordinal < ordinals:
            one = call_range(ordinal, per_call)
            found[len(one)] += times
            ordinal = one.stop
    return found


def _labels(
    spec: TaskSpec, operator: Operator, params: Any, above: Plans, made: Planned, disputed: float
) -> None:
    made.items = above[INSTANCES].items
    if operator.name == "annotate":
        for size, calls in _readings(spec, made.items, params.per_call).items():
            made.calls[size] += calls * (params.votes // 2 + 1)
        if params.votes > 1:
            made.note = f"up to {params.votes} votes where the first ones differ"


def _readings(spec: TaskSpec, rows: int, per_call: int) -> Counter[int]:
    """Return rows per call -> number of calls; see `judging.groups`."""
    found: Counter[int] = Counter()
    for part in range(spec.unit):
        full, rest = divmod(rows // spec.unit + (part < rows % spec.unit), per_call)
        found[per_call] += full
        found[rest] += bool(rest)
    return +found


def _corrected(
    spec: TaskSpec, operator: Operator, params: Any, above: Plans, made: Planned, disputed: float
) -> None:
    made.items = rows = above[LABELS].items
    if operator.name == "panel":
        for reader in params.readers:
            made.calls.update(_readings(spec, rows, reader.per_call))
    if operator.name != "self_correct":
        return
    always = params.ask == "always" or params.policy != "majority"
    if always or above[LABELS].operator != "annotate" or spec.own_rows:
        groups = [rows]
    else:
        open_rows = round(disputed * rows)
        agreeing = rows - open_rows
        share = max(params.audit, min(1.0, params.audit_at_least / max(1, agreeing)))
        groups = [open_rows, round(share * agreeing)]
        made.note = "and each row whose labels differ"
    made.items = sum(groups)
    for count in [*groups, round(params.planted * rows)]:
        made.calls.update(_readings(spec, count, params.per_call))


_PLANS: Final[dict[str, Callable[..., None]]] = {
    VOCABULARIES: _vocabularies,
    CONTEXTS: _contexts,
    SEEDS: _seeds,
    INSTANCES: _instances,
    LABELS: _labels,
    CORRECTED_SET: _corrected,
}
