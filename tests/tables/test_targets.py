"""The file of targets: what it stores, and what it says about a mistake."""

import pytest

from targen.errors import SpecError
from targen.tables import targets
from targen.tables.storage import LocalStorage
from targen.targeting import effect, table
from targen.tasks.targets import Avoid, Round, TargetsFile, key_of, text_of, with_id
from tests.support.specs import real_task

SPEC = real_task("rte", 8)
IDS = [f"{number:016x}" for number in range(4)]


def a_target(number=1, **changed):
    content = {
        "kind": "label_word",
        "reason": "“so” points to entailment: often.",
        "count": 3,
        "label": "entailment",
        "field": "hypothesis",
        "avoid": Avoid(words=["so"]),
        "metric": "word_log_odds",
        "slice": "entailment, hypothesis: so",
        "value": 0.8,
        "low": 0.7,
        "high": 0.9,
        "bound": 0.1,
        "rows": " ".join(IDS),
    }
    return with_id("rte", number, {**content, **changed})


def a_file(*proposed, rounds=()):
    return TargetsFile(
        task="rte", proposed=Round(report="r", targets=list(proposed)), rounds=list(rounds)
    )


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(str(tmp_path))


def test_what_is_written_is_read(storage):
    content = a_file(a_target(), rounds=[Round(report="q", failed_gates=1, targets=[a_target(2)])])
    targets.save(storage, content)
    assert targets.load(storage, SPEC) == content
    assert targets.attached(storage, SPEC).rounds == tuple(content.rounds)


def test_a_task_without_a_file_has_no_targets(storage):
    assert targets.load(storage, SPEC) == TargetsFile(task="rte")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("status: approved", "status: aproved", r"status: 'aproved' .*did you mean 'approved'"),
        ("label: entailment", "label: entailmnt", r"label: .*did you mean 'entailment'"),
        ("field: hypothesis", "field: hypotheses", r"field: .*did you mean 'hypothesis'"),
        ("words:", "wrods:", r"avoid\.wrods: unknown key; did you mean 'words'"),
        ("count: 3", "count: 9", r"count: 9 rows are asked for, but only 4 are listed"),
        ("count: 3", "count: -1", r"count: input should be greater than or equal to 0"),
        ("count: 3", "count: many", r"count: input should be a valid integer"),
        ("task: rte", "task: cb", r"task: the file is for the task 'cb', not for 'rte'"),
        ("label: entailment", "way: guess", r"way: the label has no way 'guess'"),
        ("label: entailment", "edit: rename", r"edit: rename needs one name of one or two words"),
        ("label: entailment", "edit: renam", r"edit: 'renam' .*did you mean 'rename'"),
    ],
)
def test_a_mistake_names_file_line_key_and_the_nearest_value(storage, old, new, said):
    targets.save(storage, a_file(a_target()))
    text = storage.read(key_of("rte")).decode()
    line = next(n for n, one in enumerate(text.splitlines(), 1) if old in one)
    storage.write(key_of("rte"), text.replace(old, new, 1).encode())
    with pytest.raises(SpecError, match=rf"targets/rte\.yaml:{line}: .*{said}"):
        targets.load(storage, SPEC)


def test_an_edit_is_kept_and_a_struck_gap_stays_struck():
    first = a_target()
    edited = first.model_copy(update={"count": 1})
    again = table.proposing(a_file(edited), "r", [first])
    assert again.proposed.targets == [edited]
    struck = first.model_copy(update={"status": "struck"})
    begun = table.beginning(a_file(struck, a_target(slice="other")), 0)
    later = table.proposing(begun, "s", [a_target(2, value=0.7)])
    assert [one.status for one in later.proposed.targets] == ["struck"]


def reason(content, after, gates=(), rounds=3):
    known = {one.target_id: after for part in content.rounds for one in part.targets}
    return effect.stop_reason(content, table.frame(content, known), gates, rounds)


def test_when_to_stop():
    nothing = TargetsFile(task="rte")
    assert reason(nothing, None) == "no gap is left"
    struck = a_target().model_copy(update={"status": "struck"})
    assert reason(a_file(struck), None) == "all 1 targets are struck"
    assert reason(a_file(a_target()), None) is None
    begun = a_file(a_target(2), rounds=[Round(report="q", failed_gates=1, targets=[a_target()])])
    assert reason(begun, 0.76) == "round 1 moved no figure by more than its standard error"
    assert reason(begun, 0.5) is None
    assert reason(begun, 0.5, rounds=1) == "1 of 1 rounds are made"
    assert reason(begun, 0.5, gates=[{"passed": True}]) == "all gates pass"
    assert reason(begun, 0.5, gates=[{"passed": True}, {"passed": None}]) is None


def test_a_target_that_code_makes_takes_no_demands_of_a_model():
    one = a_target(avoid=Avoid(names=["Ann Lee"]), edit="rename", most_words=9)
    text = text_of(a_file(one))
    with pytest.raises(SpecError, match="label: it has no effect with `edit: rename`"):
        targets.parse(text, "targets/rte.yaml", SPEC)
    fine = a_target(label=None, avoid=Avoid(names=["Ann Lee"]), edit="rename")
    assert targets.parse(text_of(a_file(fine)), "targets/rte.yaml", SPEC).proposed.targets == [fine]
    with pytest.raises(SpecError, match="in English rows only"):
        targets.parse(
            text_of(a_file(fine)).replace("task: rte", "task: axg"), "x", real_task("axg", 8)
        )


def test_rounds_of_a_task_that_takes_no_targets(storage):
    spec = real_task("rte-contrast", 8)
    content = a_file(rounds=[Round(report="q", targets=[a_target()])])
    content = content.model_copy(update={"task": spec.name, "proposed": None})
    targets.save(storage, content)
    with pytest.raises(SpecError, match=r"yaml:\d+: rounds: .*contrast set.* set `rounds: \[\]`"):
        targets.load(storage, spec)


def test_a_gap_that_no_round_has_worked_on_is_tried():
    other = a_target(2, kind="name", metric="repeated_name", slice="all", label=None)
    begun = a_file(other, rounds=[Round(report="q", targets=[a_target()])])
    assert reason(begun, 0.76) is None
    assert reason(begun, 0.76, rounds=1) == "1 of 1 rounds are made"


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (0.05, "no gap is left"),
        (None, "no gap is left"),
        (0.6, "no gap is left to try; still open: label_word (entailment, hypothesis: so)"),
    ],
)
def test_a_gap_that_stays_open_is_named(after, said):
    begun = TargetsFile(task="rte", rounds=[Round(report="q", targets=[a_target()])])
    assert reason(begun, after) == said
