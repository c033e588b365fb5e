"""Operator `llm_per_context`: pages of seeds for each context, as many as the slots need."""

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import Field

from targen.hashing import rng
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.anchors import anchors
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.plan import context_block
from targen.operators.requests import answers, numbered_items, rejection, text_key
from targen.operators.seeds import Row, no_valid_seed, section, seed_request, seed_row, valid_fields
from targen.operators.sources import Turns, first_contexts
from targen.steps import CONTEXTS, SEEDS
from targen.tasks.registry import operator

PROMPT = "seeds/llm_per_context.md"

SMALL_PAGE: Final = 5
SMALL_PAGES: Final = 4
"""The first pages of a context are small, because most contexts of a small data set need few
seeds."""

EXCLUDE_AT_MOST: Final = 40
GIST_WORDS: Final = 8
ELSEWHERE: Final = 5
"""Number of seeds of other contexts that a prompt quotes."""

TERM_KINDS: Final = ("word",)
"""Kinds of seeds without room for anchors."""


class PerContextParams(LLMParams):
    """Parameters of `llm_per_context`."""

    page: int = Field(default=10, ge=1)
    """seeds per request. The first four pages of a context have at most 5. Page sizes do not depend
    on the number of rows, so a growing data set only adds pages."""
    retries: int = Field(default=2, ge=0)
    """how often a page without new seeds is requested again before its context counts as
    exhausted."""
    max_pages: int = Field(default=200, ge=1)
    """limit per context."""
    anchors: bool = True
    """offer each seed a drawn name, place, date or amount; not for seeds that are single words."""


@dataclass
class _Context:
    """A context and the seeds collected for it.

    Attributes:
        index: place among the contexts, from 0.
        gists: the first words of each seed, which prompts list as seeds to avoid.
        first_gists: those of the first page.
        page: number of the next page.
        asked: seeds of the pages before it.
        sample: how often that page was requested without a new seed.
    """

    index: int
    context_id: str | None
    block: dict[str, Any] | None
    rows: list[Row] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    gists: list[str] = field(default_factory=list)
    first_gists: tuple[str, ...] = ()
    page: int = 0
    asked: int = 0
    sample: int = 0
    exhausted: bool = False

    @property
    def begun(self) -> bool:
        """Whether the first page is complete."""
        return self.page > 0 or self.exhausted


@operator(SEEDS, "llm_per_context", PerContextParams, PROMPT)
async def llm_per_context(step: StepInput, params: PerContextParams) -> StepResult:
    """Request pages of seeds for each context until its slots have a seed each.

    The pages of one context are requested one after the other, and each prompt lists earlier seeds
    to avoid, with some seeds of other contexts. A context whose page has no new seed after all
    retries is exhausted: its list is final, and slots reuse it. A prompt depends only on pages that
    any number of rows has, so a growing data set keeps its seeds.

    Source: TarGEN (Gupta et al., 2024), section 3, step 2, which keeps the first seed only.

    Raises:
        StepError: the task has no section `seeds`, or no seed was valid.
    """
    return await Pages(step, params).run()


