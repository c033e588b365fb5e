"""Reads and writes the file of targets of a task."""

from collections.abc import Iterator
from pathlib import Path

from targen.errors import SpecError
from targen.steps import INSTANCES
from targen.tables.storage import Storage
from targen.tasks.spec import TaskSpec
from targen.tasks.targets import (
    Round,
    Target,
    TargetsFile,
    key_of,
    reason_not_refinable,
    text_of,
)
from targen.tasks.yamlfile import Loc, YamlFile, nearest, validate


def load(storage: Storage, spec: TaskSpec) -> TargetsFile:
    """Return the file of targets of a task; an empty one if it has none.

    Raises:
        SpecError: the file is wrong; one line per problem.
        TableError: the file cannot be read.
    """
    key = key_of(spec.name)
    content = storage.read(key)
    text = None if content is None else content.decode("utf-8", "replace")
    return parse(text, storage.address(key), spec)


def save(storage: Storage, content: TargetsFile) -> None:
    """Write the file of targets of a task.

    Raises:
        TableError: the file cannot be written.
    """
    storage.write(key_of(content.task), text_of(content).encode())


def attached(storage: Storage, spec: TaskSpec) -> TaskSpec:
    """Return the task with the rounds of its file of targets.

    Raises:
        SpecError: the file is wrong; one line per problem.
        TableError: the file cannot be read.
    """
    return spec.with_rounds(load(storage, spec).rounds)


def parse(text: str | None, address: str, spec: TaskSpec) -> TargetsFile:
    """Return the content of a file; an empty one if `text` is None.

    Raises:
        SpecError: the problems, each with file, line, key and the nearest valid value.
    """
    if text is None:
        return TargetsFile(task=spec.name)
    file = YamlFile(Path(address), text)
    found = validate(TargetsFile, file.data, file)
    problems = [f"{file.where(loc)}: {problem}" for loc, problem in _problems(found, spec)]
    if problems:
        raise SpecError("\n".join(problems))
    return found


def _problems(found: TargetsFile, spec: TaskSpec) -> Iterator[tuple[Loc, str]]:
    """Yield location and sentence of everything in the file that does not fit the task."""
    if found.task != spec.name:
        yield ("task",), f"the file is for the task '{found.task}', not for '{spec.name}'"
    reason = reason_not_refinable(spec.recipe.choice(INSTANCES).operator)
    if reason is not None and any(one.approved for one in found.rounds):
        yield ("rounds",), f"{reason}. Otherwise, set `rounds: []`"
    rounds: list[tuple[Loc, Round]] = [(("rounds", i), one) for i, one in enumerate(found.rounds)]
    if found.proposed is not None:
        rounds.append((("proposed",), found.proposed))
    seen: set[str] = set()
    for loc, one in rounds:
        for index, target in enumerate(one.targets):
            at = (*loc, "targets", index)
            if target.target_id in seen:
                yield (*at, "target_id"), f"{target.target_id} occurs twice"
            seen.add(target.target_id)
            yield from _of_target(target, at, spec)


NO_EDIT = ("label", "way", "difficulty", "context", "least_words", "most_words")


def _of_target(target: Target, at: Loc, spec: TaskSpec) -> Iterator[tuple[Loc, str]]:
    ids = target.source_ids
    if target.count > len(ids):
        yield (*at, "count"), f"{target.count} rows are asked for, but only {len(ids)} are listed"
    if target.label is not None and target.label not in spec.labels:
        hint = nearest(target.label, spec.labels)
        yield (*at, "label"), f"the task has no label '{target.label}'; {hint}"
    if target.way is not None:
        label = spec.labels.get(target.label or "")
        ways = label.ways if label is not None else spec.answer.ways
        if target.way not in ways:
            yield (*at, "way"), f"the label has no way '{target.way}'; {nearest(target.way, ways)}"
    if target.field is not None and target.field not in spec.fields:
        hint = nearest(target.field, spec.fields)
        yield (*at, "field"), f"the task has no field '{target.field}'; {hint}"
    if target.edit is not None:
        yield from _of_edit(target, at, spec)
    least, most = target.least_words, target.most_words
    if least is not None and most is not None and least > most:
        yield (*at, "least_words"), f"{least} is more than most_words, {most}"


def _of_edit(target: Target, at: Loc, spec: TaskSpec) -> Iterator[tuple[Loc, str]]:
    if not spec.renames:
        yield (*at, "edit"), "names are replaced by code in English rows only, not in pairs or sets"
    if len(target.avoid.names) != 1 or not 1 <= len(target.avoid.names[0].split()) <= 2:
        yield (*at, "edit"), "rename needs one name of one or two words in `avoid.names`"
    set_ = (n for n in NO_EDIT if getattr(target, n) != Target.model_fields[n].default)
    for name in set_:
        yield (*at, name), "it has no effect with `edit: rename`; remove one of the two"
