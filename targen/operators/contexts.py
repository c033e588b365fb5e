"""Operators of contexts: none, or a list by a model. `draw` has a module of its own."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import polars as pl
from pydantic import Field

from targen.errors import StepError
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.bounds import bounded
from targen.operators.content import content_problem, reason_of
from targen.operators.requests import (
    answers,
    background,
    items_of,
    make_request,
    missing_item,
    rejection,
    text_key,
)
from targen.operators.sources import contexts_needed
from targen.prompts.render import field_schema, items_schema, messages
from targen.steps import ASKED, CONTEXTS, DOMAIN, VOCABULARIES
from targen.tasks.registry import operator
from targen.tasks.validators import empty_field, fold

PROMPT = "contexts/llm_list.md"

DOMAIN_AT_MOST: Final = 2
"""Number of contexts of one domain from which on prompts ask for other domains."""
EXCLUDE_AT_MOST: Final = 40
WORDS_OF_TEXT: Final = 18
WORDS_OF_ATTRIBUTE: Final = 10


@operator(CONTEXTS, "none")
async def none(step: StepInput, params: Any) -> StepResult:
    """Use no contexts; the table holds one placeholder row."""
    row = {"context_id": ids.NONE_CONTEXT_ID, "text": "none", "attributes": [], "term_ids": []}
    return StepResult(rows=[row], asked=1)


class LLMListParams(LLMParams):
    """Parameters of `llm_list`."""

    count: int | None = Field(default=None, ge=1)
    """number of contexts, all used evenly; null lets the number grow with about the square root of
    the rows. TarGEN (section 3) uses about 20."""
    first: int = Field(default=4, ge=1)
    """number of contexts of the first two rounds of slots; every second round adds one. Used if
    `count` is null."""
    page: int = Field(default=6, ge=1)
    """contexts per request; fixed, so that a growing data set only adds pages."""
    retries: int = Field(default=3, ge=0)
    """how often a page without a new context is requested again before the list counts as
    complete."""
    max_pages: int = Field(default=200, ge=1)
    """limit for the number of pages."""


def _terms(table: pl.DataFrame) -> dict[str, list[str]]:
    terms: dict[str, list[str]] = {}
    for category, term in table.select("category", "term").iter_rows():
        if category not in ("none", ASKED):
            terms.setdefault(category, []).append(term)
    return terms


class _List:
    """The contexts found so far, and the requests for more.

    Attributes:
        found: key of a context -> its row, in the order of the answers.
    """

    def __init__(self, step: StepInput, params: LLMListParams) -> None:
        self._step, self._spec, self._params = step, step.spec, params
        self._wanted = step.spec.contexts
        self._two_levels = DOMAIN not in self._wanted.attributes
        self._properties = {
            **({DOMAIN: field_schema("text")} if self._two_levels else {}),
            "text": field_schema("text"),
            **{n: field_schema("text", a.values) for n, a in self._wanted.attributes.items()},
        }
        vocabulary = step.tables[VOCABULARIES]
        self._terms = _terms(vocabulary)
        self._term_ids = {
            term: term_id for term_id, term in vocabulary.select("term_id", "term").iter_rows()
        }
        self.found: dict[str, dict[str, Any]] = {}

    def request(self, count: int, sample: int) -> Request:
        """Return the request for one page."""
        attributes = {
            name: {"description": a.description} | ({"values": a.values} if a.values else {})
            for name, a in self._wanted.attributes.items()
        }
        wanted: dict[str, Any] = {"what": self._wanted.what, "count": count}
        if attributes:
            wanted["attributes"] = attributes
        # A model that sees the task's fields writes an example, and its description gets into the
        # texts ("a premise about ..."). It is needed only where the task says nothing of contexts.
        described = "what" not in self._wanted.model_fields_set
        block: dict[str, Any] = {"task": background(self._spec, described), "wanted": wanted}
        if self._terms:
            block["terms"] = self._terms
        latest = list(self.found.values())[-EXCLUDE_AT_MOST:]
        used_up: list[str] = []
        if self._two_levels:
            domains = Counter(_domain(row) for row in latest)
            used_up = [name for name, n in domains.items() if name and n >= DOMAIN_AT_MOST]
        if used_up:
            block["domains_used_up"] = used_up
        block["exclude"] = [row["text"] for row in latest]
        prompt = messages(
            PROMPT,
            block,
            domain=self._two_levels,
            attributes=bool(attributes),
            terms=bool(self._terms),
            used_up=bool(used_up),
        )
        words = WORDS_OF_TEXT + WORDS_OF_ATTRIBUTE * (len(self._properties) - 1)
        return make_request(
            bounded(self._params, count, len(self._properties), words, self._spec.language),
            prompt,
            items_schema(self._properties, count),
            "contexts",
            edition=self._spec.edition,
            sample=sample,
        )

    def take(self, outcome: Outcome, count: int, result: StepResult) -> bool:
        """Add the new contexts of a page; return whether there was one.

        Of contexts with the same text, those are new that differ in an attribute of the task.
        """
        before = len(self.found)
        result.asked += count
        items = items_of(outcome)[:count]
        for item in items:
            values = {name: str(item.get(name, "")).strip() for name in self._properties}
            if self._two_levels and not values[DOMAIN]:
                del values[DOMAIN]  # of no use to the task itself
            problem = (
                empty_field(values)
                or content_problem(values, self._spec, outcome.request, [self._wanted.what])
                or _too_long(values["text"])
            )
            key = text_key({n: values[n] for n in ("text", *self._wanted.attributes)})
            if problem or key in self.found:
                reason, detail = (
                    (reason_of(problem), problem) if problem else ("duplicate", "comes twice")
                )
                result.rejected.append(rejection(reason, detail or "", item, outcome.request_id))
                continue
            text = values.pop("text")
            named = [{"name": name, "value": value} for name, value in values.items()]
            self.found[key] = {
                "context_id": ids.context_id(text, named),
                "text": text,
                "attributes": named,
                "term_ids": [self._term_ids[v] for v in values.values() if v in self._term_ids],
                "request_id": outcome.request_id,
            }
        result.rejected += [missing_item(outcome) for _ in range(count - len(items))]
        return len(self.found) > before


def _too_long(text: str) -> str | None:
    words = len(text.split())
    if words <= WORDS_OF_TEXT:
        return None
    return f"length: text has {words} words; a context is a phrase of at most {WORDS_OF_TEXT}"


def _domain(row: Mapping[str, Any]) -> str:
    return next((pair["value"] for pair in row["attributes"] if pair["name"] == DOMAIN), "")


@operator(CONTEXTS, "llm_list", LLMListParams, PROMPT, reads=("slots_seeded",))
async def llm_list(step: StepInput, params: LLMListParams) -> StepResult:
    """Request contexts in pages, each of which lists earlier contexts to avoid.

    Each context has two levels, a domain and a situation in it. Without `count`, every page has
    the same size, so that the first pages are the same for any number of rows; the last page can
    bring more contexts than the slots need.

    Source: TarGEN (Gupta et al., 2024), section 3, step 1.

    Raises:
        StepError: no context was valid.
    """
    needed = params.count or contexts_needed(step.spec.slots_seeded, params.first)
    contexts, result = _List(step, params), StepResult()
    page = sample = 0
    while len(contexts.found) < needed and page < params.max_pages and sample <= params.retries:
        left = needed - len(contexts.found)
        count = params.page if params.count is None else min(params.page, left)
        (outcome,) = await answers(step.model, [contexts.request(count, sample)])
        if contexts.take(outcome, count, result):
            page, sample = page + 1, 0
        else:
            sample += 1
    found = contexts.found
    if not found:
        detail = result.rejected[-1]["detail"] if result.rejected else "no items were requested"
        raise StepError(f"the model gave no context: {detail}", result.rejected)
    if len(found) < needed:
        result.warnings.append(f"the model gave {len(found)} of {needed} contexts")
    texts = {fold(row["text"]) for row in found.values()}
    if 2 * len(texts) <= len(found):
        result.warnings.append(
            f"the {len(found)} contexts have only {len(texts)} different texts: they differ in "
            "their attributes alone"
        )
    result.rows = list(found.values())
    return result
