"""Operator `attribute_values`: dimensions and their values, filtered per label."""

import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from targen.errors import StepError
from targen.llm.types import Outcome, Request
from targen.operators.asking import (
    answers,
    items_of,
    make_request,
    missing_reason,
    numbered_items,
    rejection,
    task_block,
)
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.vocabularies import term_row
from targen.prompts.render import items_schema, messages
from targen.steps import (
    ASKED,
    CONFUSABLE,
    DIMENSIONS,
    LABEL,
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
    """number of dimensions to ask for in addition to the task's vocabularies."""
    values: int = Field(default=10, ge=1)
    """number of values per dimension that the model named."""
    confusable: int = Field(default=5, ge=0)
    """the most labels that a label is compared with."""
    reject_at_most: int = Field(default=5, ge=0)
    """the most values the filter removes per label; 5 in the published code."""
    filter_temperature: float | None = Field(default=0.7, ge=0, le=2)
    """temperature of the filter's requests; 0.7 in the published code."""
    retries: int = Field(default=3, ge=0)
    """how often a short list is requested again."""


@dataclass
class _Values:
    """The values of one dimension, for one label if they depend on it."""

    category: str
    what: str
    count: int
    label: str | None
    terms: dict[str, dict[str, Any]] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)


@operator(
    VOCABULARIES,
    "attribute_values",
    AttributeValuesParams,
    PROMPT,
    reads=("label_constraints", "label_definitions"),
)
async def attribute_values(step: StepInput, params: AttributeValuesParams) -> StepResult:
    """Collect values of every dimension and drop those relevant to a confusable label.

    Source: AttrPrompt (Yu et al., 2023, NeurIPS Datasets and Benchmarks), section 3 and its code:
    dimensions, values, class-dependent values, and the filter that removes values relevant to an
    easily confused class.

    Raises:
        StepError: a dimension has no values.
    """
    work = _Attributes(step, params)
    lists = [*work.own(), *await work.found()]
    by_label = [one for one in lists if one.label is not None]
    confusable = await work.confusables() if by_label else {}
    for sample in range(params.retries + 1):
        short = [one for one in lists if one.count > len(one.terms)]
        if not short:
            break
        new = await work.ask(short, sample)
        await work.filter(new, confusable)
    for one in lists:
        if not one.terms:
            label = f" for {one.label}" if one.label else ""
            raise StepError(
                f"the model gave no value of '{one.category}'{label}", work.result.rejected
            )
        if one.count > len(one.terms):
            work.result.warnings.append(
                f"{one.category}: {len(one.terms)} of {one.count} values"
                + (f" for {one.label}" if one.label else "")
            )
        work.result.rows += one.terms.values()
    work.result.rows += work.notes
    return work.result


