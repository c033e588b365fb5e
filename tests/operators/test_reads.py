"""Every operator reads only those parts of a task that the digest of its step covers.

If a part outside the digest changes, the sensor does not see that the partition is stale.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

import simulator
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.operators import run_step, step_digest
from targen.operators.base import StepInput
from targen.steps import CONTEXTS, INSTANCES, LABELS, READ_BY_ALL, REGISTRY, SEEDS, UPSTREAM
from targen.tasks.registry import operators, resolve
from targen.tasks.spec import TaskSpec
from tests.support.recorded_reads import Read, recording, recording_task
from tests.support.specs import MOOD, real_task, spec_of

TASKS = (
    "axg",  # pairs
    "boolq-documents",
    "creak-checked",
    "inbox",
    "instructions",  # no answer
    "record",  # a span
    "review_stars",  # an order
    "ticket_entities",  # entities
    "rte",
    "rte-attrprompt",
    "rte-contrast",
    "rte-data-creator",
    "rte-panel",
    "rte-targen-paper",
    "sentiment",
    "sentiment-supergen",
    "sentiment-zerogen",
    "stories",  # several labels
    "stories-annotated",
    "stories-hierarchical",
    "textbook-python",
    "ticket_urgency-self-instruct",
)
"""One task for each recipe and for each kind of answer."""

LISTED = MOOD + (
    "  vocabularies: {operator: llm_list}\nvocabularies:\n  place: {what: places, count: 3}\n"
)
"""A task for the operator that no recipe uses."""

WHOLE = {"planned_labels", "requirement_words", "label_constraints", "label_definitions"}
"""Properties that return all that they read. Other properties compute a number or a choice."""

IDENTITY = "name"
"""A task with another name is another partition."""

COVERED_UPSTREAM = {
    (SEEDS, "expand"): {"answer.kind", "answer.at_least", "answer.at_most", "per_call", "per_slot"},
    (SEEDS, "llm_per_context"): {"per_slot"},
    (INSTANCES, "label_constrained"): {"per_slot"},
    (INSTANCES, "contrast"): {"per_slot"},
    (INSTANCES, "select_by_logprob"): {"per_slot"},
    (INSTANCES, "compose"): {"per_slot"},
}
"""What an operator reads that only the digest of `contexts` covers. If it changes, `contexts` is
stale, and with it this step. `per_slot` says which operator made the contexts."""


def covered(step: str, spec: TaskSpec) -> set[str]:
    """Return the paths that the digest of a step covers; `key.*` covers everything below a key."""
    operator, _ = resolve(spec.recipe.choice(step), step)
    with recording() as reads:
        step_digest(step, spec)
    declared = (IDENTITY, *READ_BY_ALL, *REGISTRY[step].reads, *operator.reads)
    found = {*declared, *(f"{key}.*" for key in declared)}
    for read in reads:
        found |= {read.path} | (leaves(read) if read.path in WHOLE else set())
    return found


def leaves(read: Read) -> set[str]:
    return {read.path} if not read.through else set().union(*map(leaves, read.through))


def outside(reads: Iterable[Read], known: set[str]) -> set[str]:
    """Return the paths that are not known. A property counts as what it reads itself."""
    found = set()
    for read in reads:
        if known.isdisjoint({read.path, read.path.split(".")[0] + ".*"}):
            found |= outside(read.through, known) if read.through else {read.path}
    return found


async def gaps(spec: TaskSpec, folder: Path) -> dict[tuple[str, str], set[str]]:
    """Run all steps of a task; return (step, operator) -> what it read outside its digest."""
    recorded, tables, found = recording_task(spec), {}, {}
    for step in UPSTREAM:
        operator, params = resolve(spec.recipe.choice(step), step)
        settings = EngineSettings(
            simulator=simulator.application,
            store_url=f"sqlite:///{folder}/completions.db",
            run_id="run",
            task=spec.name,
            step=step,
        )
        async with Engine(settings) as engine:
            with recording() as reads:
                await operator.run(StepInput(recorded, tables, engine), params)
            tables[step] = (await run_step(step, spec, tables, engine)).table
        found[step, operator.name] = outside(reads, covered(step, recorded))
    return found


def check(found: dict[tuple[str, str], set[str]]) -> None:
    for (step, operator), paths in found.items():
        left = sorted(paths - COVERED_UPSTREAM.get((step, operator), set()))
        assert not left, (
            f"operator {operator} of {step} reads {', '.join(left)}, which its step's digest does "
            f"not cover: add it to `reads` of the step or of the operator"
        )


@pytest.mark.parametrize("task", TASKS)
async def test_what_an_operator_reads_is_in_its_step_s_digest(task: str, tmp_path: Path) -> None:
    check(await gaps(real_task(task, 6), tmp_path))


async def test_the_same_holds_for_a_list_of_terms(tmp_path: Path) -> None:
    check(await gaps(spec_of(tmp_path / "tasks", LISTED), tmp_path))


def test_every_operator_is_run(tmp_path: Path) -> None:
    specs = [*(real_task(task, 6) for task in TASKS), spec_of(tmp_path / "tasks", LISTED)]
    run = {(step, spec.recipe.choice(step).operator) for spec in specs for step in UPSTREAM}
    assert run == {(step, name) for step in UPSTREAM for name in operators(step)}


def test_the_digest_of_contexts_covers_what_is_left_to_it() -> None:
    recorded = recording_task(real_task("stories-hierarchical", 6))
    left = set().union(*COVERED_UPSTREAM.values()) - {"per_slot"}
    assert left <= covered(CONTEXTS, recorded)


@pytest.mark.parametrize("task", ["rte", "axg", "stories-hierarchical"])
def test_a_recording_task_has_the_digests_of_the_task(task: str) -> None:
    spec = real_task(task, 6)
    recorded = recording_task(spec)
    assert [step_digest(s, spec) for s in UPSTREAM] == [step_digest(s, recorded) for s in UPSTREAM]


@pytest.mark.parametrize(
    ("step", "read", "paths"),
    [
        (LABELS, lambda spec: spec.headroom, {"headroom"}),
        (LABELS, lambda spec: spec.labels["glad"].constraint, {"answer.labels.constraint"}),
        (LABELS, lambda spec: spec.label_definitions, set()),
        (LABELS, lambda spec: spec.fields["note"].max_words, set()),
        (CONTEXTS, lambda spec: list(spec.labels), {"answer.labels"}),
        (CONTEXTS, lambda spec: spec.contexts.what, set()),
        # A property that counts: the digest of instances has the count, that of labels nothing.
        (INSTANCES, lambda spec: spec.slots_wanted, set()),
        (LABELS, lambda spec: spec.slots_wanted, {"rows", "headroom", "twin", "contrast"}),
        (INSTANCES, lambda spec: spec.headroom, {"headroom"}),
    ],
)
def test_a_read_outside_the_digest_is_found(step, read, paths, tmp_path) -> None:
    recorded = recording_task(spec_of(tmp_path, MOOD))
    with recording() as reads:
        read(recorded)
    assert reads
    assert outside(reads, covered(step, recorded)) == paths


def test_the_failure_names_operator_and_attribute() -> None:
    with pytest.raises(AssertionError, match="operator annotate of labels reads headroom"):
        check({(LABELS, "annotate"): {"headroom"}})
