"""Calls of readers: what they show, how answers are bound to rows, and what is asked again."""

import json
from collections import Counter

import pytest

from targen.errors import SpecError, StepError
from targen.llm.structured import parse
from targen.llm.types import Outcome
from targen.operators import run_step
from targen.operators.correction import decide, disputed
from targen.operators.judging import (
    ITEM_TOKENS,
    REASON_TOKENS,
    JudgeParams,
    Reader,
    flaw_of,
    groups,
    item_about,
    label_of,
    mirrored,
    request_about,
    rotated,
)
from targen.operators.labels import decided
from targen.steps import CORRECTED_SET, INSTANCES, LABELS, frame, schema
from targen.tasks.answers import majority
from tests.operators.test_generation import mood_model, tables_of
from tests.support.models import ScriptedModel, block_of, failing, judging
from tests.support.specs import MOOD, TASKS, real_task, spec_of

SEVERAL = MOOD + "  labels: {per_call: 4}\n  correction: {per_call: 4}\n"
COPA = [
    {"premise": "He ran.", "choice1": f"He was late {n}.", "choice2": "He slept.", "question": "c"}
    for n in range(6)
]


def truth(row):
    return row["note"].split(" at ")[0]


def reading(answer):
    """Answer readers' prompts with `answer(request, block)`, the rest as `mood_model`."""
    base = mood_model()
    return ScriptedModel(
        lambda r: answer(r, block_of(r)) if "rows" in block_of(r) else base.answer(r)
    )


async def labeled(spec, rows, model, step=LABELS, labels=None):
    """Run a step on instances with these fields."""
    own = {"intended_label": None, "rationale": None, "request_id": "r" * 64}
    table = [
        {**own, "instance_id": f"id {n}", "slot": n, "depth": 0, "parent_ids": [], **row}
        for n, row in enumerate(rows)
    ]
    kind = spec.answer.kind
    tables = {INSTANCES: frame(table, schema(INSTANCES, spec.field_types, kind))}
    if labels is not None:
        tables[LABELS] = frame(labels, schema(LABELS, spec.field_types, kind))
    return await run_step(step, spec, tables, model)


def test_calls_are_consecutive_rows_and_twins_are_never_together():
    rows = [{"slot": slot} for slot in range(5)]
    assert groups(rows, 2) == [[0, 1], [2, 3], [4]]
    pairs = [{"slot": slot // 2} for slot in range(10)]
    assert groups(pairs, 3) == [[0, 2, 4], [6, 8], [1, 3, 5], [7, 9]]
    more = groups([{"slot": slot} for slot in range(9)], 2)
    assert more[:2] == groups(rows, 2)[:2]


def test_rotations_go_around():
    assert [rotated("abc", turn) for turn in (0, 1, 2, 3, -1)] == [
        ["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"], ["c", "a", "b"],
    ]  # fmt: skip
    assert rotated([], 5) == []
    assert [mirrored(label, 2) for label in ("0", "1", "yes")] == ["1", "0", "yes"]
    assert [mirrored(label, 3) for label in "012"] == ["2", "1", "0"]


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([{"row": 1}, {"row": 2}], 2),
        ([{"row": 2}, {"row": 1}], 2),
        ([{"row": 1}, {"row": 1}], None),
        ([{"row": 2}, {"row": 2}], None),
        ([{"row": "2"}], None),
        ([{"row": 2.0}], None),
        ([{"row": True}, {"row": 2}], 2),
        ([{"row": 0}, {"row": 3}, {"row": None}, {}], None),
        (["2", None, 2, {"row": 2}], 2),
        ({"row": 2}, None),
        (None, None),
    ],
)
def test_an_item_is_bound_by_a_whole_number_that_occurs_once(items, found):
    item = item_about({"items": items}, 2, 2)
    assert (item or {}).get("row") == found
    assert item_about(None, 2, 2) is None


@pytest.mark.parametrize(
    ("numbers", "found"),
    [([0, 1, 2], ["a", "b", "c"]), ([0, 1], [None] * 3), ([0, 1, 3], [None] * 3),
     ([1, 0, 2], [None] * 3), ([1, 2, 3], ["a", "b", "c"]), ([2, 1, 3], ["b", "a", "c"])],
)  # fmt: skip
def test_rows_numbered_from_0_are_bound_to_no_other_row(numbers, found):
    items = [{"row": n, "label": label} for n, label in zip(numbers, "abc", strict=False)]
    about = [item_about({"items": items}, number, 3) for number in (1, 2, 3)]
    assert [item and item["label"] for item in about] == found


