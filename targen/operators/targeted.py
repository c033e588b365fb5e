"""Fills the slots of targets, after those of the plan.

A slot of a target takes the place of a row: it has that row's context, seed, label, way and
difficulty, unless the target specifies something else. Some targets have their rows edited by code
instead of written (`targen/operators/renaming.py`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

from targen.hashing import rng
from targen.lineage import ids
from targen.operators.base import StepResult
from targen.operators.demands import demands, must, range_around, words_of
from targen.operators.entries import SlotState
from targen.operators.renaming import renamed
from targen.operators.requests import rejected_row, rejection, row_key
from targen.operators.slots import SlotFiller
from targen.operators.sources import Sources
from targen.operators.ways import Manner
from targen.tasks.targets import FIRST_SLOT, Avoid, Round, Target
from targen.tasks.validators import first_problem

RETRIES: Final = 1
"""How often a slot is requested again at most; the rows that it replaces are good enough to
keep."""
READ: Final = ("off_target", "duplicate")
"""Reasons to reject a row whose call had the requested form."""


async def filled(filler: SlotFiller) -> StepResult:
    """Fill the slots of the plan, then those of the task's targets.

    Raises:
        StepError: as `SlotFiller.run`.
    """
    result = await filler.run()
    if filler.spec.rounds:
        await TargetedSlots(filler).add(result)
    return result


class TargetedSlots:
    """The slots of a task's targets.

    Args:
        filler: has filled the slots of the plan.
    """

    def __init__(self, filler: SlotFiller) -> None:
        self._filler, self._spec = filler, filler.spec
        self._states: dict[str, SlotState] = {}
        self._again: Counter[int] = Counter()
        self._seen: set[str] = set()
        self._next = FIRST_SLOT
        for state in filler.slots.values():
            self._know(state)

    def _know(self, state: SlotState) -> None:
        for row in state.rows:
            self._states[row["instance_id"]] = state
        if state.rows:
            self._seen.add(row_key(self._spec, state.rows[0]))

    async def add(self, result: StepResult) -> None:
        """Fill the slots of all rounds and add their rows and rejected items to a result."""
        before: list[Target] = []
        for number, one in enumerate(self._spec.rounds, 1):
            before += one.approved
            states, lost = self._opened(one, before)
            if lost:
                result.warnings.append(
                    f"{lost} rows of round {number} of the targets are not written, because the "
                    "rows that they replace are no longer made: the task has changed since. "
                    "Remove the round from the file of targets"
                )
            asked = self._filler.asked - sum(bool(one.rows or one.failures) for one in states)
            await self._fill([one for one in states if not one.rows and not one.failures])
            result.asked += self._filler.asked - asked
            for state in states:
                self._take(state, result)

    def _opened(self, one: Round, before: list[Target]) -> tuple[list[SlotState], int]:
        """Return the slots of a round, and the number of slots whose source is not known."""
        states, lost = [], 0
        for target in one.approved:
            replaced, sources = target.replaced, target.source_ids
            lengths = self._lengths(target, before)
            for index in range(target.count):
                of_source = self._states.get(sources[index])
                of_row = self._states.get(replaced[index]) if replaced else of_source
                if of_source is None or of_row is None:
                    lost += 1
                    continue
                if target.edit is not None:
                    states.append(self._edited(target, of_row, replaced[index]))
                    continue
                sized = [
                    self._sized(target, name, some[index])
                    for name, some in lengths.items()
                    if some[index]
                ]
                states.append(self._slot(target, of_row, of_source, before, sized))
        return states, lost

    def _edited(self, target: Target, source: SlotState, source_id: str) -> SlotState:
        """Return a filled slot with the row of another one, edited by code."""
        spec, (name,) = self._spec, target.avoid.names
        old = next(row for row in source.rows if row["instance_id"] == source_id)
        slot = replace(source.slot, number=self._next)
        self._next += 1
        state = replace(source, slot=slot, target_id=target.target_id, rows=[], failures=[])
        edited = renamed(old, spec.fields, name, source_id)
        problem = first_problem(edited, spec) if edited else f"{name}: code cannot replace it"
        if problem is not None:
            columns = {"slot": slot.number, "intended_label": old["intended_label"]}
            state.failures.append(rejection("off_target", problem, None, None, **columns))
            return state
        row = {
            **old,
            **edited,
            "slot": slot.number,
            "parent_ids": [source_id],
            "depth": old["depth"] + 1,
            "target_id": target.target_id,
            "rationale": None,
            "request_id": None,
        }
        row["instance_id"] = ids.instance_id(
            spec.name, slot.number, row["intended_label"], spec.content(row)
        )
        state.rows = [row]
        if any(edited[one] != old[one] for one in spec.seed_fields if one in edited):
            # The seed has the old name, so rows that replace this one must not be given it.
            state.given = {n: v for n, v in state.given.items() if n in spec.planned}
            state.seed, state.answer = {}, None
            state.sources = replace(state.sources, seed_id=None, seed=None)
        return state

    def _lengths(self, target: Target, before: list[Target]) -> dict[str, list[int]]:
        """Return field -> length in words that each row of a target should have.

        In the fields whose lengths rounds work on, the rows of a label have the lengths of the
        other labels' rows, so that every new row makes lengths tell the label less. The rows of
        one call have one length; the shorter a row was, the shorter is the one in its place. The
        length is 0 if it is not known.
        """
        spec, own = self._spec, target.field if target.least_words or target.most_words else None
        names = {one.field for one in before if one.kind == "length_label" and one.field} - {own}
        if not (target.rewrite_seed or target.context):
            names -= {*spec.seed_fields}
        ids = (target.replaced or target.source_ids)[: target.count]
        known = [self._states.get(one) for one in ids]
        labels = [target.label or (one.slot.label if one else None) for one in known]
        gone = {one for earlier in before for one in earlier.replaced}
        rows = [
            row
            for state in {id(one): one for one in self._states.values()}.values()
            for row in state.rows
            if row["instance_id"] not in gone
        ]
        found = {name: [0] * len(ids) for name in sorted(names)}
        sizes = [
            sum(_length(one.rows[0][name]) for name in names) if one and one.rows else 0
            for one in known
        ]
        per_call = self._filler.params.per_call
        for label in {str(one) for one in labels}:
            places = [at for at, one in enumerate(labels) if str(one) == label]
            places.sort(key=lambda at: sizes[at])
            calls = math.ceil(len(places) / per_call)
            for name, lengths in found.items():
                others = sorted(_length(r[name]) for r in rows if str(r["intended_label"]) != label)
                within = rng("length", target.target_id, label, name).random()
                for n, at in enumerate(places if others else ()):
                    lengths[at] = others[int((n // per_call + within) / calls * len(others))]
        return found

    def _sized(self, target: Target, name: str, length: int) -> Target:
        """Return a target that asks for about this length of a field."""
        least, most = range_around(length, self._spec.fields[name].max_words)
        asked = {"field": name, "least_words": least, "most_words": most}
        return target.model_copy(update={**asked, "avoid": Avoid(), "demand": None})

    def _slot(
        self,
        target: Target,
        of_row: SlotState,
        of_source: SlotState,
        before: list[Target],
        sized: list[Target],
    ) -> SlotState:
        label = of_row.slot.label if target.label is None else target.label
        way = of_row.manner.way
        if label != of_row.slot.label and not isinstance(label, list):
            way = None
        manner = Manner(target.way or way, target.difficulty or of_row.manner.difficulty)
        place = of_source.origin
        self._again[place] += 1
        sources = replace(of_source.sources, again=of_source.sources.again + self._again[place])
        seed, given, answer = of_source.seed, of_source.given, of_source.answer
        if target.rewrite_seed or target.context:
            drawn = {*self._spec.planned, *self._spec.sampled}
            given = {n: v for n, v in given.items() if n in drawn}
            seed, answer = {}, None
            sources = replace(sources, seed_id=None, seed=None)
        if target.context:
            shown = {"text": target.context}
            sources = Sources(None, None, shown, None, sources.again)
        length = sum(_length(row[target.field]) for row in of_row.rows[:1] if target.field)
        found = demands(target, before, label, sized, length)
        state = SlotState(
            replace(of_row.slot, number=self._next, label=label),
            sources,
            given,
            seed,
            answer,
            manner,
            origin=place,
            target_id=target.target_id,
            demands=tuple(found),
            must=tuple(must(found)),
        )
        self._next += 1
        return state

    async def _fill(self, states: list[SlotState]) -> None:
        filler = self._filler
        await filler.ask(list(self._groups(states)), 0)
        for attempt in range(1, min(RETRIES, filler.params.retries) + 1):
            self._drop_duplicates(states)
            await filler.ask(list(self._again_groups(states)), attempt)

    def _again_groups(self, states: Iterable[SlotState]) -> Iterator[list[SlotState]]:
        """Yield the empty slots of each further call: alone if the call before was not readable."""
        empty = [one for one in states if not one.rows]
        read = [one for one in empty if one.failures and one.failures[-1]["reason"] in READ]
        yield from self._groups(read)
        yield from ([one] for one in empty if id(one) not in {id(other) for other in read})

    def _drop_duplicates(self, states: Iterable[SlotState]) -> None:
        """Empty the slots with the text of an earlier slot, so that they are asked for again."""
        seen = set(self._seen)
        for state in (one for one in states if one.rows):
            key = row_key(self._spec, state.rows[0])
            if key in seen:
                self._empty(state)
            seen.add(key)

    def _empty(self, state: SlotState) -> None:
        detail = "an earlier slot has the same text"
        state.failures.append(rejected_row(self._spec, state.rows[0], "duplicate", detail))
        state.rows = []

    def _groups(self, states: Iterable[SlotState]) -> Iterator[list[SlotState]]:
        """Yield the slots of each call: of one target and label, and with equal keys."""
        size = self._filler.params.per_call

        def kind(state: SlotState) -> Any:
            several = isinstance(state.slot.label, list)
            keys = sorted(self._filler.keys_of(state)), sorted(state.given)
            label = None if several else state.slot.label or ""
            return str(state.target_id), label, keys, state.must

        # Stable, so that slots of one target and label stay in order.
        for _, group in groupby(sorted(states, key=lambda s: str(kind(s))), kind):
            listed = list(group)
            yield from (listed[at : at + size] for at in range(0, len(listed), size))

    def _take(self, state: SlotState, result: StepResult) -> None:
        if state.rows and row_key(self._spec, state.rows[0]) in self._seen:
            self._empty(state)
        result.rejected += state.failures
        if state.rows:
            self._know(state)
            result.rows += state.rows
        elif state.failures:
            state.give_up()


def _length(text: Any) -> int:
    return len(words_of(text)) if isinstance(text, str) else 0
