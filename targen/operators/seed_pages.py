"""Operator `llm_per_context`: pages of seeds for groups of contexts, as many as the slots need."""

from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, Final

from pydantic import Field

from targen.hashing import rng
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.anchors import anchors, without_names
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.plan import context_block
from targen.operators.requests import answers, numbered_items, rejection, text_key
from targen.operators.seeds import Row, no_valid_seed, section, seed_request, seed_row, valid_fields
from targen.operators.sources import Turns, first_contexts
from targen.steps import CONTEXTS, SEEDS
from targen.tasks.registry import operator

PROMPT = "seeds/llm_per_context.md"

TOGETHER_FIRST: Final = 4
TOGETHER: Final = 2
"""Contexts per request: for the first round, which all slots use alike, and for later rounds."""

FIRST_PAGE: Final = 3
SMALL_PAGE: Final = 4
SMALL_PAGES: Final = 4
"""Seeds per context on its first page and on those up to the fourth. Most contexts of a small data
set need few seeds."""

EXCLUDE_AT_MOST: Final = 40
"""Number of earlier seeds that a prompt quotes, shared evenly among its contexts; for seeds that
are words, this number for each context."""
GIST_WORDS: Final = 6
ELSEWHERE: Final = 5
"""Number of seeds of other contexts that a prompt quotes."""

REST_WORDS: Final = 4
"""Words besides names that a text must have to be compared without them."""

TERM_KINDS: Final = ("word",)
"""Kinds of seeds without room for anchors, and which contexts may have in common."""


