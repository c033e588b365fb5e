"""Labels and correction: votes, policies, and which rows are kept."""

from collections import Counter

import pytest

from targen.errors import SpecError, StepError
from targen.llm.types import Outcome
from targen.operators.correction import decide
from tests.operators.test_generation import mood_model, tables_of
from tests.support.models import ScriptedModel, block_of, failing, judging
from tests.support.specs import MOOD, spec_of

PAPER = MOOD.replace("rows: 8", "rows: 8\nrecipe: targen-paper")


@pytest.mark.parametrize(
    ("policy", "intended", "annotated", "corrected", "final"),
    [
        ("majority", "a", "a", "b", "a"),
        ("majority", "a", "b", "b", "b"),
        ("majority", "a", "b", "c", None),
        ("majority", "a", None, "a", "a"),
        ("majority", "a", None, "b", None),
        ("majority", "a", None, None, None),
        ("relabel", "a", "a", "b", "b"),
        ("relabel", "a", "a", None, None),
        ("drop", "a", "a", "b", None),
        ("drop", "a", "a", "a", "a"),
        ("keep", "a", "b", "b", "a"),
    ],
)
def test_policies(policy, intended, annotated, corrected, final):
    assert decide(policy, "class", [intended], [annotated], [corrected]) == final


def test_a_pair_is_settled_by_all_its_votes_and_a_tie_drops_it():
    assert decide("majority", "class", ["a", "a"], ["b", "b"], ["b", "b"]) == "b"
    assert decide("majority", "class", ["a", "a"], ["a", "b"], ["b", "b"]) is None
    assert decide("majority", "class", ["a", "a"], ["a", "b"], ["a", "b"]) == "a"


@pytest.mark.parametrize(
    ("policy", "votes", "final"),
    [
        ("majority", ("a", "b", "d"), "b"),
        ("majority", ("a", "d", "d"), "d"),
        ("majority", ("a", "c", None), None),
        ("majority", ("b", None, None), None),
        ("drop", ("a", "b", "c"), None),
        ("relabel", ("a", "b", "d"), "d"),
    ],
)
def test_the_median_of_ordinal_labels_decides_where_they_all_differ(policy, votes, final):
    assert decide(policy, "ordinal", *([vote] for vote in votes), order="abcd") == final


def labelling(annotate, correct, base=None):
    """Answer as `mood_model`, but annotate and correct by functions of the row."""
    base = base or mood_model()

    def answer(request):
        reader = {"correction": correct, "label": annotate}.get(request.schema_name)
        if reader is None:
            return base.answer(request)
        (row,) = block_of(request)["rows"]
        said = reader(request, row)
        return said if isinstance(said, Outcome) else judging(request, lambda row: said)

    return ScriptedModel(answer)


def truth(row):
    return row["note"].split(" at ")[0]


async def test_two_voices_against_one_relabel_a_row(tmp_path):
    def said(request, row):
        return "sad" if "place 0 event 1" in row["note"] else truth(row)

    made = await tables_of(spec_of(tmp_path), labelling(said, said))
    table = made["corrected_set"].table
    flipped = table.filter(table["verdict"] == "relabelled")
    assert set(flipped["label"]) <= {"sad"}
    for row in flipped.iter_rows(named=True):
        assert (row["intended_label"], row["annotated_label"], row["corrected_label"]) == (
            "glad",
            "sad",
            "sad",
        )
        assert row["reason"] == "because"
    assert table["request_ids"].list.len().min() == 3


async def test_annotators_never_see_what_was_intended(tmp_path):
    model = mood_model()
    await tables_of(spec_of(tmp_path), model)
    for request in model.history:
        block = block_of(request)
        if "rows" in block:
            assert set(block) == {"task", "labels", "rows"}
            assert [set(row) for row in block["rows"]] == [{"row", "note"}]


async def test_the_corrector_of_the_paper_sees_label_and_reasons(tmp_path):
    text = PAPER + "  correction: {planted: 0}\n"
    seen = []

    def answer(request):
        block = block_of(request)
        if "slots" in block:
            value = mood_model().answer(request)
            return {"items": [{**item, "rationale": "it says so"} for item in value["items"]]}
        if "proposed" in block.get("rows", [{}])[0]:
            seen.append(block["rows"][0]["proposed"])
        return mood_model().answer(request)

    made = await tables_of(spec_of(tmp_path, text), ScriptedModel(answer))
    assert {p["rationale"] for p in seen} == {"it says so"}
    assert made["labels"].table["votes"].list.len().max() == 0
    assert made["corrected_set"].table["annotated_label"].null_count() == 8


