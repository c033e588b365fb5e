"""Operator `attribute_values`: dimensions and their values, filtered by label."""

import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from targen.errors import StepError
from targen.llm.types import Outcome, Request
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.bounds import bounded
from targen.operators.requests import (
    answers,
    items_of,
    make_request,
    missing_item,
    numbered_items,
    rejection,
    task_block,
)
from targen.operators.vocabularies import WORDS_OF_TERM, term_row
from targen.prompts.render import items_schema, messages
from targen.steps import (
    ASKED,
    CONFUSABLE,
    DIMENSIONS,
    LABEL,
    LABELS,
    VOCABULARIES,
    about,
    asked_about,
)
from targen.tasks.registry import operator
from targen.tasks.validators import fold

PROMPT = "vocabularies/attribute_values.md"


class AttributeValuesParams(LLMParams):
    """Parameters of `attribute_values`."""

    dimensions: int = Field(default=0, ge=0, le=12)
    """number of dimensions to request besides the task's vocabularies."""
    values: int = Field(default=10, ge=1)
    """number of values for each of these dimensions."""
    confusable: int = Field(default=5, ge=0)
    """maximum number of labels to compare a label with."""
    reject_at_most: int = Field(default=5, ge=0)
    """maximum number of values that the filter removes per label and dimension; 5 in the published
    code."""
    filter_temperature: float | None = Field(default=0.7, ge=0, le=2)
    """temperature of the filter's requests; 0.7 in the published code."""
    retries: int = Field(default=3, ge=0)
    """how often a short list is requested again."""


