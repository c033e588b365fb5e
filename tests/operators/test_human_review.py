"""What a human review does to the labels of the corrected set."""

import polars as pl
import pytest

from targen.lineage.ids import reviewed_content
from targen.operators import human_review, step_digest
from targen.tables import reviews
from tests.support.specs import MOOD, spec_of


def verdict(row, seen, *, right=False, label=None, comment=None, reviewer="Ada"):
    return {
        "instance_id": row["instance_id"],
        "content": reviewed_content({"note": row["note"]}, seen),
        "right": right,
        "label": label,
        "comment": comment,
        "seen_label": seen if isinstance(seen, str) else ";".join(seen),
        "reviewer": reviewer,
        "reviewed_at": "2026-11-27T10:00:00Z",
    }


def row(name="a"):
    return {"instance_id": name, "note": f"note {name}"}


def settled(spec, unit, label, *verdicts):
    frame = pl.DataFrame(list(verdicts), schema=dict(reviews.COLUMNS))
    made = human_review.Reviews(spec, frame)
    labels, why = made.settle(unit, [label] * len(unit))
    return ("" if why else labels[0], why), made.warnings()


@pytest.fixture
def spec(tmp_path):
    return spec_of(tmp_path / "tasks")


def test_a_verdict_keeps_replaces_or_drops(spec):
    one = row()
    assert settled(spec, [one], "glad", verdict(one, "glad", right=True)) == (("glad", ""), [])
    assert one["label_before_review"] == "glad" and one["human_reviewer"] == "Ada"
    one = row()
    assert settled(spec, [one], "glad", verdict(one, "glad", label="sad"))[0] == ("sad", "")
    assert one["label_before_review"] == "glad"
    said = verdict(one, "glad", comment="it is neither")
    (label, why), _ = settled(spec, [row()], "glad", said)
    assert (label, why) == ("", "Ada found the label wrong: it is neither")


def test_a_verdict_on_another_label_or_text_lapses_and_is_reported(spec):
    one = row()
    (label, why), warned = settled(spec, [one], "sad", verdict(one, "glad"))
    assert (label, why) == ("sad", "") and "human_reviewer" not in one
    assert warned == ["1 human verdicts do not apply: their rows have changed or are gone"]
    other = {**row(), "note": "another"}
    assert settled(spec, [other], "glad", verdict(row(), "glad"))[0] == ("glad", "")


def test_a_label_that_the_task_no_longer_has_drops_the_row(spec):
    (label, why), _ = settled(spec, [row()], "glad", verdict(row(), "glad", label="mad"))
    assert label == "" and "'mad', which the task no longer has" in why


@pytest.mark.parametrize(
    ("second", "label"),
    [
        ({"right": True}, ""), ({"label": "sad"}, "sad"), ({}, ""), (None, "sad"),
    ],
)  # fmt: skip
def test_the_rows_of_a_pair_share_their_label(spec, second, label):
    first, twin = row("a"), row("b")
    said = [verdict(first, "glad", label="sad")]
    said += [] if second is None else [verdict(twin, "glad", **second)]
    assert settled(spec, [first, twin], "glad", *said)[0][0] == label
    assert twin["label_before_review"] == "glad"


def test_sets_of_labels(tmp_path):
    spec = spec_of(tmp_path, MOOD.replace("kind: class", "kind: multi"))
    one = row()
    said = verdict(one, ["glad", "sad"], label="sad")
    assert settled(spec, [one], ["glad", "sad"], said)[0] == (["sad"], "")
    assert one["label_before_review"] == ["glad", "sad"]


def test_only_the_corrected_set_reads_verdicts(spec):
    for step in ("instances", "labels"):
        assert step_digest(step, spec, "x") == step_digest(step, spec)
    with_them = {step_digest("corrected_set", spec, one) for one in (None, "x", "y")}
    assert len(with_them) == 3


def test_a_contrast_set_is_kept_as_a_whole():
    unit = [row("a"), row("b")]
    keep = verdict(unit[0], "glad", right=True)
    change = verdict(unit[1], "sad", label="glad")
    verdicts = [keep, None]
    known = human_review.outcomes("class", verdicts, ["glad", "sad"], contrast=True)
    assert known == ["glad", "sad"]
    assert human_review.outcomes("class", [keep, change], ["glad", "sad"], contrast=True) is None