def paper_model(seen):
    def answer(request):
        block = block_of(request)
        if "slots" in block:
            value = mood_model().answer(request)
            return {"items": [{**item, "rationale": "it says so"} for item in value["items"]]}
        if "rows" in block:
            (row,) = block["rows"]
            seen.append((truth(row), row["proposed"]))
            # It believes whatever it is shown about place 0, and sees through the rest.
            label = row["proposed"]["label"] if "place 0" in row["note"] else None
            return judging(request, lambda row: label or truth(row))
        return mood_model().answer(request)

    return ScriptedModel(answer)


async def test_planted_errors_are_shown_and_change_no_row(tmp_path):
    seen, none = [], []
    all_wrong = PAPER + "  correction: {planted: 1.0}\n"
    made = (await tables_of(spec_of(tmp_path, all_wrong), paper_model(seen)))["corrected_set"]
    plain = PAPER + "  correction: {planted: 0}\n"
    bare = (await tables_of(spec_of(tmp_path, plain), paper_model(none)))["corrected_set"]
    assert made.table.equals(bare.table) and made.rejected.equals(bare.rejected)
    assert bare.planted is None and made.planted.height == len(none) == len(seen) / 2
    wrong = [proposed for right, proposed in seen if proposed["label"] != right]
    assert len(wrong) == made.planted.height
    assert all("rationale" not in proposed for proposed in wrong)
    noticed = made.planted["planted_label"] != made.planted["corrected_label"]
    assert 0 < noticed.sum() < made.planted.height
    used = set(made.table["request_ids"].explode())
    assert used.isdisjoint(made.planted["request_id"])


async def test_a_share_is_planted_by_content(tmp_path):
    first = (await tables_of(spec_of(tmp_path, PAPER, 40), paper_model([])))["corrected_set"]
    more = (await tables_of(spec_of(tmp_path, PAPER, 60), paper_model([])))["corrected_set"]
    assert 0 < first.planted.height < 20
    few, many = first.planted.to_dicts(), more.planted.to_dicts()
    assert [row for row in many if row in few] == few


def test_a_blind_corrector_is_shown_no_error(tmp_path):
    with pytest.raises(SpecError, match="planted errors need `shown: true`"):
        spec_of(tmp_path, MOOD + "  correction: {planted: 0.1}\n")


async def test_votes_are_samples_and_their_majority_stands(tmp_path):
    def annotate(request, row):
        return "glad" if request.sample == 0 else "sad"

    def correct(request, row):
        return truth(row)

    text = MOOD + "  labels: {votes: 3}\n"
    made = await tables_of(spec_of(tmp_path, text), labelling(annotate, correct), "labels")
    labels = made["labels"].table
    assert set(labels["label"]) == {"sad"}
    assert labels["votes"].to_list()[0] == ["glad", "sad", "sad"]
    assert labels["agreement"].to_list()[0] == pytest.approx(2 / 3)


async def test_a_row_without_annotation_keeps_its_place(tmp_path):
    def annotate(request, row):
        if "place 0" in row["note"]:
            return failing(request, "refused", "no")
        return truth(row)

    def correct(request, row):
        return truth(row)

    made = await tables_of(spec_of(tmp_path), labelling(annotate, correct))
    assert made["labels"].table["label"].null_count() > 0
    assert made["labels"].warnings
    assert len(made["corrected_set"].table) == 8


async def test_an_annotator_that_never_answers_is_one_error(tmp_path):
    model = labelling(lambda r, b: failing(r, "filtered", "content policy"), lambda r, b: {})
    with pytest.raises(StepError, match=r"16 of 16 rows got no label; first: filtered"):
        await tables_of(spec_of(tmp_path), model)


async def test_the_set_is_balanced_first_and_then_filled_up(tmp_path):
    def mostly_glad(request, row):
        return "glad" if int(row["note"].split()[-1]) < 8 else "sad"

    made = await tables_of(spec_of(tmp_path), labelling(mostly_glad, mostly_glad))
    counts = Counter(made["corrected_set"].table["label"])
    slots = made["corrected_set"].table["instance_id"].to_list()
    order = [i for i in made["instances"].table["instance_id"] if i in set(slots)]
    assert sum(counts.values()) == 8
    assert slots == order
    assert counts["sad"] == 2
    assert any("'sad' has" in w for w in made["corrected_set"].warnings)


async def test_fewer_than_half_is_an_error(tmp_path):
    def flip(request, row):
        return "sad" if truth(row) == "glad" else "glad"

    text = MOOD + "  correction: {policy: drop}\n"
    model = labelling(lambda request, row: truth(row), flip)
    with pytest.raises(StepError, match="only 0 of 8 rows are left"):
        await tables_of(spec_of(tmp_path, text), model)