def test_true_is_no_row_number():
    assert item_about({"items": [{"row": True}]}, 1, 2) is None


def test_a_single_row_needs_no_number_but_a_single_item():
    assert item_about({"items": [{"row": 7, "label": "a"}]}, 1, 1) == {"row": 7, "label": "a"}
    assert item_about({"items": [{"label": "a"}, {"label": "b"}]}, 1, 1) is None


@pytest.mark.parametrize(
    ("label", "kind", "found"),
    [
        ("a", "class", "a"),
        ("A", "class", None),
        (["a"], "class", None),
        (None, "class", None),
        (True, "class", None),
        (["b", "a", "b"], "multi", ["a", "b"]),
        ([], "multi", []),
        (["a", "x"], "multi", None),
        ([["a"]], "multi", None),
        ("a", "multi", None),
        ("b", "span", "b"),
        ("of another row", "span", None),
    ],
)
def test_a_label_is_one_of_the_row_s_options(label, kind, found):
    assert label_of({"label": label}, kind, ["a", "b"]) == found
    assert label_of(None, kind, ["a", "b"]) is None


@pytest.mark.parametrize(
    ("votes", "planned", "done"),
    [
        (["a"], 1, True),
        (["a", "a"], 3, True),
        (["a", "b"], 3, False),
        (["a"], 3, False),
        (["a", "a", "b"], 5, False),
        (["a", "a", "b", "a"], 5, True),
        ([], 1, False),
    ],
)
def test_votes_are_decided_by_more_than_half_of_those_planned(votes, planned, done):
    assert decided("class", votes, planned) is done


def test_votes_of_several_labels_are_decided_label_by_label():
    assert decided("multi", [["a"], ["a"]], 3)
    assert not decided("multi", [["a"], ["a", "b"]], 3)
    assert decided("multi", [[], []], 3)
    assert not decided("multi", [[]], 3)


@pytest.mark.parametrize("kind", ["class", "multi"])
def test_votes_that_stop_early_give_the_label_of_all_votes(kind):
    options = [["x"], ["y"], ["x", "y"], []] if kind == "multi" else ["x", "y", "z"]
    for planned in (1, 3, 5):
        for number in range(len(options) ** planned):
            votes = [options[number // len(options) ** v % len(options)] for v in range(planned)]
            cast = planned // 2 + 1
            while not decided(kind, votes[:cast], planned) and cast < planned:
                cast += 1
            assert majority(kind, votes[:cast]) == majority(kind, votes)


async def test_several_rows_are_asked_in_one_call_with_rotated_order(tmp_path):
    model = reading(lambda request, block: judging(request, truth))
    spec = spec_of(tmp_path, SEVERAL.replace("labels: {", "labels: {votes: 3, "))
    made = await tables_of(spec, model)
    labels = made["labels"].table
    assert labels["label"].to_list() == labels["intended_label"].to_list()
    first, second = (
        [block_of(r) for r in model.history if r.schema_name == "label" and r.sample == sample]
        for sample in (0, 1)
    )
    assert [len(block["rows"]) for block in first] == [4] * 4
    notes = [row["note"] for row in first[0]["rows"]]
    assert [row["note"] for row in second[0]["rows"]] == rotated(notes, 1)
    assert [row["row"] for row in second[0]["rows"]] == [1, 2, 3, 4]
    assert list(first[0]["labels"]) == ["glad", "sad"]
    assert list(second[0]["labels"]) == ["sad", "glad"]
    # Two equal votes of three are enough, and four rows share their requests.
    assert {r.sample for r in model.history if r.schema_name == "label"} == {0, 1}
    assert Counter(labels["request_ids"].explode()).most_common(1)[0][1] == 4
    shown = [r.schema["properties"]["items"]["items"]["properties"] for r in model.history]
    assert ["sad", "glad"] in [p["label"]["enum"] for p in shown if "label" in p]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda items: items[:-1],
        lambda items: [*items[:-1], items[0]],
        lambda items: [*items[:-1], {**items[-1], "row": str(items[-1]["row"])}],
        lambda items: [*items[:-1], {**items[-1], "row": 99}],
        lambda items: [*items[:-1], {**items[-1], "label": "merry"}],
        lambda items: [{**item, "row": item["row"] - 1} for item in items[::-1]],
        lambda items: [],
        lambda items: "none",
    ],
)
async def test_rows_without_a_valid_item_are_asked_again_alone(tmp_path, spoil):
    def answer(request, block):
        value = judging(request, truth)
        if len(block["rows"]) > 1:
            # The labels of other rows must not be taken.
            value["items"] = spoil(value["items"])
        return value

    model = reading(answer)
    made = await tables_of(spec_of(tmp_path, SEVERAL), model)
    labels = made["labels"].table
    calls = Counter(len(block_of(r)["rows"]) for r in model.history if r.schema_name == "label")
    assert calls[4] == 4
    assert calls[1] >= 4
    again = labels.filter(labels["request_ids"].list.len() == 2)
    assert again.height == calls[1]
    assert labels["label"].to_list() == labels["intended_label"].to_list()


