"""Runs all guards on the texts of one row."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from targen.tasks.answers import LISTS
from targen.tasks.guards import echo, language, loop, meta, refusal, unfinished
from targen.tasks.guards.written import Written
from targen.tasks.sections import ENGLISH, OFF, Guards
from targen.tasks.spec import TaskSpec

Reason = Literal["echo", "meta", "loop", "refusal", "language", "unfinished", "guard"]

REASONS: Final[frozenset[str]] = frozenset(get_args(Reason))
"""The rejection reasons of guards: their names, and `guard` for those of plug-ins."""
REPEATED_WORDS: Final = 4
"""Least number of words of a text that no other field of the row may repeat."""


@dataclass(frozen=True)
class Fault:
    """Why a text is not content.

    Attributes:
        reason: a rejection reason: the name of the guard, or `guard` for one of a plug-in.
        detail: the field, and what is wrong with it.
    """

    reason: Reason
    detail: str


def fault(
    values: Mapping[str, Any],
    spec: TaskSpec,
    instructions: Iterable[str] = (),
    examples: Iterable[Mapping[str, Any]] = (),
    labels: Iterable[str] = (),
) -> Fault | None:
    """Return what is wrong with the content of a row, None if nothing is.

    The guards run in the order refusal, meta, echo, loop, language, unfinished, then those of
    plug-ins. The task's section `guards` sets their thresholds and switches them off.

    Args:
        values: field -> what the model wrote. Fields that are not the task's are texts.
        spec: the task. Its title, its description and those of its fields are part of every prompt.
        instructions: further texts of the prompt: its instructions, constraints, descriptions.
        examples: the fields of each row that the prompt shows, or that must not come back.
        labels: the names of the labels that a text must not mention as labels.
    """
    guards = spec.guards
    texts = {name: list(_texts(name, value, spec)) for name, value in values.items()}
    texts = {name: found for name, found in texts.items() if found}
    fields, known = tuple(spec.fields), tuple(labels)
    asked = (spec.description, *(f.description for f in spec.fields.values()), *instructions)
    prepared = None
    if guards.echo_words != OFF or guards.echo_similarity != OFF:
        prepared = echo.instructions(
            asked, (spec.title,), _number(guards.echo_words), _number(guards.echo_similarity)
        )
    code = code_fields(spec)
    for name, found in texts.items():
        for written in found:
            fault_ = _of_text(written, guards, prepared, fields, known, name in code, spec.language)
            if fault_ is not None:
                return fault_
    if guards.language != OFF:
        for name, found in texts.items():
            if name not in code:
                problem = language.foreign(found, spec.language)
                if problem:
                    return Fault("language", f"{name}: {problem}")
    if guards.echo_words != OFF:
        problem = _repeated(texts, code)
        if problem:
            return Fault("echo", problem)
    shown = tuple(examples)
    if shown and guards.echo_similarity != OFF:
        problem = _examples(shown, guards).repeated_by(
            {name: [word for one in found for word in one.words] for name, found in texts.items()}
        )
        if problem:
            return Fault("echo", f"the row {problem}")
    return _of_plugins(texts, spec)


def _of_plugins(texts: Mapping[str, Iterable[Written]], spec: TaskSpec) -> Fault | None:
    """Return the first fault that a guard of a plug-in finds."""
    for guard in spec.plugin_guards:
        for name, found in texts.items():
            for written in found:
                problem = guard.check(written)
                if problem:
                    return Fault("guard", f"{guard.name}: {name}: {problem}")
    return None


def _repeated(texts: Mapping[str, Iterable[Written]], code: Container[str]) -> str | None:
    """Return which field has the same words as another; None if all differ.

    Short texts may be equal: names, answers and terms.
    """
    seen: dict[tuple[str, ...], str] = {}
    for name, found in texts.items():
        for written in found:
            words = tuple(written.words)
            if not written.whole or name in code or len(words) < REPEATED_WORDS:
                continue
            if words in seen:
                return f"{name}: repeats {seen[words]}"
            seen[words] = name
    return None


def _of_text(
    written: Written,
    guards: Guards,
    prepared: echo.Instructions | None,
    fields: tuple[str, ...],
    labels: tuple[str, ...],
    code: bool,
    language_: str,
) -> Fault | None:
    """Return the fault of one text by the guards that need no other text of the row."""
    problem = None
    reason: Reason = "refusal"
    if guards.refusal != OFF:
        problem = refusal.refused(written)
    if problem is None and guards.meta != OFF:
        reason, problem = "meta", meta.about_task(written, fields, labels, code)
    if problem is None and prepared is not None:
        reason, problem = "echo", prepared.repeated_by(written)
    if problem is None and not code:
        limit = _number(guards.loop)
        if limit is not None:
            reason, problem = "loop", loop.looped(written, limit)
        if problem is None and guards.unfinished != OFF:
            reason, problem = "unfinished", unfinished.cut_off(written, language_ == ENGLISH)
    return Fault(reason, f"{written.name}: {problem}") if problem else None


def _texts(name: str, value: Any, spec: TaskSpec) -> Iterator[Written]:
    """Yield the texts of a field; values that the task lists are not texts."""
    field = spec.fields.get(name)
    if field is not None and (field.values or field.derived or field.type not in ("text", "texts")):
        return
    description = field.description if field is not None else ""
    room = (field.max_words or 0) if field is not None else 0
    if isinstance(value, str) and value.strip():
        yield Written(name, value, True, description, room)
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, str) and one.strip():
                yield Written(name, one, False, description)


def code_fields(spec: TaskSpec) -> frozenset[str]:
    """Return the names of the fields with program code, by the task's validators."""
    return frozenset(
        roles["code"] for entry in spec.validators for roles in entry.values() if "code" in roles
    )


def _number(setting: float | Literal["off"]) -> Any:
    return None if setting == OFF else setting


_EXAMPLES_AT_MOST: Final = 64
_prepared_examples: dict[tuple[Any, ...], tuple[tuple[Mapping[str, Any], ...], echo.Examples]] = {}
"""(threshold, ids of the rows) -> the rows, so that their ids stay theirs, and what is prepared."""


def _examples(shown: tuple[Mapping[str, Any], ...], guards: Guards) -> echo.Examples:
    key = (guards.echo_similarity, *map(id, shown))
    found = _prepared_examples.get(key)
    if found is None:
        if len(_prepared_examples) >= _EXAMPLES_AT_MOST:
            _prepared_examples.clear()
        found = (shown, echo.Examples(shown, _number(guards.echo_similarity)))
        _prepared_examples[key] = found
    return found[1]


def label_texts(spec: TaskSpec) -> list[str]:
    """Return everything that a writer sees of the task's answer, for `instructions` of `fault`."""
    answer = spec.answer
    texts = [answer.constraint, *answer.ways]
    for label in answer.labels.values():
        texts += [label.constraint, *label.ways]
        if answer.kind in LISTS:
            texts.append(label.absent)
    return [text for text in texts if text]