@dataclass
class _Values:
    """The values of one dimension, for one label if they depend on it.

    Attributes:
        category: the dimension's name.
        what: its description in prompts.
        count: number of values wanted.
        terms: folded term -> row of the table.
        removed: values that the filter removed.
    """

    category: str
    what: str
    count: int
    label: str | None
    terms: dict[str, dict[str, Any]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    @property
    def missing(self) -> int:
        return self.count - len(self.terms)


@operator(
    VOCABULARIES,
    "attribute_values",
    AttributeValuesParams,
    PROMPT,
    reads=("label_constraints", "label_definitions"),
)
async def attribute_values(step: StepInput, params: AttributeValuesParams) -> StepResult:
    """Collect values of every dimension and drop those relevant to a confusable label.

    Source: AttrPrompt (Yu et al., 2023, NeurIPS Datasets and Benchmarks), section 3 and its code,
    including class-dependent values and the filter by easily confused classes.

    Raises:
        StepError: a dimension has no values.
    """
    run = _Run(step, params)
    dimensions = [*run.own(), *await run.found()]
    confusable: dict[str, list[str]] = {}
    if any(values.label is not None for values in dimensions):
        confusable = await run.confusables()
    for sample in range(params.retries + 1):
        short = [values for values in dimensions if values.missing > 0]
        if not short:
            break
        new = await run.ask(short, sample)
        await run.filter(new, confusable)
    for values in dimensions:
        label = f" for {values.label}" if values.label else ""
        if not values.terms:
            raise StepError(
                f"the model gave no value for '{values.category}'{label}", run.result.rejected
            )
        if values.missing > 0:
            run.result.warnings.append(
                f"{values.category}: {len(values.terms)} of {values.count} values{label}"
            )
        run.result.rows += values.terms.values()
    run.result.rows += run.notes
    return run.result


class _Run:
    def __init__(self, step: StepInput, params: AttributeValuesParams) -> None:
        self.step, self.spec, self.params = step, step.spec, params
        self.result = StepResult()
        self.notes: list[dict[str, Any]] = []

    def _labels(self, per_label: bool) -> list[str | None]:
        return list(self.spec.labels) if per_label and self.spec.labels else [None]

    def own(self) -> list[_Values]:
        """Return the task's own dimensions with the terms that it lists."""
        dimensions = []
        for category, vocabulary in self.spec.vocabularies.items():
            count = len(vocabulary.terms) or vocabulary.count
            for label in self._labels(vocabulary.per_label and not vocabulary.terms):
                values = _Values(category, vocabulary.what, count, label)
                for term in vocabulary.terms:
                    self._take(values, term, None)
                values.count = len(values.terms) or count
                dimensions.append(values)
        return dimensions

    def _take(self, values: _Values, term: str, request_id: str | None) -> bool:
        """Add a term; reject it and return False if it is empty or a duplicate."""
        self.result.asked += 1
        if not term or fold(term) in values.terms or fold(term) in map(fold, values.removed):
            reason = "duplicate" if term else "invalid"
            self.result.rejected.append(rejection(reason, values.category, term, request_id))
            return False
        values.terms[fold(term)] = term_row(values.category, term, request_id, values.label)
        return True

    def _note(self, category: str, label: str | None, outcome: Outcome) -> None:
        turn = 1 + sum(about(row) == (category, label) for row in self.notes)
        row = term_row(ASKED, asked_about(category, turn), outcome.request_id, label)
        self.notes.append(row)
        self.result.asked += 1

    def _request(
        self, block: dict[str, Any], properties: dict[str, Any], count: int, **more: Any
    ) -> Request:
        words = WORDS_OF_TERM * len(properties)
        params = more.get("params", self.params)
        return make_request(
            bounded(params, count, len(properties), words, self.spec.language),
            messages(PROMPT, {"task": task_block(self.spec), **block}, ask=more["ask"]),
            items_schema(properties, count),
            more["ask"],
            edition=self.spec.edition,
            sample=more.get("sample", 0),
        )

    async def found(self) -> list[_Values]:
        """Return the dimensions that the model adds to the task's own."""
        count = self.params.dimensions
        if not count:
            return []
        block: dict[str, Any] = {
            "wanted": {"what": "dimensions along which examples can differ", "count": count},
            "exclude": list(self.spec.vocabularies),
        }
        properties = {
            "name": {"type": "string"},
            "what": {"type": "string"},
            "depends_on_label": {"type": "string", "enum": ["yes", "no"]},
        }
        request = self._request(block, properties, count, ask="dimensions")
        (outcome,) = await answers(self.step.model, [request])
        self._note(DIMENSIONS, None, outcome)
        dimensions: list[_Values] = []
        for item in items_of(outcome)[:count]:
            name = "_".join(re.findall(r"[a-z0-9]+", str(item["name"]).lower()))[:40]
            known = {*self.spec.vocabularies, *(values.category for values in dimensions)}
            known |= {LABEL, CONFUSABLE, ASKED}
            if name and name not in known:
                for label in self._labels(item["depends_on_label"] == "yes"):
                    values = _Values(name, str(item["what"]), self.params.values, label)
                    dimensions.append(values)
        named = len({values.category for values in dimensions})
        if named < count:
            self.result.warnings.append(f"the model named {named} of {count} dimensions")
        return dimensions

    async def confusables(self) -> dict[str, list[str]]:
        """Return label -> the labels it is easily confused with; each pair also becomes a row.

        If the task has at most `confusable` other labels, all of them count, without a request.
        """
        labels, most = self.spec.label_definitions, self.params.confusable
        others = {label: [o for o in labels if o != label] for label in labels}
        chosen: dict[str, tuple[list[str], str | None]] = {
            label: (rest[:most], None) for label, rest in others.items()
        }
        if 0 < most < len(labels) - 1:
            requests = [
                self._request(
                    {"labels": labels, "label": {"name": label}, "wanted": {"count": most}},
                    {"label": {"type": "string", "enum": rest}},
                    most,
                    ask="confusable",
                )
                for label, rest in others.items()
            ]
            outcomes = await answers(self.step.model, requests)
            for label, outcome in zip(labels, outcomes, strict=True):
                named = [str(item["label"]) for item in items_of(outcome)]
                if not named:
                    self.result.rejected.append(missing_item(outcome))
                    self.result.asked += 1
                    self.result.warnings.append(
                        f"{label}: the model named no confusable label, so its values "
                        "are not filtered"
                    )
                chosen[label] = (list(dict.fromkeys(named))[:most], outcome.request_id)
        for label, (rest, request_id) in chosen.items():
            self.result.asked += len(rest)
            self.result.rows += [term_row(CONFUSABLE, o, request_id, label) for o in rest]
        return {label: rest for label, (rest, _) in chosen.items()}

    async def ask(self, dimensions: list[_Values], sample: int) -> list[tuple[_Values, list[str]]]:
        """Request the missing values; return each dimension with its new values."""
        requests = []
        for values in dimensions:
            count = values.missing
            block: dict[str, Any] = {
                "wanted": {"category": values.category, "what": values.what, "count": count}
            }
            if values.label is not None:
                meaning = self.spec.label_definitions[values.label]
                block["label"] = {"name": values.label, "definition": meaning}
            known = [row["term"] for row in values.terms.values()]
            block["exclude"] = [*known, *sorted(values.removed)]
            properties = {"term": {"type": "string"}}
            requests.append(self._request(block, properties, count, ask="terms", sample=sample))
        new: list[tuple[_Values, list[str]]] = []
        outcomes = await answers(self.step.model, requests)
        for values, outcome in zip(dimensions, outcomes, strict=True):
            count = values.missing
            items = items_of(outcome)[:count]
            terms = [str(item.get("term", "")).strip() for item in items]
            new.append((values, [t for t in terms if self._take(values, t, outcome.request_id)]))
            self.result.rejected += [missing_item(outcome) for _ in range(count - len(items))]
            self.result.asked += count - len(items)
        return new

    async def filter(
        self, new: list[tuple[_Values, list[str]]], confusable: dict[str, list[str]]
    ) -> None:
        """Remove new values that are relevant to a confusable label."""
        checked = [
            (values, terms) for values, terms in new if terms and confusable.get(values.label or "")
        ]
        params = self.params.model_copy(update={"temperature": self.params.filter_temperature})
        requests = []
        for values, terms in checked:
            meanings = self.spec.label_definitions
            block = {
                LABELS: {name: meanings[name] for name in confusable[values.label or ""]},
                "wanted": {"category": values.category, "what": values.what},
                "items": [{"item": n, "term": term} for n, term in enumerate(terms, 1)],
            }
            properties = {
                "item": {"type": "integer"},
                "relevant": {"type": "string", "enum": ["yes", "no"]},
            }
            requests.append(
                self._request(block, properties, len(terms), ask="relevance", params=params)
            )
        outcomes = await answers(self.step.model, requests)
        for (values, terms), outcome in zip(checked, outcomes, strict=True):
            self._note(values.category, values.label, outcome)
            items = numbered_items(outcome, "item", len(terms))
            for number, term in enumerate(terms, 1):
                relevant = items.get(number, {}).get("relevant") == "yes"
                if relevant and len(values.removed) < self.params.reject_at_most:
                    self._remove(values, term, confusable[values.label or ""], outcome)

    def _remove(self, values: _Values, term: str, others: list[str], outcome: Outcome) -> None:
        values.removed.add(term)
        row = values.terms.pop(fold(term))
        detail = f"relevant to another label: {', '.join(others)}"
        rejected = rejection("misleading", detail, term, None, intended_label=values.label)
        rejected["request_ids"] = [row["request_id"], outcome.request_id]
        self.result.rejected.append(rejected)
