"""A panel of readers behind real HTTP servers with known error rates."""

import json
import re
from contextlib import AsyncExitStack
from random import Random

import polars as pl
import pytest

from targen.errors import SpecError, StepError
from targen.llm.engine import Engine
from targen.llm.prices import Price
from targen.llm.settings import EngineSettings
from targen.operators import run_step
from targen.quality import panel as quality
from targen.quality import report
from targen.quality.inputs import for_task
from targen.steps import CORRECTED_SET, INSTANCES, LABELS, frame, schema
from targen.store.completions import Store
from targen.tasks.loading import load_task
from tests.operators.test_generation import mood_model, tables_of
from tests.support.endpoint import Endpoint, completion
from tests.support.models import ScriptedModel, block_of
from tests.support.specs import MOOD, RECIPES, spec_of, write_task

READERS = """\
  correction:
    operator: panel
    readers:
      - {name: strong, endpoint: strong}
      - {name: weak, endpoint: weak}
      - {name: weaker, endpoint: weaker}
      - {name: classifier, endpoint: classifier, asks: label}
"""
PANEL = MOOD.replace("rows: 8", "rows: 300\nheadroom: 0") + READERS
RATES = {"strong": 0.05, "weak": 0.35, "weaker": 0.4, "classifier": 0.12}
WRONG = 0.2
"""Share of the rows whose intended label is wrong."""


def truth(note):
    return note.split()[0]


def server(name, rate):
    """Answer as a reader that is wrong about this share of the notes."""

    def answer(body, _):
        text = body["messages"][1]["content"]
        block = json.loads(text.split("```json\n")[1].split("\n```")[0])
        asked = body["response_format"]["json_schema"]["schema"]
        asked = asked["properties"]["items"]["items"]["properties"]
        items = []
        for row in block["rows"]:
            right = truth(row["note"])
            errs = Random(f"{name} {row['note']}").random() < rate
            other = next(label for label in block["labels"] if label != right)
            said = {
                "row": row["row"], "flaw": "none", "label": other if errs else right,
                "naturalness": 4, "constraint_met": not errs,
            }  # fmt: skip
            items.append({key: said[key] for key in asked})
        return completion(json.dumps({"items": items}))

    return Endpoint(answer)


def tables(spec, rows):
    """Return instances with some wrong intended labels, and their labels without annotation."""
    instances, labels = [], []
    for slot in range(rows):
        right = ("glad", "sad")[Random(f"truth {slot}").random() < 0.5]
        other = "sad" if right == "glad" else "glad"
        intended = other if Random(f"writer {slot}").random() < WRONG else right
        own = {"instance_id": f"id {slot:04}", "slot": slot, "intended_label": intended}
        instances.append(
            {
                **own,
                "note": f"{right} note {slot}",
                "depth": 0,
                "parent_ids": [],
                "request_id": None,
            }
        )
        labels.append({**own, "label": intended, "votes": [], "flaws": [], "request_ids": []})
    kind = spec.answer.kind
    return {
        INSTANCES: frame(instances, schema(INSTANCES, spec.field_types, kind)),
        LABELS: frame(labels, schema(LABELS, spec.field_types, kind)),
    }


async def read(folder, spec, rows, servers):
    """Run the step with an engine for each reader; return its output and the engines."""
    async with AsyncExitStack() as stack:
        engines = {}
        for name, endpoint in servers.items():
            settings = EngineSettings(
                model=f"model-{name}", base_url=endpoint.url, api_key="k", own_key=True,
                endpoint_name=name, price=Price(1.0, 2.0), task="mood", step=CORRECTED_SET,
                store_url=f"sqlite:///{folder}/completions.db", run_id="run",
            )  # fmt: skip
            engines[name] = await stack.enter_async_context(Engine(settings))
        output = await run_step(CORRECTED_SET, spec, tables(spec, rows), None, engines)
    return output, engines


@pytest.fixture
async def servers():
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(server(name, rate))
            for name, rate in RATES.items()
        }


def loaded(folder, text=PANEL):
    ends = folder / "ends.yaml"
    lines = [f"  {n}: {{base_url: 'http://127.0.0.1:1/v1', model: model-{n}}}" for n in RATES]
    ends.write_text("\n".join(["endpoints:", *lines]) + "\n")
    return load_task("mood", write_task(folder / "tasks", text), RECIPES, endpoints_file=ends)


def error(table):
    return sum(row["label"] != truth(row["note"]) for row in table.to_dicts()) / table.height