async def test_rows_numbered_from_0_get_their_own_labels(tmp_path):
    def answer(request, block):
        value = judging(request, truth)
        value["items"] = [{**item, "row": item["row"] - 1} for item in value["items"]]
        return value

    model = reading(answer)
    made = await tables_of(spec_of(tmp_path, SEVERAL), model)
    labels = made["labels"].table
    assert labels["label"].to_list() == labels["intended_label"].to_list()
    assert {len(block_of(r)["rows"]) for r in model.history if r.schema_name == "label"} == {4}


async def test_a_call_without_an_answer_is_asked_row_by_row(tmp_path):
    def is_bad(request):
        rows = block_of(request).get("rows", [])
        label = request.schema_name == "label"
        return label and len(rows) > 1 and "place 0 event 1" in str(rows)

    def answer(request, block):
        bad = is_bad(request)
        return failing(request, "truncated", "too long") if bad else judging(request, truth)

    model = reading(answer)
    made = await tables_of(spec_of(tmp_path, SEVERAL), model)
    labels = made["labels"].table
    assert labels["label"].to_list() == labels["intended_label"].to_list()
    bad = sum(map(is_bad, model.history))
    assert bad > 0
    assert Counter(labels["request_ids"].list.len()) == {1: labels.height - 4 * bad, 2: 4 * bad}
    corrected = made["corrected_set"].table
    assert set(corrected["label"] == corrected["intended_label"]) == {True}


async def test_a_row_that_is_never_answered_gets_no_label(tmp_path):
    def answer(request, block):
        value = judging(request, truth)
        kept = [
            i
            for i, r in zip(value["items"], block["rows"], strict=True)
            if "event 1" not in r["note"]
        ]
        return {"items": kept}

    made = await tables_of(spec_of(tmp_path, SEVERAL), reading(answer), "labels")
    labels, instances = made["labels"].table, made["instances"].table
    lost = ["event 1" in note for note in instances["note"]]
    assert labels["label"].is_null().to_list() == lost
    assert [len(v) for v in labels["votes"]] == [0 if one else 1 for one in lost]
    assert [len(v) for v in labels["request_ids"]] == [2 if one else 1 for one in lost]


async def test_alternatives_are_swapped_in_odd_votes_and_labels_mapped_back(tmp_path):
    spec = real(tmp_path, "copa", "  labels: {votes: 3, per_call: 2}\n")

    def pick(row):
        # Knows the right text wherever it is; one row gets a split vote.
        if row["choice1"].endswith("0.") or row["choice2"].endswith("0."):
            return "0"
        return "0" if row["choice1"].startswith("He was late") else "1"

    model = ScriptedModel(lambda request: judging(request, pick))
    made = await labeled(spec, COPA, model)
    assert made.table["votes"].to_list()[1:] == [["0", "0"]] * 5
    # A reader that always answers "0" contradicts itself.
    assert made.table["votes"].to_list()[0] == ["0", "1", "0"]
    shown = {r.sample: block_of(r)["rows"][0] for r in reversed(model.history)}
    assert shown[0]["choice1"].startswith("He was late")
    assert shown[1]["choice2"].startswith("He was late")
    assert list(block_of(model.history[-1])["labels"]) in (["0", "1"], ["1", "0"])


def real(folder, name, steps):
    """Return one of the repository's tasks with changes to its recipe."""
    text = (TASKS / f"{name}.yaml").read_text(encoding="utf-8")
    return spec_of(folder, f"{text}steps:\n{steps}")


