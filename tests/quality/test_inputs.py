"""The part of a report's inputs that is read from the task, and its digest."""

from dataclasses import replace

import pytest

from targen.quality.inputs import report_digest, task_inputs
from tests.support.specs import real_task


@pytest.mark.parametrize(
    ("task", "blind"), [("rte", True), ("rte-targen-paper", False), ("rte-zerogen", True)]
)
def test_a_corrector_that_is_shown_the_label_is_told(task: str, blind: bool) -> None:
    assert task_inputs(real_task(task))["corrector_blind"] is blind


@pytest.mark.parametrize(
    ("task", "fields"),
    [("copa", ("choice1", "choice2")), ("piqa", ("options",)), ("rte", ())],
)
def test_the_fields_with_the_alternatives(task: str, fields: tuple[str, ...]) -> None:
    assert task_inputs(real_task(task))["options"] == fields


def test_the_digest_knows_both() -> None:
    copa, rte, paper = (real_task(name) for name in ("copa", "rte", "rte-targen-paper"))
    bare = copa.model_copy(update={"answer": copa.answer.model_copy(update={"options": []})})
    assert report_digest(bare) != report_digest(copa)
    shown = rte.model_copy()
    shown.attach(replace(rte._attached, recipe=paper.recipe))
    assert report_digest(shown) != report_digest(rte)


def test_a_changed_gate_asks_for_the_report_again() -> None:
    rte = real_task("rte")
    milder = rte.model_copy(update={"gates": rte.gates[:1]})
    assert report_digest(milder) != report_digest(rte)