class _Attributes:
    """One run of the operator."""

    def __init__(self, step: StepInput, params: AttributeValuesParams) -> None:
        self.step, self.spec, self.params = step, step.spec, params
        self.result = StepResult()
        self.notes: list[dict[str, Any]] = []

    def _labels(self, per_label: bool) -> list[str | None]:
        return list(self.spec.labels) if per_label and self.spec.labels else [None]

    def own(self) -> list[_Values]:
        """Return the task's own dimensions with the terms that it lists."""
        lists = []
        for category, vocabulary in self.spec.vocabularies.items():
            count = len(vocabulary.terms) or vocabulary.count
            for label in self._labels(vocabulary.per_label and not vocabulary.terms):
                one = _Values(category, vocabulary.what, count, label)
                for term in vocabulary.terms:
                    self._take(one, term, None)
                one.count = len(one.terms) or count
                lists.append(one)
        return lists

    def _take(self, one: _Values, term: str, request_id: str | None) -> bool:
        """Add a term; reject it and return False if it is empty or a duplicate."""
        self.result.asked += 1
        if not term or fold(term) in one.terms or fold(term) in map(fold, one.away):
            reason = "duplicate" if term else "invalid"
            self.result.rejected.append(rejection(reason, one.category, term, request_id))
            return False
        one.terms[fold(term)] = term_row(one.category, term, request_id, one.label)
        return True

    def _note(self, category: str, label: str | None, outcome: Outcome) -> None:
        """Record a request that added no term."""
        turn = 1 + sum(about(row) == (category, label) for row in self.notes)
        row = term_row(ASKED, asked_about(category, turn), outcome.request_id, label)
        self.notes.append(row)
        self.result.asked += 1

    def _request(
        self, block: dict[str, Any], properties: dict[str, Any], count: int, **more: Any
    ) -> Request:
        return make_request(
            more.get("params", self.params),
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
        lists: list[_Values] = []
        for item in items_of(outcome)[:count]:
            name = "_".join(re.findall(r"[a-z0-9]+", str(item["name"]).lower()))[:40]
            known = {*self.spec.vocabularies, *(one.category for one in lists), LABEL}
            known |= {CONFUSABLE, ASKED}
            if name and name not in known:
                for label in self._labels(item["depends_on_label"] == "yes"):
                    lists.append(_Values(name, str(item["what"]), self.params.values, label))
        if len({one.category for one in lists}) < count:
            named = len({one.category for one in lists})
            self.result.warnings.append(f"the model named {named} of {count} dimensions")
        return lists

    async def confusables(self) -> dict[str, list[str]]:
        """Return label -> the labels it is easily confused with; each also becomes a row.

        If a label has at most `confusable` other labels, all of them count and no request is made.
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
                said = [str(item["label"]) for item in items_of(outcome)]
                if not said:
                    reason, detail = missing_reason(outcome)
                    self.result.rejected.append(rejection(reason, detail, None, outcome.request_id))
                    self.result.asked += 1
                    self.result.warnings.append(
                        f"{label}: the model named no confusable label, so its values "
                        "are not filtered"
                    )
                chosen[label] = (list(dict.fromkeys(said))[:most], outcome.request_id)
        for label, (rest, request_id) in chosen.items():
            self.result.asked += len(rest)
            self.result.rows += [term_row(CONFUSABLE, o, request_id, label) for o in rest]
        return {label: rest for label, (rest, _) in chosen.items()}

    async def ask(self, lists: list[_Values], sample: int) -> list[tuple[_Values, list[str]]]:
        """Request the missing values of each list; return each list with its new terms."""
        requests = []
        for one in lists:
            block: dict[str, Any] = {
                "wanted": {
                    "category": one.category,
                    "what": one.what,
                    "count": one.count - len(one.terms),
                }
            }
            if one.label is not None:
                meaning = self.spec.label_definitions[one.label]
                block["label"] = {"name": one.label, "definition": meaning}
            block["exclude"] = [*(row["term"] for row in one.terms.values()), *sorted(one.away)]
            count = one.count - len(one.terms)
            properties = {"term": {"type": "string"}}
            requests.append(self._request(block, properties, count, ask="terms", sample=sample))
        new: list[tuple[_Values, list[str]]] = []
        for one, outcome in zip(lists, await answers(self.step.model, requests), strict=True):
            count = one.count - len(one.terms)
            items = items_of(outcome)[:count]
            terms = [str(item.get("term", "")).strip() for item in items]
            new.append((one, [t for t in terms if self._take(one, t, outcome.request_id)]))
            lost = rejection(*missing_reason(outcome), None, outcome.request_id)
            self.result.rejected += [dict(lost) for _ in range(count - len(items))]
            self.result.asked += count - len(items)
        return new

    async def filter(
        self, new: list[tuple[_Values, list[str]]], confusable: dict[str, list[str]]
    ) -> None:
        """Remove new values that are relevant to a confusable label."""
        asked = [(one, terms) for one, terms in new if terms and confusable.get(one.label or "")]
        params = self.params.model_copy(update={"temperature": self.params.filter_temperature})
        requests = []
        for one, terms in asked:
            meanings = self.spec.label_definitions
            block = {
                "labels": {name: meanings[name] for name in confusable[one.label or ""]},
                "wanted": {"category": one.category, "what": one.what},
                "items": [{"item": n, "term": term} for n, term in enumerate(terms, 1)],
            }
            properties = {
                "item": {"type": "integer"},
                "relevant": {"type": "string", "enum": ["yes", "no"]},
            }
            requests.append(
                self._request(block, properties, len(terms), ask="relevance", params=params)
            )
        for (one, terms), outcome in zip(
            asked, await answers(self.step.model, requests), strict=True
        ):
            self._note(one.category, one.label, outcome)
            said = numbered_items(outcome, "item", len(terms))
            for number, term in enumerate(terms, 1):
                relevant = said.get(number, {}).get("relevant") == "yes"
                if relevant and len(one.away) < self.params.reject_at_most:
                    self._away(one, term, confusable[one.label or ""], outcome)

    def _away(self, one: _Values, term: str, others: list[str], outcome: Outcome) -> None:
        one.away.add(term)
        row = one.terms.pop(fold(term))
        detail = f"relevant to another label: {', '.join(others)}"
        lost = rejection("misleading", detail, term, None, intended_label=one.label)
        lost["request_ids"] = [row["request_id"], outcome.request_id]
        self.result.rejected.append(lost)