class PerContextParams(LLMParams):
    """Parameters of `llm_per_context`."""

    page: int = Field(default=12, ge=1)
    """seeds per request. The first pages of later contexts have fewer. Page sizes do not depend on
    the number of rows, so a growing data set only adds pages."""
    together: int = Field(default=TOGETHER_FIRST, ge=1)
    """contexts per request, at most; those after the first round share a request in pairs."""
    retries: int = Field(default=2, ge=0)
    """a context counts as exhausted after more than this number of pages in a row without a new
    seed."""
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
        asked: seeds requested so far.
        fruitless: pages in a row without a new seed.
    """

    index: int
    context_id: str | None
    block: dict[str, Any] | None
    rows: list[Row] = field(default_factory=list)
    gists: list[str] = field(default_factory=list)
    first_gists: tuple[str, ...] = ()
    asked: int = 0
    fruitless: int = 0
    exhausted: bool = False


@dataclass
class _Group:
    """Contexts that share their requests.

    Attributes:
        index: place among the groups, from 0.
        page: number of the next page.
        seen: keys of all its seeds (`Pages._keys`). A small model writes the same text for several
            contexts of one request.
    """

    index: int
    contexts: list[_Context]
    page: int = 0
    seen: set[str] = field(default_factory=set)

    @property
    def open(self) -> list[_Context]:
        """The contexts that may still get seeds."""
        return [context for context in self.contexts if not context.exhausted]


@operator(SEEDS, "llm_per_context", PerContextParams, PROMPT)
async def llm_per_context(step: StepInput, params: PerContextParams) -> StepResult:
    """Request pages of seeds for groups of contexts until the slots have a seed each.

    The pages of one group are requested one after the other, and each prompt lists earlier seeds
    to avoid, with some seeds of other contexts. A context that gets no new seed from several pages
    in a row is exhausted: its list is final, and slots reuse it. A prompt depends only on pages
    that any number of rows has, so a growing data set keeps its seeds.

    Source: TarGEN (Gupta et al., 2024), section 3, step 2, which keeps the first seed only and
    asks for each context by itself.

    Raises:
        StepError: the task has no section `seeds`, or no seed was valid.
    """
    return await Pages(step, params).run()


def _grouped(contexts: list[_Context], first: int, together: int) -> list[_Group]:
    """Return the contexts in groups; those of the first round are in larger ones."""
    starts = chain(range(0, first, together), range(first, len(contexts), min(TOGETHER, together)))
    bounds = [*starts, len(contexts)]
    return [
        _Group(number, contexts[start:end]) for number, (start, end) in enumerate(pairwise(bounds))
    ]


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
        together = min(params.together, params.page)
        self._groups = _grouped(self._contexts, self._first_round, together)
        self._result = StepResult()

    async def run(self) -> StepResult:
        """Request pages until no context needs another one; raise StepError without any seed."""
        result, contexts = self._result, self._contexts
        while ready := self._ready():
            requests = [self._request(group) for group in ready]
            outcomes = await answers(self._step.model, requests)
            for group, outcome in zip(ready, outcomes, strict=True):
                self._take(group, outcome)
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

    def _ready(self) -> list[_Group]:
        """Return the groups that need another page and whose next page can be requested.

        None is left if no group needs a page: the first one that does waits for no other.
        """
        needed = self._needed()
        lacking = [
            group
            for group in self._groups
            if group.page < self._params.max_pages
            and any(len(context.rows) < needed[context.index] for context in group.open)
        ]
        # Groups that a very small data set does not use are not waited for.
        begins = [group.contexts[0].index for group in lacking if not group.page]
        first = min(begins, default=len(needed))
        return [group for group in lacking if self._others(group) <= first]

    def _others(self, group: _Group) -> int:
        """Return of how many contexts, in order, the next page can quote the first page.

        Groups begin in waves of doubling size; a first page quotes the waves before. Later pages
        quote all contexts that any data set with this group has.
        """
        if group.page:
            return max(self._first_round, group.contexts[-1].index + 1)
        wave = 1 << (group.index.bit_length() - 1) if group.index else 0
        return self._groups[wave].contexts[0].index

    def _elsewhere(self, group: _Group) -> list[str]:
        own = {context.index for context in group.contexts}
        others = [index for index in range(self._others(group)) if index not in own]
        random = rng("elsewhere", self._step.spec.edition, group.contexts[0].context_id, group.page)
        chosen = random.sample(others, min(ELSEWHERE, len(others)))
        quoted = [self._contexts[index].first_gists for index in chosen]
        return [random.choice(gists) for gists in quoted if gists]

    def _size(self, group: _Group) -> int:
        """Return the number of seeds per context on the group's next page."""
        if self._step.spec.per_slot:
            return 1
        most = max(1, self._params.page // len(group.contexts))
        if len(self._contexts) == 1 or group.page >= SMALL_PAGES:
            return most
        return min(most, SMALL_PAGE if group.page else FIRST_PAGE)

    def _types(self, context: _Context, size: int) -> list[dict[str, str]]:
        """Return the typed attributes of a context's next seeds.

        They go through all combinations of values; contexts begin at different ones.
        """
        first = context.index + context.asked
        found: list[dict[str, str]] = []
        for number in range(first, first + size):
            rest = number
            found.append({})
            for name, values in self._wanted.types.items():
                rest, index = divmod(rest, len(values))
                found[-1][name] = values[index]
        return found

    def _items(self, group: _Group) -> list[tuple[_Context, dict[str, str]]]:
        """Return context and typed attributes of each seed on the group's next page."""
        size = self._size(group)
        return [(c, types) for c in group.open for types in self._types(c, size)]

    def _request(self, group: _Group) -> Request:
        spec, shown = self._step.spec, dict[str, Any]()
        numbers = {context.index: number for number, context in enumerate(group.open, 1)}
        # Words are short, and a model repeats those that it is not shown.
        shared = 1 if self._wanted.kind in TERM_KINDS else len(group.contexts)
        most = EXCLUDE_AT_MOST // shared
        settings = [
            {"context": numbers[c.index], **c.block, "exclude": c.gists[-most:]}
            for c in group.open
            if c.block is not None
        ]
        if settings:
            shown["contexts"] = settings
        else:
            shown["exclude"] = group.open[0].gists[-most:]
        elsewhere = self._elsewhere(group)
        if elsewhere:
            shown["elsewhere"] = elsewhere
        shown["items"] = []
        places = {context.index: context.asked for context in group.open}
        for number, (context, types) in enumerate(self._items(group), 1):
            item: dict[str, Any] = {"item": number}
            if settings:
                item["context"] = numbers[context.index]
            item |= types
            if self._anchors:
                place = places[context.index]
                drawn = anchors(spec.edition, context.context_id, place, spec.language)
                item["anchors"] = drawn
            places[context.index] += 1
            shown["items"].append(item)
        return seed_request(
            self._step,
            self._params,
            PROMPT,
            self._wanted,
            shown,
            # Without another sample number, a page after one without new seeds could be the same.
            group.page,
            context=bool(settings),
            typed=bool(self._wanted.types),
            anchors=self._anchors,
            # A seed that is no field of the row leaves the label open.
            undecided=bool(spec.labels) and not spec.seed_fields,
        )

    def _keys(self, context: _Context, fields: dict[str, Any]) -> list[str]:
        """Return what no two seeds of a group may have in common: the text, with and without names.

        A small model writes the same sentence about one person after another.
        """
        key = text_key(fields)
        if self._wanted.kind in TERM_KINDS:
            return [f"{key} {context.index}"]  # Contexts may have a word in common.
        rest = without_names(key)
        # The key has the names of the fields, too.
        long = self._anchors and len(rest) >= REST_WORDS + len(fields)
        return [key, " ".join(rest)] if long else [key]

    def _take(self, group: _Group, outcome: Outcome) -> None:
        """Add one page of seeds to its contexts and advance the page."""
        wanted, result = self._wanted, self._result
        asked, size = self._items(group), self._size(group)
        items = numbered_items(outcome, "item", len(asked))
        before = {context.index: len(context.rows) for context in group.open}
        result.asked += len(asked)
        for number, (context, attributes) in enumerate(asked, 1):
            item = items.get(number)
            planned = {**((context.block or {}).get("attributes") or {}), **attributes}
            fields = valid_fields(self._step, wanted, item, outcome, result, planned)
            if fields is None:
                continue
            keys = self._keys(context, fields)
            if not group.seen.isdisjoint(keys):
                detail = (
                    "comes twice in contexts that share a request"
                    if keys[0] in group.seen
                    else "differs from another seed in contexts that share a request in names only"
                )
                result.rejected.append(rejection("duplicate", detail, item, outcome.request_id))
                continue
            group.seen.update(keys)
            context.gists.append(_gist(fields))
            seed_id = ids.seed_id(context.context_id, wanted.kind, fields)
            row = seed_row(
                seed_id, context.context_id, wanted.kind, fields, attributes, outcome.request_id
            )
            context.rows.append(row)
        for context in group.open:
            context.asked += size
            if group.page == 0:
                context.first_gists = tuple(context.gists)
            new = len(context.rows) > before[context.index]
            context.fruitless = 0 if new else context.fruitless + 1
            context.exhausted = context.fruitless > self._params.retries
        group.page += 1


def _gist(fields: dict[str, Any]) -> str:
    first = next(iter(fields.values()))
    text = first if isinstance(first, str) else ", ".join(first)
    return " ".join(text.split()[:GIST_WORDS])