async def test_the_panel_beats_the_majority_where_readers_differ(tmp_path, servers):
    spec = loaded(tmp_path, PANEL.replace("panel\n", "panel\n    confidence_at_least: 0\n"))
    output, engines = await read(tmp_path, spec, 300, servers)
    majority = loaded(tmp_path, PANEL.replace("panel\n", "panel\n    policy: majority\n"))
    voted, again = await read(tmp_path, majority, 300, servers)
    assert output.table.height + output.rejected.height == 300
    # Among the rows that both keep, so that a tie of the majority is no error.
    both = voted.table.join(output.table, on="instance_id", suffix="_panel")
    panel_error = error(both.drop("label").rename({"label_panel": "label"}))
    assert 0 < error(both) < 0.08
    assert panel_error < error(both) / 2
    assert sum(engine.stats.calls for engine in engines.values()) == 1200
    assert sum(engine.stats.calls for engine in again.values()) == 0
    # A classifier is asked for the label only.
    (asked,) = {json.dumps(sorted(r)) for r in map(properties, servers["classifier"].bodies)}
    assert json.loads(asked) == ["label", "row"]
    assert "naturalness" not in servers["classifier"].bodies[0]["messages"][0]["content"]
    # No reader sees the intended label.
    row = json.loads(re.search(r'"rows": (\[.*\])', text_of(servers["strong"].bodies[0]))[1])[0]
    assert set(row) == {"row", "note"}


def properties(body):
    schema_ = body["response_format"]["json_schema"]["schema"]
    return schema_["properties"]["items"]["items"]["properties"]


def text_of(body):
    return body["messages"][1]["content"]


async def test_growing_keeps_labels_and_pays_for_new_rows_only(tmp_path, servers):
    large = loaded(tmp_path)
    small = large.model_copy(update={"rows": 90})
    first, paid = await read(tmp_path, small, 90, servers)
    second, more = await read(tmp_path, large, 300, servers)
    assert sum(engine.stats.calls for engine in paid.values()) == 360
    assert sum(engine.stats.calls for engine in more.values()) == 840
    kept = dict(second.table.select("instance_id", "label").iter_rows())
    assert first.table.height > 60
    decided = {row["instance_id"]: row["label"] for row in first.table.to_dicts()}
    assert decided.items() <= kept.items()
    readings = dict(second.table.select("instance_id", "readings").iter_rows())
    assert all(readings[r["instance_id"]] == r["readings"] for r in first.table.to_dicts())


async def test_the_report_shows_each_reader_and_estimates_noise_from_them(tmp_path, servers):
    spec = loaded(tmp_path)
    output, _ = await read(tmp_path, spec, 300, servers)
    completions = stored_completions(tmp_path, output)
    inputs = for_task(
        spec,
        {**tables(spec, 300), CORRECTED_SET: output.table},
        rejected={CORRECTED_SET: output.rejected},
        completions=completions,
    )
    made = report.build(inputs)
    right: dict[str, list[bool]] = {}
    for row in [*output.table.to_dicts(), *output.rejected.to_dicts()]:
        note = row.get("note") or json.loads(row["text"])["note"]
        for one in row["readings"]:
            right.setdefault(one["reader"], []).append(one["label"] == truth(note))
    for name, flags in right.items():
        assert made.value("reader_accuracy", name) == pytest.approx(sum(flags) / 300, abs=0.03)
    for name in RATES:
        # 7 tokens in and 5 out per call, at 1 and 2 dollars for a million.
        cost = 300 * 17e-6 / output.table.height
        assert made.value("reader_cost_usd", name) == pytest.approx(cost)
    assert made.value("constraint_met", "strong") == pytest.approx(0.95, abs=0.03)
    assert made.value("naturalness") == 4.0
    assert quality.independent_readers(inputs) == list(RATES)
    kappa = made.value("kappa", "strong, classifier")
    assert kappa == pytest.approx(2 * (0.95 * 0.88 + 0.05 * 0.12) - 1, abs=0.1)
    true_error = error(output.table)
    assert made.value("label_noise", "latent classes") == pytest.approx(true_error, abs=0.03)


def stored_completions(folder, output):
    store = Store(f"sqlite:///{folder}/completions.db")
    ids = [
        name
        for table in (output.table, output.rejected)
        for names in table["request_ids"].to_list()
        for name in names
    ]
    try:
        return store.completions(ids).select(
            "request_id", "model", "prompt_tokens", "completion_tokens", "cost_usd", "simulated"
        )
    finally:
        store.close()


def test_readers_of_one_model_do_not_count_twice(tmp_path):
    spec = loaded(tmp_path)
    entry = {"label": "glad", "flaw": None, "naturalness": None, "constraint_met": None}
    readings = [
        {"reader": name, "request_id": name, "weight": 1.0, **entry}
        for name in ("strong", "weak", "weaker")
    ]
    row = {"instance_id": "i", "note": "glad", "label": "glad", "readings": readings}
    table = frame([row], schema(CORRECTED_SET, spec.field_types))

    def readers(models):
        known = pl.DataFrame({"request_id": ["strong", "weak", "weaker"], "model": models})
        inputs = for_task(spec, {CORRECTED_SET: table}, completions=known)
        return quality.independent_readers(inputs)

    assert readers(["a", "b", "a"]) == ["strong", "weak"]
    assert readers(["a", "a", "a"]) == ["strong", "weak", "weaker"]


def answering(say):
    """Answer readers' prompts by `say(name of the schema, row, turn)`, the rest as `mood_model`."""
    base = mood_model()

    def answer(request):
        block = block_of(request)
        if "rows" not in block:
            return base.answer(request)
        return {"items": [{"row": row["row"], **say(request, row)} for row in block["rows"]]}

    return ScriptedModel(answer)


