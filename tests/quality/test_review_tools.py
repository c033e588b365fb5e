"""Samples for Argilla and Label Studio, and verdicts from what these export."""

import json
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from typer.testing import CliRunner

from targen.cli import app
from targen.errors import TargenError
from targen.quality import review_tools
from targen.tables.files import Stored, Tables
from targen.tables.storage import LocalStorage
from tests.quality.test_review import corrected
from tests.support.specs import MOOD, RECIPES, real_task, spec_of, write_task

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(write_task(tmp_path / "tasks", MOOD)))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.delenv("TARGEN_STORE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    spec = spec_of(tmp_path / "tasks")
    rows = corrected(spec, note=lambda i: f'=note {i} "<b>" & ü')
    tables = Tables(LocalStorage(str(tmp_path / "data")))
    tables.write("corrected_set", "mood", Stored(rows))
    labels = rows.select(
        "instance_id", "intended_label", label="annotated_label",
        votes=pl.concat_list("annotated_label"), agreement=pl.lit(1.0),
        flaws=pl.concat_list(pl.lit("none")), request_ids="request_ids",
    )  # fmt: skip
    tables.write("labels", "mood", Stored(labels))
    return tmp_path


def told(*words: str, status: int = 0) -> str:
    result = runner.invoke(app, ["review", *words])
    assert result.exit_code == status, result.output
    return result.output


def by_argilla(record: dict, label: str, user: str = "u1") -> dict:
    return record | {
        "responses": {
            "verdict": [{"value": label, "user_id": user}],
            "comment": [{"value": "seen", "user_id": user}],
        }
    }


def by_label_studio(task: dict, label: str, user: int = 7) -> dict:
    said = {"verdict": ("choices", label), "comment": ("text", "seen")}
    result = [
        {"from_name": name, "to_name": "note", "value": {kind: [value]}}
        for name, (kind, value) in said.items()
    ]
    return {
        "id": 1, "data": task["data"],
        "annotations": [{"completed_by": user, "was_cancelled": False, "result": result}],
    }  # fmt: skip


def by_json_min(task: dict, label: str) -> dict:
    return {**task["data"], "id": 1, "annotation_id": 2, "annotator": 7, "verdict": label}


@pytest.mark.parametrize(
    ("form", "answer"),
    [("argilla", by_argilla), ("labelstudio", by_label_studio), ("labelstudio", by_json_min)],
)
def test_what_people_answer_there_comes_back_as_verdicts(folder: Path, form: str, answer) -> None:
    assert "20 records" in told("export", "mood", "--rows", "20", "--format", form)
    records = json.loads((folder / f"mood.review.{form}.json").read_text())
    assert len(records) == 20
    stored = pl.read_parquet(folder / "data/corrected_set/mood.parquet")
    label_of = dict(stored.select("instance_id", "label").iter_rows())
    other = {"glad": "sad", "sad": "glad"}
    answered = []
    for number, record in enumerate(records[:10]):
        facts = record.get("metadata") or record["data"]
        label = label_of[facts["instance_id"]]
        answered.append(
            answer(record, "wrong" if number == 9 else other[label] if number < 3 else label)
        )
    (folder / "answers.json").write_text(json.dumps([*answered, *records[10:]]))
    if answer is by_json_min:
        (folder / "answers.json").write_text(json.dumps(answered))
    text = told("import", "answers.json")
    assert "mood: 10 verdicts read, 4 of them wrong" in text
    verdicts = pl.read_parquet(folder / "data/reviews/mood.parquet")
    assert verdicts["right"].sum() == 6 and verdicts["label"].null_count() == 7
    again = told("export", "mood", "--rows", "20", "--format", form, status=1)
    assert "exists. Move it away" in again


def test_two_people_who_differ_are_named(folder: Path) -> None:
    told("export", "mood", "--rows", "4", "--format", "argilla", "--output", "x.argilla.json")
    records = json.loads((folder / "x.argilla.json").read_text())
    both = by_argilla(records[0], "glad")
    both["responses"]["verdict"].append({"value": "sad", "user_id": "u2"})
    (folder / "a.jsonl").write_text(json.dumps(both) + "\n")
    assert "a.jsonl:1" in told("import", "a.jsonl", status=1)
    both["responses"]["verdict"][1]["status"] = "discarded"
    (folder / "a.jsonl").write_text(json.dumps(both) + "\n")
    assert "1 verdict read" in told("import", "a.jsonl")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "is not valid JSON"),
        ('{"a": 1}', "must be a list of records"),
        ('[{"a": 1}]', "record 1 is neither a record of Argilla"),
        ("[]", "must name one task"),
        ('[{"data": {"task": "mood", "instance_id": "zz", "content": "=1"}, "annotations": '
         '[{"result": [{"from_name": "verdict", "value": {"choices": ["glad"]}}]}]}]', "no hash"),
        ('[{"data": {"task": "mood"}, "annotations": [{"result": [null, {"value": 3}]}, 4]}]',
         "contains no verdict"),
        ("[" * 100_000, "is not valid JSON"),
        ('[{"metadata": {}, "fields": {}, "responses": [1]}]', "record 1 is neither"),
        ('[{"metadata": {}, "fields": {}, "responses": {"verdict": 5}}]', "record 1 is neither"),
        ('[{"metadata": {}, "fields": {}, "responses": {"comment": [{"user_id": [1]}]}}]',
         "record 1 is neither"),
        ('[{"data": {}, "annotations": 5}]', "record 1 is neither"),
        ('[{"data": {}, "annotations": [{"result": 5}]}]', "record 1 is neither"),
    ],
)  # fmt: skip
def test_what_is_no_export(folder: Path, text: str, error: str) -> None:
    (folder / "a.json").write_text(text)
    assert error in told("import", "a.json", status=1)


def test_a_file_that_output_names_has_this_name(folder: Path) -> None:
    told("export", "mood", "--rows", "1", "--format", "labelstudio", "--output", "mine.json")
    told("export", "mood", "--rows", "1", "--format", "argilla", "--output", "bare")
    written = {path.name for path in folder.iterdir() if path.is_file()}
    assert written == {"mine.json", "mine.xml", "bare.argilla.json"}


def test_a_format_that_does_not_exist(folder: Path) -> None:
    assert "did you mean 'argilla'?" in told("export", "mood", "--format", "argila", status=1)


def test_the_configuration_is_xml_with_every_label() -> None:
    spec = real_task("ticket_urgency")
    row = {"instance_id": "a", "content": "b", "stratum": "s", "weight": 1.0, "label": "low",
           "subject": "x", "body": "y"}  # fmt: skip
    files = review_tools.records(spec, [row], "labelstudio")
    root = ElementTree.fromstring(files[".labelstudio.xml"])
    choices = [one.get("value") for one in root.iter("Choice")]
    assert choices == [*spec.labels, "wrong"]
    (task,) = json.loads(files[".labelstudio.json"])
    assert {text.get("value") for text in root.iter("Text")} == {"$subject", "$body"}
    assert task["predictions"][0]["result"][0]["value"] == {"choices": ["low"]}


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TargenError, match="Cannot read"):
        review_tools.answers(tmp_path / "none.json")