async def test_a_span_is_one_of_the_row_s_own_choices(tmp_path):
    spec = real(tmp_path, "record", "  labels: {per_call: 2}\n")
    rows = [
        {"passage": "p", "query": "q", "entities": ["Ann", "Bob"]},
        {"passage": "p2", "query": "q", "entities": ["Cleo", "Dan", "Eve"]},
    ]

    def answer(request):
        block = block_of(request)
        value = judging(request, lambda row: row["entities"][-1])
        if len(block["rows"]) > 1:
            value["items"][0]["label"] = "Dan"
        return value

    model = ScriptedModel(answer)
    made = await labeled(spec, rows, model)
    assert made.table["label"].to_list() == ["Bob", "Eve"]
    both, alone = model.history
    label = both.schema["properties"]["items"]["items"]["properties"]["label"]
    assert label["enum"] == ["Ann", "Bob", "Cleo", "Dan", "Eve"]
    assert [row["entities"] for row in block_of(alone)["rows"]] == [["Ann", "Bob"]]
    assert "`entities`" in both.messages[0]["content"]


async def test_the_limit_of_an_answer_follows_from_its_rows(tmp_path):
    model = reading(lambda request, block: judging(request, truth))
    await tables_of(spec_of(tmp_path, SEVERAL), model)
    most = {r.schema_name: r.sampling.max_output_tokens for r in model.history}
    assert 4 * ITEM_TOKENS < most["label"] < 4 * ITEM_TOKENS + 60
    assert most["correction"] == most["label"] + 4 * REASON_TOKENS
    text = SEVERAL.replace("correction: {", "correction: {max_output_tokens: 50, ")
    model.history.clear()
    await tables_of(spec_of(tmp_path, text), model)
    assert {
        r.sampling.max_output_tokens for r in model.history if r.schema_name == "correction"
    } == {50}
    # Strict mode and llama.cpp refuse it.
    assert "maxLength" not in str(model.history[-1].schema)


SHOTS = MOOD.replace(
    "contexts:\n  what",
    "examples:\n"
    "  - {fields: {note: First}, label: glad}\n"
    "  - {fields: {note: Second}, label: sad}\n"
    "  - {fields: {note: Third}, label: sad}\n"
    "contexts:\n  what",
)


async def test_shots_show_labeled_examples_and_never_the_row_itself(tmp_path):
    spec = spec_of(tmp_path, SHOTS + "  labels: {shots: 2}\n")
    model = ScriptedModel(lambda request: judging(request, lambda row: "glad"))
    await labeled(spec, [{"note": "Other"}, {"note": "second "}], model)
    one, two = (block_of(request) for request in model.history)
    assert one["examples"] == [
        {"note": "First", "label": "glad"}, {"note": "Second", "label": "sad"},
    ]  # fmt: skip
    assert [e["note"] for e in two["examples"]] == ["First", "Third"]
    assert "examples" in model.history[0].messages[0]["content"]
    plain = ScriptedModel(lambda request: judging(request, lambda row: "glad"))
    await labeled(spec_of(tmp_path, SHOTS), [{"note": "Other"}], plain)
    assert "examples" not in block_of(plain.history[0])


async def test_more_shots_than_labeled_examples_are_an_error_before_any_call(tmp_path):
    model = ScriptedModel(lambda request: {})
    with pytest.raises(StepError, match="shots: 4 needs as many `examples` with a label"):
        await labeled(spec_of(tmp_path, SHOTS + "  labels: {shots: 4}\n"), [{"note": "x"}], model)
    assert model.history == []


def unit(intended="a", annotated="a", votes=None, flaws=()):
    votes = votes if votes is not None else [annotated]
    return {
        "intended_label": intended,
        "annotated_label": annotated,
        "votes": votes,
        "flaws": list(flaws),
    }