class Pages:
    """State of one run of the operator; also counts its calls for the plan."""

    def __init__(self, step: StepInput, params: PerContextParams) -> None:
        self._step, self._params = step, params
        self._wanted = section(step)
        self._contexts = [
            _Context(index, row["context_id"] if block else None, block)
            for index, row in enumerate(step.tables[CONTEXTS].iter_rows(named=True))
            for block in [context_block(row)]
        ]
        self._anchors = params.anchors and self._wanted.kind not in TERM_KINDS
        self._first = first_contexts(step.spec)
        self._first_round = min(self._first or len(self._contexts), len(self._contexts))
        self._result = StepResult()

    async def run(self) -> StepResult:
        """Request pages until no context needs another one; raise StepError without any seed."""
        result, contexts = self._result, self._contexts
        while ready := self._ready():
            requests = [self._request(context) for context in ready]
            outcomes = await answers(self._step.model, requests)
            for context, outcome in zip(ready, outcomes, strict=True):
                self._take(context, outcome)
        if not any(c.rows for c in contexts):
            raise no_valid_seed(result)
        empty = sum(c.exhausted and not c.rows for c in contexts)
        if empty:
            result.warnings.append(f"{empty} contexts have no seed")
        repeated = sum(len(c.rows) < n for c, n in zip(contexts, self._needed(), strict=True))
        if repeated:
            result.warnings.append(f"{repeated} contexts ran out of new seeds: some are used twice")
        result.rows = [row for context in contexts for row in context.rows]
        return result

    def _needed(self) -> list[int]:
        """Return the number of seeds that each context needs; all 0 if no context has seeds."""
        empty = [c.index for c in self._contexts if c.exhausted and not c.rows]
        if len(empty) == len(self._contexts):
            return [0] * len(empty)
        turns = Turns(len(self._contexts), self._first, empty)
        return turns.seeds_needed(self._step.spec.slots_seeded)

    def _ready(self) -> list[_Context]:
        """Return the contexts that need another page and whose next page can be requested.

        None is left if no context needs a page: the first one that does waits for no other.
        """
        counted = list(zip(self._contexts, self._needed(), strict=True))
        # Contexts that a very small data set does not use are not waited for.
        waiting = (context.index for context, needed in counted if needed and not context.begun)
        first = next(waiting, len(counted))
        return [
            context
            for context, needed in counted
            if len(context.rows) < needed
            and not context.exhausted
            and context.page < self._params.max_pages
            and self._others(context) <= first
        ]

    def _others(self, context: _Context) -> int:
        """Return of how many contexts, in order, the next page can quote the first page.

        Contexts begin in waves of doubling size; a first page quotes the waves before. Later pages
        quote all contexts that any data set with this context has.
        """
        if context.page:
            return max(self._first_round, context.index + 1)
        return 0 if context.index < 4 else 1 << (context.index.bit_length() - 1)

    def _elsewhere(self, context: _Context) -> list[str]:
        others = range(self._others(context))
        random = rng("elsewhere", self._step.spec.edition, context.context_id, context.page)
        drawn = random.sample(others, min(ELSEWHERE + 1, len(others)))
        chosen = [index for index in drawn if index != context.index][:ELSEWHERE]
        quoted = [self._contexts[index].first_gists for index in chosen]
        return [random.choice(gists) for gists in quoted if gists]

    def _size(self, context: _Context) -> int:
        if self._step.spec.per_slot:
            return 1
        small = context.page < SMALL_PAGES
        return min(SMALL_PAGE, self._params.page) if small else self._params.page

    def _types(self, context: _Context) -> list[dict[str, str]]:
        """Return the typed attributes of a page's items.

        They go through all combinations of values; contexts begin at different ones.
        """
        first = context.index + context.asked
        found: list[dict[str, str]] = []
        for number in range(first, first + self._size(context)):
            rest = number
            found.append({})
            for name, values in self._wanted.types.items():
                rest, index = divmod(rest, len(values))
                found[-1][name] = values[index]
        return found

    def _items(self, context: _Context) -> list[dict[str, Any]]:
        spec = self._step.spec
        items: list[dict[str, Any]] = []
        for number, types in enumerate(self._types(context)):
            item: dict[str, Any] = {"item": number + 1, **types}
            if self._anchors:
                place = context.asked + number
                drawn = anchors(spec.edition, context.context_id, place, spec.language)
                item["anchors"] = drawn
            items.append(item)
        return items

    def _request(self, context: _Context) -> Request:
        shown: dict[str, Any] = {} if context.block is None else {"context": context.block}
        shown["exclude"] = context.gists[-EXCLUDE_AT_MOST:]
        elsewhere = self._elsewhere(context)
        if elsewhere:
            shown["elsewhere"] = elsewhere
        shown["items"] = self._items(context)
        spec = self._step.spec
        return seed_request(
            self._step,
            self._params,
            PROMPT,
            self._wanted,
            shown,
            context.sample,
            context=context.block is not None,
            typed=bool(self._wanted.types),
            anchors=self._anchors,
            # A seed that is no field of the row leaves the label open.
            undecided=bool(spec.labels) and not spec.seed_fields,
        )

    def _take(self, context: _Context, outcome: Outcome) -> None:
        """Add one page of seeds to its context and advance the page."""
        wanted, result, size = self._wanted, self._result, self._size(context)
        items = numbered_items(outcome, "item", size)
        before = len(context.rows)
        result.asked += size
        for number, attributes in enumerate(self._types(context), 1):
            item = items.get(number)
            planned = {**((context.block or {}).get("attributes") or {}), **attributes}
            fields = valid_fields(self._step, wanted, item, outcome, result, planned)
            if fields is None:
                continue
            key = text_key(fields)
            if key in context.seen:
                detail = "comes twice in its context"
                result.rejected.append(rejection("duplicate", detail, item, outcome.request_id))
                continue
            context.seen.add(key)
            context.gists.append(_gist(fields))
            seed_id = ids.seed_id(context.context_id, wanted.kind, fields)
            row = seed_row(
                seed_id, context.context_id, wanted.kind, fields, attributes, outcome.request_id
            )
            context.rows.append(row)
        if len(context.rows) > before:
            if context.page == 0:
                context.first_gists = tuple(context.gists)
            context.page, context.asked, context.sample = context.page + 1, context.asked + size, 0
        elif context.sample < self._params.retries:
            context.sample += 1
        else:
            context.exhausted = True


def _gist(fields: dict[str, Any]) -> str:
    first = next(iter(fields.values()))
    text = first if isinstance(first, str) else ", ".join(first)
    return " ".join(text.split()[:GIST_WORDS])
