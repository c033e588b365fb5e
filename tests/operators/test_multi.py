"""Rows with several labels: each label by its own majority, from votes to the corrected set."""

from itertools import count

import pytest

from targen.operators.correction import decide
from targen.tasks.answers import agreement, majority
from tests.operators.test_generation import tables_of
from tests.support.models import ScriptedModel, block_of, judging, seeds_asked
from tests.support.specs import MOOD, real_task, spec_of


@pytest.mark.parametrize(
    ("votes", "settled"),
    [
        ([["a", "b"], ["a"], ["b", "c"]], ["a", "b"]),
        ([["a"], ["b"], ["c"]], []),
        ([["a"], ["a"], None], ["a"]),
        ([["a"], ["b"]], None),
        ([["a", "b"], ["a", "b"]], ["a", "b"]),
        ([[], [], ["a"]], []),
        ([["a"]], ["a"]),
        ([None, None], None),
    ],
)
def test_each_label_goes_by_its_own_majority(votes, settled):
    assert majority("multi", votes) == settled


def test_agreement_is_the_mean_over_labels():
    """a: 3 of 3 agree; b: 2 of 3 name it, as the winner does; c: 2 of 3 do not, as the winner."""
    votes = [["a", "b"], ["a", "b"], ["a", "c"]]
    assert majority("multi", votes) == ["a", "b"]
    assert agreement("multi", votes, ["a", "b"]) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert agreement("multi", [[], []], []) == 1
    assert agreement("multi", [], None) is None


@pytest.mark.parametrize(
    ("policy", "intended", "annotated", "corrected", "final"),
    [
        ("majority", ["a", "b"], ["a"], ["a", "c"], ["a"]),
        ("majority", ["a"], None, ["a"], ["a"]),
        ("majority", ["a"], None, ["b"], None),
        ("majority", ["a"], None, None, None),
        ("relabel", ["a"], ["a"], ["b"], ["b"]),
        ("drop", ["a"], ["a"], ["a", "b"], None),
        ("drop", ["a", "b"], ["b", "a"], ["a", "b"], ["a", "b"]),
        ("keep", ["a"], ["b"], ["b"], ["a"]),
    ],
)
def test_policies(policy, intended, annotated, corrected, final):
    assert decide(policy, "multi", [intended], [annotated], [corrected]) == final


SEVERAL = MOOD.replace("kind: class", "kind: multi").replace(
    "contexts:\n  what", "    calm: {constraint: c, definition: d}\ncontexts:\n  what"
)


async def test_a_task_of_several_labels_under_targen(tmp_path):
    """The annotator misses `calm`; the corrector does not: two of three name it."""

    def answer(request):
        block = block_of(request)
        if "slots" in block:
            return {
                "items": [
                    {"slot": s["slot"], "note": f"{'+'.join(s['labels'])} at {s['seed']['event']}"}
                    for s in block["slots"]
                ]
            }
        if "items" in block:
            asked = seeds_asked(block)
            return {"items": [{"item": n, "event": f"{text} {place}"} for n, text, place in asked]}
        if "wanted" in block:
            return {"items": [{"text": f"p{n}"} for n in range(block["wanted"]["count"])]}
        missed = "calm" if request.schema_name == "label" else None

        def named(row):
            return [n for n in row["note"].split(" at ")[0].split("+") if n not in ("", missed)]

        return judging(request, named)

    made = await tables_of(spec_of(tmp_path, SEVERAL), ScriptedModel(answer))
    table = made["corrected_set"].table
    assert len(table) == 8
    assert table["label"].to_list() == table["intended_label"].to_list()
    assert table["annotated_label"].to_list() != table["intended_label"].to_list()
    assert {tuple(label) for label in table["label"]} == {
        (), ("calm",), ("glad",), ("sad",), ("calm", "glad"), ("calm", "sad"), ("glad", "sad"),
        ("calm", "glad", "sad"),
    }  # fmt: skip


async def test_annotators_of_several_labels_are_asked_for_a_list():
    async def stop(request):
        raise AssertionError

    spec = real_task("stories-annotated", rows=4)
    seen, numbers = [], count()

    def answer(request):
        block = block_of(request)
        if "rows" in block:
            seen.append(request)
            return judging(request, lambda row: ["twist", "dialogue", "twist"])
        return {"items": [{"slot": 1, "story": f"Story {next(numbers)}"}]}

    made = await tables_of(spec, ScriptedModel(answer))
    assert all("list may be empty" in r.messages[0]["content"] for r in seen)
    item = seen[0].schema["properties"]["items"]["items"]["properties"]
    assert item["label"]["type"] == "array"
    # Two equal votes of three decide.
    assert made["labels"].table["votes"].to_list()[0] == [["dialogue", "twist"]] * 2
    assert made["corrected_set"].table["label"].to_list() == [["dialogue", "twist"]] * 4