@pytest.mark.parametrize(
    ("rows", "is_disputed"),
    [
        ([unit()], False),
        ([unit(annotated="b")], True),
        ([unit(intended=None)], True),
        ([unit(annotated=None, votes=[])], True),
        ([unit(votes=["a", "a", "b"])], True),
        ([unit(flaws=["none"])], False),
        ([unit(flaws=["none", "ambiguous"])], True),
        ([unit(), unit()], False),
        ([unit(), unit(annotated="b")], True),
        ([unit(), unit("b", "b")], True),
    ],
)
def test_disputed_units(rows, is_disputed):
    assert disputed("class", rows) is is_disputed


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("kind", ["class", "multi"])
def test_no_corrector_can_change_an_undisputed_unit(kind, size):
    options = [["x"], ["y"], ["x", "y"], []] if kind == "multi" else ["x", "y", "z"]
    said = [*options, None]
    for label in options:
        assert not disputed(kind, [unit(label, label)] * size)
        for number in range(len(said) ** size):
            corrected = [said[number // len(said) ** r % len(said)] for r in range(size)]
            assert decide("majority", kind, [label] * size, [label] * size, corrected) == label


def wavering(request, row):
    """Err by content, differently for annotator and corrector."""
    number = int(row["note"].split()[-1])
    wrong = number % (5 if request.schema_name == "label" else 3) == 0
    right = truth(row)
    flaw = "ambiguous" if number % 7 == 0 else "none"
    return {"label": {"glad": "sad", "sad": "glad"}[right] if wrong else right, "flaw": flaw}


FINAL = ("instance_id", "label", "verdict", "intended_label", "annotated_label")


@pytest.mark.parametrize("per_call", [1, 3])
async def test_no_label_depends_on_the_audit(tmp_path, per_call):
    """Labels, verdicts and rejections equal those of `ask: always`, whatever the audit share."""
    made = {}
    for ask in ("ask: always", "audit: 0, audit_at_least: 0", "audit: 0.5, audit_at_least: 0"):
        more = f"drop_flawed: true, per_call: {per_call}, {ask}"
        text = MOOD + f"  correction: {{{more}}}\n"
        model = reading(lambda r, block: judging(r, lambda row: wavering(r, row)))
        made[ask] = (await tables_of(spec_of(tmp_path, text, rows=60), model))[CORRECTED_SET]
        calls = sum(
            len(block_of(r)["rows"]) for r in model.history if r.schema_name == "correction"
        )
        asked = Counter(made[ask].table["correction_asked"])
        if ask == "ask: always":
            everything = calls
            assert set(asked) == {"always"}
        else:
            assert calls < everything
            assert set(asked) <= {"disputed", "audit", None}
            assert (asked["audit"] > 0) == ("0.5" in ask)
    always, none, half = made.values()
    for other in (none, half):
        assert other.table.select(FINAL).equals(always.table.select(FINAL))
        names = ["item_id", "reason", "detail", "intended_label", "annotated_label"]
        assert other.rejected.select(names).equals(always.rejected.select(names))
    assert {"flawed"} <= set(always.rejected["reason"])


async def test_rows_that_were_not_asked_have_no_correction(tmp_path):
    text = MOOD + "  correction: {audit: 0, audit_at_least: 0}\n"
    model = reading(lambda r, block: judging(r, lambda row: wavering(r, row)))
    table = (await tables_of(spec_of(tmp_path, text, rows=40), model))[CORRECTED_SET].table
    silent = table.filter(table["correction_asked"].is_null())
    assert silent.height > 10
    for name in ("corrected_label", "reason", "flaw"):
        assert silent[name].null_count() == silent.height
    assert silent["request_ids"].list.len().to_list() == [2] * silent.height
    assert (silent["intended_label"] == silent["annotated_label"]).all()
    asked = table.filter(table["correction_asked"] == "disputed")
    assert asked["corrected_label"].null_count() == 0
    assert asked["request_ids"].list.len().to_list() == [3] * asked.height


async def test_the_audit_share_is_a_share_with_a_least_number(tmp_path):
    counts = {}
    for audit, least in ((0.2, 0), (0.2, 50), (0, 10), (1, 0)):
        text = MOOD + f"  correction: {{audit: {audit}, audit_at_least: {least}}}\n"
        made = await tables_of(spec_of(tmp_path, text, rows=200), mood_model())
        table = made[CORRECTED_SET].table
        counts[audit, least] = table["correction_asked"].is_not_null().sum()
    assert 0.1 < counts[0.2, 0] / table.height < 0.3
    assert 35 <= counts[0.2, 50] <= 65
    assert 3 <= counts[0, 10] <= 20
    assert counts[1, 0] == table.height > 100


async def test_a_row_that_every_reader_calls_flawed_is_dropped(tmp_path):
    def say(request, row):
        number = int(row["note"].split()[-1])
        named = number % 4 == 1 or (number % 4 == 2 and request.schema_name == "label")
        return {"label": truth(row), "flaw": "incoherent" if named else "none"}

    def model():
        return reading(lambda r, block: judging(r, lambda row: say(r, row)))

    text = MOOD + "  correction: {drop_flawed: true}\n"
    made = await tables_of(spec_of(tmp_path, text), model())
    rejected = made[CORRECTED_SET].rejected
    flawed = rejected.filter(rejected["reason"] == "flawed")
    assert flawed.height
    for row in flawed.iter_rows(named=True):
        assert int(json.loads(row["text"])["note"].split()[-1]) % 4 == 1
        assert row["detail"] == "flaws named by its readers: incoherent, incoherent"
    kept = made[CORRECTED_SET].table
    assert all(int(note.split()[-1]) % 4 != 1 for note in kept["note"])
    assert set(made["labels"].table["flaws"].explode()) == {"none", "incoherent"}
    text = MOOD + "  correction: {drop_flawed: false}\n"
    other = await tables_of(spec_of(tmp_path, text), model())
    assert "flawed" not in set(other[CORRECTED_SET].rejected["reason"])


async def test_planned_way_and_difficulty_are_passed_on(tmp_path):
    spec = spec_of(tmp_path)
    rows = [
        {"note": f"n {n}", "intended_label": "glad", "planned_way": "w", "planned_difficulty": "d"}
        for n in range(8)
    ]
    labels = [
        {
            "instance_id": f"id {n}", "intended_label": "glad", "label": "glad", "votes": ["glad"],
            "flaws": ["none"], "agreement": 1.0, "request_ids": ["v" * 64],
        }
        for n in range(8)
    ]  # fmt: skip
    model = ScriptedModel(lambda request: judging(request, lambda row: "glad"))
    made = await labeled(spec, rows, model, CORRECTED_SET, labels)
    assert set(made.table["planned_way"]) == {"w"}
    assert set(made.table["planned_difficulty"]) == {"d"}


def test_asking_about_disputed_rows_only_needs_the_majority(tmp_path):
    with pytest.raises(SpecError, match="`ask: disputed` needs `policy: majority`"):
        spec_of(tmp_path, MOOD + "  correction: {policy: drop, ask: disputed}\n")
    assert spec_of(tmp_path, MOOD + "  correction: {policy: drop}\n").rows == 8


async def test_asking_about_disputed_rows_only_needs_annotations(tmp_path):
    intended = MOOD + "  labels: {operator: intended}\n"
    with pytest.raises(StepError, match="`ask: disputed` needs annotated labels"):
        await tables_of(
            spec_of(tmp_path, intended + "  correction: {ask: disputed}\n"), mood_model()
        )
    made = await tables_of(spec_of(tmp_path, intended), mood_model())
    assert set(made[CORRECTED_SET].table["correction_asked"]) == {"disputed"}


async def test_other_policies_ask_about_every_row(tmp_path):
    for policy in ("drop", "relabel", "keep"):
        text = MOOD + f"  correction: {{policy: {policy}}}\n"
        made = await tables_of(spec_of(tmp_path, text), mood_model())
        assert set(made[CORRECTED_SET].table["correction_asked"]) == {"always"}


async def test_more_rows_keep_the_calls_of_full_groups(tmp_path):
    """Growing asks again only about the rows of the last, partial group."""
    few = reading(lambda request, block: judging(request, truth))
    many = reading(lambda request, block: judging(request, truth))
    text = SEVERAL.replace("per_call: 4", "per_call: 5")
    small = await tables_of(spec_of(tmp_path, text, rows=8), few, "labels")
    await tables_of(spec_of(tmp_path, text, rows=40), many, "labels")
    asked = {json.dumps(block_of(r)) for r in many.history if r.schema_name == "label"}
    mine = [block_of(r) for r in few.history if r.schema_name == "label"]
    full = [block for block in mine if len(block["rows"]) == 5]
    assert len(full) == small["labels"].table.height // 5
    assert all(json.dumps(block) in asked for block in full)
    assert isinstance(failing(few.history[0]), Outcome)


@pytest.mark.parametrize(
    "flaw", ['"unanswerable \\ud83d end"', '"too short"', "7", '["none"]', "null", None]
)
def test_a_flaw_that_cannot_be_read_does_not_cost_the_label(flaw):
    spec = real_task("rte")
    row = {"slot": 0, "premise": "It rained.", "hypothesis": "It was wet."}
    request = request_about(spec, JudgeParams(), Reader("labels/annotate.md", "label"), [row])
    part = "" if flaw is None else f'"flaw": {flaw}, '
    parsed = parse(f'{{"items": [{{"row": 1, {part}"label": "entailment"}}]}}', request.schema)
    assert parsed.error is None
    (item,) = parsed.value["items"]
    assert (item["label"], flaw_of(item)) == ("entailment", "none")