SAME = MOOD + (
    "  labels: {operator: intended}\n"
    "  correction:\n    operator: panel\n    readers: [{name: a, seed: 1}, {name: b, seed: 2}]\n"
)


async def run(folder, say, extra=""):
    spec = spec_of(folder, SAME + extra)
    model = answering(say)
    made = await tables_of(spec, model)
    return made[CORRECTED_SET], spec


def note_truth(row):
    return row["note"].split(" at ")[0]


async def test_scores_can_cost_a_row(tmp_path):
    def say(request, row):
        bad = "7" in row["note"]
        return {
            "flaw": "none", "label": note_truth(row),
            "naturalness": 1 if bad else 5, "constraint_met": not bad,
        }  # fmt: skip

    for number, extra in enumerate(("    naturalness_at_least: 2\n", "    drop_unmet: true\n")):
        output, _ = await run(tmp_path / str(number), say, extra)
        flawed = output.rejected.filter(output.rejected["reason"] == "flawed")
        assert output.table.height == 8
        assert all("7" in text for text in flawed["text"]) or not flawed.height
        assert not any("7" in note for note in output.table["note"])


async def test_difficulty_keeps_what_one_reader_gets_right_and_the_other_wrong(tmp_path):
    def say(request, row):
        right = note_truth(row)
        easy = sum(map(ord, row["note"])) % 2
        wrong = request.sample == 2 and not easy
        label = {"glad": "sad", "sad": "glad"}[right] if wrong else right
        return {"flaw": "none", "label": label, "naturalness": 5, "constraint_met": True}

    extra = "    difficulty: {right: a, wrong: b}\n"
    spec = spec_of(tmp_path, SAME.replace("rows: 8", "rows: 4\nheadroom: 16") + extra)
    output = (await tables_of(spec, answering(say)))[CORRECTED_SET]
    assert all(sum(map(ord, note)) % 2 == 0 for note in output.table["note"])
    reasons = output.rejected.filter(output.rejected["reason"] == "difficulty")
    assert reasons.height and "too easy: b gives the final label" in reasons["detail"][0]


async def test_an_unreadable_score_does_not_cost_the_label(tmp_path):
    def say(request, row):
        return {"flaw": None, "label": note_truth(row), "naturalness": 9, "constraint_met": None}

    output, _ = await run(tmp_path, say)
    (first, *_) = output.table["readings"].to_list()
    own = [one for one in first if one["request_id"]]
    assert [one["naturalness"] for one in own] == [None, None]
    assert output.table["label"].null_count() == 0


async def test_a_reader_that_gives_no_labels_ends_the_step(tmp_path):
    def say(request, row):
        label = "no idea" if request.sample == 2 else note_truth(row)
        return {"flaw": "none", "label": label, "naturalness": 5, "constraint_met": True}

    with pytest.raises(StepError, match="the reader b gave no label for 1[0-9]+ of 1[0-9]+ rows"):
        await run(tmp_path, say)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("readers: [{name: a}]", "at least 2 items"),
        ("readers: [{name: a}, {name: a}]", "two readers are named 'a'"),
        ("readers: [{name: a}, {name: 'b b'}]", "pattern"),
        ("readers: [{name: a}, {name: b, votes: 3}]", "has no such parameter"),
        (
            "readers: [{name: a}, {name: b}], difficulty: {right: a, wrong: c}",
            "`difficulty` names 'c', which is not a reader; readers: a, b",
        ),
        ("readers: [{name: a}, {name: b, endpoint: nowhere}]", "unknown endpoint 'nowhere'"),
        ("policy: weighted", "field required"),
    ],
)
def test_what_is_wrong_with_a_panel_is_named(tmp_path, text, message):
    task = MOOD + f"  correction: {{operator: panel, {text}}}\n"
    ends = tmp_path / "ends.yaml"
    ends.write_text("endpoints: {}\n")
    folder = write_task(tmp_path / "tasks", task)
    with pytest.raises(SpecError) as error_:
        load_task("mood", folder, RECIPES, endpoints_file=ends)
    assert message in str(error_.value)
    assert re.search(r"mood\.yaml:\d+", str(error_.value))


def test_a_reader_has_the_profile_of_its_endpoint(tmp_path):
    ends = tmp_path / "ends.yaml"
    ends.write_text(
        "endpoints:\n  thinking:\n    base_url: http://127.0.0.1:1/v1\n    model: m\n"
        "    sampling: {temperature: 0.6}\n    reasoning_tokens: 900\n"
    )
    task = MOOD + (
        "  correction:\n    operator: panel\n"
        "    readers: [{name: a, endpoint: thinking}, {name: b}]\n"
    )
    spec = load_task("mood", write_task(tmp_path / "tasks", task), RECIPES, endpoints_file=ends)
    first, second = spec.recipe.choice(CORRECTED_SET).params["readers"]
    assert first["temperature"] == 0.6 and first["reasoning_tokens"] == 900
    assert "temperature" not in second
    assert spec.recipe.named_endpoints == {"thinking"}
