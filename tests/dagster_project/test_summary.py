"""The table at the end of a run."""

from pathlib import Path

from dagster_project import summary
from targen import steps
from targen.tables.files import Stored, Tables
from targen.tables.storage import open_storage


def test_a_line_adds_up_what_a_run_did(tmp_path: Path) -> None:
    rows = [
        {"instance_id": "1", "label": "yes", "verdict": "kept"},
        {"instance_id": "2", "label": "no", "verdict": "relabelled"},
        {"instance_id": "3", "label": "yes", "verdict": "kept"},
    ]
    store = Tables(open_storage(str(tmp_path)))
    store.write("corrected_set", "t", Stored(steps.frame(rows, steps.schema("corrected_set", {}))))
    one = {"calls": 2, "prompt_tokens": 10, "completion_tokens": 5, "cost_usd": 0.25}
    last = {**one, "rejected_by_reason": {"dropped": 4, "surplus": 9}}
    made = {"contexts": one, "corrected_set": last, "quality_report": {}}
    assert summary.row("t", made, store, 1.25) == {
        "task": "t",
        "rows": "3",
        "labels": "no:1 yes:2",
        "flipped": "1",
        "dropped": "4",
        "calls": "4",
        "tokens": "30",
        "cost": "$0.5000",
        "seconds": "1.2",
    }


def test_cached_tokens_are_shown_beside_the_tokens_that_they_are_part_of() -> None:
    assert summary._cached([{"cached_tokens": 40}, {}, {"cached_tokens": 2}]) == " (42 cached)"
    assert summary._cached([{"cached_tokens": 0}, {}]) == ""


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    assert summary.cost([0.5, "unknown"]) == "unknown"
    assert summary.cost([]) == "$0.0000"


def test_uncounted_tokens_make_the_sum_unknown() -> None:
    assert summary.total([3, "unknown"]) == "unknown"
    assert summary.total([3, 4]) == "7"


def test_many_labels_are_counted() -> None:
    assert summary.balance([str(i) for i in range(20)]) == "20 different"
    assert summary.balance([None, None]) == "-"


def test_columns_line_up() -> None:
    short = dict.fromkeys(summary.COLUMNS, "1")
    long = {**short, "task": "a-long-name", "calls": "123456"}
    head, first, second = summary.aligned([short, long]).splitlines()
    end = head.index("calls") + len("calls")
    assert first[end - 1] == "1" and second[end - 6 : end] == "123456"
