"""`targen train` on a task's own table and a file of gold rows."""

import json

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed: make test-train")

from typer.testing import CliRunner

from targen.cli import app
from targen.steps import frame, schema
from targen.tables.files import Stored, Tables
from targen.tables.storage import open_storage
from tests.support.specs import RECIPES, write_task
from tests.training.test_examples import QUIZ, quiz_rows
from tests.training.test_finetune import both, folders, quiz, rows, spec  # noqa: F401


def test_it_prints_and_writes_its_figures(tmp_path, monkeypatch, folders) -> None:  # noqa: F811
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(write_task(tmp_path / "tasks")))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    columns = schema("corrected_set", {"note": "text"})
    made = [{**row, "request_ids": []} for row in rows(48).to_dicts()]
    Tables(open_storage(str(tmp_path / "data"))).write(
        "corrected_set", "mood", Stored(frame(made, columns))
    )
    gold = tmp_path / "gold.jsonl"
    gold.write_text(
        "".join(json.dumps(row) + "\n" for row in rows(64).drop("instance_id").to_dicts())
    )
    words = ["train", "mood", "--model", folders["encoder"], "--gold", str(gold), "--seeds", "1"]
    words += ["--epochs", "10", "--learning-rate", "0.003", "--output", str(tmp_path / "out.json")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "set to gold" in result.output and "v_information" in result.output
    figures = json.loads((tmp_path / "out.json").read_text())
    assert [score["name"] for score in figures["scores"]] == [
        "set to gold",
        "gold to gold",
        "set minus gold",
        "v_information",
    ]


def test_several_tasks_are_one_model_and_each_has_its_figures(
    tmp_path,
    monkeypatch,
    both,  # noqa: F811
) -> None:
    write_task(tmp_path / "tasks")
    write_task(tmp_path / "tasks", QUIZ, "quiz")
    (tmp_path / "gold").mkdir()
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(tmp_path / "tasks"))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TARGEN_REFERENCES_DIR", str(tmp_path / "gold"))
    tables = Tables(open_storage(str(tmp_path / "data")))
    words = ["train", "mood", "quiz", "--model", both["encoder"], "--seeds", "1"]
    for name, made, fields in (
        ("mood", rows(16), {"note": "text"}),
        ("quiz", quiz_rows(16), {"question": "text", "options": "texts"}),
    ):
        found = [{**row, "request_ids": []} for row in made.to_dicts()]
        table = frame(found, schema("corrected_set", fields))
        tables.write("corrected_set", name, Stored(table))
    gold = {"mood": rows(24), "quiz": quiz_rows(24)}
    (tmp_path / "gold" / "mood.jsonl").write_text(lines(gold["mood"]))
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "quiz: no gold rows to test on" in " ".join(result.output.split())
    (tmp_path / "gold" / "quiz.jsonl").write_text(lines(gold["quiz"]))
    words += ["--pretrain", "mood", "--epochs", "1", "--output", str(tmp_path / "out.json")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "out.json").read_text())
    assert (figures["tasks"], figures["pretrain"]) == (["mood", "quiz"], ["mood"])
    found = {(score["task"], score["metric"]) for score in figures["scores"]}
    assert found == {
        ("mood", "accuracy"),
        ("quiz", "accuracy"),
        ("quiz", "f1"),
        ("mean of tasks", "accuracy"),
    }
    names = {score["name"] for score in figures["scores"]}
    assert names == {
        "set to gold",
        "gold to gold",
        "pretrained, set to gold",
        "pretrained, gold to gold",
        "set minus gold",
    }
    assert len(result.output.strip().splitlines()) == len(figures["scores"]) == 19
    assert "pretrained, gold to gold" in result.output and " F1 (" in result.output


def lines(made) -> str:
    return "".join(json.dumps(row) + "\n" for row in made.drop("instance_id").to_dicts())
