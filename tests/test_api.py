"""The Python API: the same rows and verdicts as the command line, and one sentence per error."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import targen
from targen.cli import app
from targen.steps import CORRECTED_SET
from tests.support.endpoint import Endpoint, failure
from tests.support.specs import MOOD, ROOT, use_folder

FRAME = pl.DataFrame({"text": ["A.", "B.", "C."], "kind": ["x", "y", "x"]})


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_folder(tmp_path, monkeypatch)
    return tmp_path


def mood(**changed: Any) -> dict[str, Any]:
    from ruamel.yaml import YAML

    return {**YAML(typ="safe").load(MOOD), **changed}


@pytest.fixture
async def data() -> targen.Generated:
    return await targen.generate("mood", model="simulator")


def test_the_import_loads_nothing_and_the_api_loads_no_dagster() -> None:
    code = (
        "import sys, targen; assert not {'polars', 'pydantic', 'targen.api'} & {*sys.modules}; "
        "targen.generate; assert not [name for name in sys.modules if name.startswith('dagster')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    assert {*targen.__all__} <= {*dir(targen)}
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        targen.nope  # noqa: B018


async def test_rows_are_those_of_a_preview_and_a_second_call_is_free(
    data: targen.Generated, place: Path
) -> None:
    asked = ["preview", "mood", "--rows", "8", "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, app, asked)
    rows = json.loads(result.output)["rows"]
    kept = {row["instance_id"] for row in rows if row["outcome"] in ("kept", "relabelled")}
    assert {*data.rows["instance_id"]} == kept and data.rows.height == 8
    again = targen.generate_sync(place / "tasks/mood.yaml", model="simulator")
    assert again.rows.equals(data.rows)
    assert [used.calls for used in again.usage.values()] == [0] * 6
    assert "0 calls" in repr(again) and "simulated, not training data" in repr(again)
    # Every item is a row or a rejection with a reason.
    assert data.steps["instances"].asked == data.frames["instances"].height + sum(
        data.rejected["step"] == "instances"
    )
    assert not [*(place / "data").rglob("*.parquet")]


async def test_a_mapping_is_the_task_of_the_same_file(data: targen.Generated) -> None:
    same = await targen.generate(mood(), model="simulator")
    assert same.rows.equals(data.rows)
    child = {"name": "child", "extends": "mood", "rows": 2}
    assert targen.load_task(child).ancestors == ("mood",)
    assert targen.load_task("mood", rows=4).rows == 4


async def test_the_simulator_is_named_if_no_model_is_set() -> None:
    with pytest.warns(targen.SimulatorWarning, match="No model is set, so the simulator makes"):
        data = await targen.generate("mood", 2)
    assert data.simulated
    report = targen.report(data)
    assert report.json["simulated"] is True and "simulator" in report.html()


async def test_model_address_and_key_reach_the_endpoint() -> None:
    async with Endpoint(lambda _, __: failure(401, "wrong key")) as endpoint:
        with pytest.raises(targen.TargenError, match="wrong key"):
            await targen.generate("mood", model="m", base_url=endpoint.url, api_key="sk-own")
    assert endpoint.bodies[0]["model"] == "m"


async def test_an_audit_verifies_every_row_and_finds_a_changed_one(data: targen.Generated) -> None:
    for name in data.rows["instance_id"]:
        assert targen.audit(name, data).verdict == "verified"
    stored = data.steps[CORRECTED_SET]
    other = pl.when(pl.col("label") == "glad").then(pl.lit("sad")).otherwise(pl.lit("glad"))
    changed = replace(stored, table=stored.table.with_columns(label=other))
    wrong = replace(data, steps={**data.steps, CORRECTED_SET: changed})
    audit = targen.audit(data.rows.row(0, named=True), wrong)
    assert audit.verdict == "wrong"
    assert any("corrected_set" in one and "column label" in one for one in audit.findings)
    assert "<iframe sandbox" in audit._repr_html_()


async def test_a_report_of_a_frame_is_that_of_its_file(place: Path) -> None:
    FRAME.write_csv(place / "rows.csv")
    frame = targen.report(FRAME, text="text", label="kind")
    file = targen.report(place / "rows.csv", text=["text"], label="kind")
    assert frame.figures.equals(file.figures)
    renamed = targen.report(
        FRAME.with_columns(kind=pl.Series([1, 0, 1])),
        task=mood(), columns={"note": "text", "label": "kind"}, labels={"glad": 1, "sad": 0},
    )  # fmt: skip
    assert renamed.value("rows") == 3
    assert {*renamed.figures["slice"]} >= {"glad", "sad"}


async def wrong(call: Any) -> str:
    with pytest.raises(targen.TargenError) as raised:
        made = call()
        if hasattr(made, "__await__"):
            await made
    return str(raised.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: targen.load_task("mod"), "no task 'mod'; did you mean 'mood'?"),
        (lambda: targen.load_task(3), "A task is a name, the path of a file or a mapping, not int"),
        (
            lambda: targen.load_task(Path("mood.json")),
            "mood.json: the name of a task file must end in .yaml.",
        ),
        (lambda: targen.load_task({}), "task: name: a task needs a `name` that is text"),
        (lambda: targen.load_task(mood(rowz=3)), "task: rowz: unknown key; did you mean 'rows'?"),
        (lambda: targen.load_task("mood", rows=0), "whole number of at least 1, not 0"),
        (lambda: targen.load_task("mood", rows=True), "whole number of at least 1, not True"),
        (lambda: targen.generate("mood", model=" "), "`model` must name a model"),
        (lambda: targen.generate("mood", model=5), "of the endpoint, not 5"),
        (lambda: targen.generate("mood", model="m", budget_usd="5"), "such as 2.50, not '5'"),
        (lambda: targen.generate("mood", base_url="http://h/v1"), "`base_url` needs a model"),
        (lambda: targen.generate("mood", model="simulator", api_key="k"), "has no endpoint"),
        (lambda: targen.generate("mood", model="m", budget_usd=-1), "amount such as 2.50, not -1"),
        (lambda: targen.generate("mood", model="m", concurrency=0), "of at least 1, not 0"),
        (
            lambda: targen.generate({"report_only": True, "name": "own", "fields": ["a"]}),
            "own is for reports only (`report_only`); it cannot make rows.",
        ),
        (lambda: targen.report(FRAME), 'Name the columns with text, such as text=["subject"'),
        (lambda: targen.report(FRAME, text="txt"), "`text` txt: the frame has no such column"),
        (lambda: targen.report(FRAME.clear(), text="text"), "The frame has no rows."),
        (lambda: targen.report([1], text="text"), "not builtins.list."),
        (lambda: targen.report(FRAME, text="text", task="mood"), "not both"),
        (lambda: targen.report("no.csv", text="text"), "no.csv"),
        (lambda: targen.audit({}), "Give a row's `instance_id`"),
    ],
)
async def test_an_error_is_one_sentence(call: Any, message: str) -> None:
    assert message in await wrong(call)


async def test_an_unknown_row_is_named(data: targen.Generated) -> None:
    assert "These tables have no id 'x'" in await wrong(lambda: targen.audit("x", data))
    assert "has the id 'x'" in await wrong(lambda: targen.audit("x"))
    assert "give no other argument" in await wrong(lambda: targen.report(data, text="note"))
