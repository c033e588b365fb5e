"""`targen report` on other people's files: what it writes, and how it fails."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from targen.cli import app
from tests.quality.test_shortcuts import entailment
from tests.support.endpoint import Endpoint, failure
from tests.support.specs import RECIPES, TASKS

runner = CliRunner()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place to work at, with the repository's tasks."""
    for name in ("TARGEN_MODEL", "TARGEN_STORE_URL", "TARGEN_EMBEDDING_MODEL", "TARGEN_ROWS",
                 "TARGEN_REFERENCES_DIR", "OPENAI_API_KEY", "OPENAI_BASE_URL"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(TASKS))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*words: Any, status: int = 0) -> str:
    result = runner.invoke(app, ["report", *map(str, words)])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def rows(path: Path, count: int = 60, seed: int = 0, **renamed: str) -> Path:
    """Write rows of rte with another file's names of columns."""
    frame = entailment(count, " w1", seed=seed).rename(renamed)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        path.write_text(frame.write_csv() if path.suffix == ".csv" else frame.write_ndjson())
    return path


def test_a_page_a_json_and_a_table_are_written(place: Path) -> None:
    file = rows(place / "mine.csv", premise="text", hypothesis="claim")
    gold = rows(place / "gold.parquet", seed=1, premise="text", hypothesis="claim")
    said = told(file, "--task", "rte", "--reference", gold, "--output", place / "out",
                "--column", "premise=text", "--column", "hypothesis=claim")  # fmt: skip
    read = "Read mine.csv: 60 rows; premise (column text), hypothesis (column claim), label; cells "
    assert said.startswith(f"{read}separated by commas; no empty cells. 60 rows of mine.csv: ")
    assert "out/mine.report.html" in said
    content = json.loads((place / "out" / "mine.report.json").read_text())
    table = pl.read_parquet(place / "out" / "mine.report.parquet")
    assert table.to_dicts() == content["figures"]
    assert {"mean_similarity", "reference_similarity", "utility", "contamination"} < set(
        table["metric"]
    )
    assert content["title"] == "Recognizing Textual Entailment: mine.csv"
    assert content["reference_name"] == "gold"
    assert content["skipped"]["cost_usd"]
    page = (place / "out" / "mine.report.html").read_text()
    assert "Comparison with gold" in page
    assert "Yield and cost" not in page
    assert "to review" not in page
    # The same file gives the same bytes, whatever the folder.
    told(file, "--task", "rte", "--reference", gold, "--output", place / "again",
         "--column", "premise=text", "--column", "hypothesis=claim")  # fmt: skip
    assert (place / "again" / "mine.report.html").read_text() == page


def test_the_tasks_gates_are_judged(place: Path) -> None:
    frame = entailment(20, " w1")
    pl.concat([frame, frame]).write_csv(place / "mine.csv")
    said = told(place / "mine.csv", "--task", "rte")
    assert "of 4 gates not passed" in said
    assert "required: at most 0%" in said
    content = json.loads((place / "reports" / "mine.report.json").read_text())
    passed = {gate["metric"]: gate["passed"] for gate in content["gates"]}
    assert passed["exact_duplicates"] is False
    # These rows have no annotations.
    assert passed["label_noise"] is None
    assert "not measured (" in said
    assert 'href="#gates"' in (place / "reports" / "mine.report.html").read_text()


def test_the_folder_of_references_serves_a_task_that_extends_another(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "gold").mkdir()
    rows(place / "gold" / "rte.jsonl", seed=1)
    monkeypatch.setenv("TARGEN_REFERENCES_DIR", str(place / "gold"))
    told(rows(place / "mine.jsonl"), "--task", "rte-zerogen")
    content = json.loads((place / "reports" / "mine.report.json").read_text())
    assert content["reference_name"] == "rte"
    assert {"utility"} <= {figure["metric"] for figure in content["figures"]}


def test_labels_are_renamed(place: Path) -> None:
    frame = entailment(40, " w1")
    codes = frame["label"].replace_strict({"entailment": 0, "not_entailment": 1})
    frame.with_columns(label=codes).write_parquet(place / "coded.parquet")
    assert "which is not a label of rte (entailment, not_entailment)" in told(
        place / "coded.parquet", "--task", "rte", status=1
    )
    told(place / "coded.parquet", "--task", "rte", "--label", "entailment=0",
         "--label", "not_entailment=1")  # fmt: skip
    content = json.loads((place / "reports" / "coded.report.json").read_text())
    assert content["labels"]["names"] == ["entailment", "not_entailment"]


def test_the_finished_table_of_a_task_can_be_reported_on(place: Path) -> None:
    frame = entailment(40, " w1").with_columns(verdict=pl.lit("kept"), request_ids=pl.lit(["a"]))
    frame.write_parquet(place / "rte.parquet")
    told(place / "rte.parquet", "--task", "rte", "--output", place)
    assert pl.read_parquet(place / "rte.parquet").equals(frame)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("absent.csv", "--task", "rte"), "error: There is no file absent.csv."),
        (("mine.csv", "--task", "rtee"), "no task 'rtee'; did you mean 'rte'?"),
        (("mine.csv", "--task", "boolq"), "has no column for 'passage'"),
        (("mine.csv", "--task", "rte", "--column", "premis=label"), "rte has no such field"),
        (("mine.csv", "--task", "rte", "--column", "premise"), "write COLUMN=FOUND"),
        (("mine.csv", "--task", "rte", "--reference", "no.csv"), "There is no file no.csv"),
        (
            ("mine.txt", "--task", "rte"),
            "must end in .parquet, .jsonl, .ndjson, .json, .csv or .tsv",
        ),
        (("mine.csv", "--task", "rte", "--output", "mine.csv"), "name another --output"),
        (("mine.csv",), "Name the columns of mine.csv with text: --text A,B. It has premise, hyp"),
        (("mine.csv", "--text", "premis"), "no such column; did you mean 'premise'? Cells are"),
        (("mine.csv", "--text", "premise", "--task", "rte"), "Give --task, or --text"),
        (("mine.csv", "--task", "rte", "--label", "a", "--label", "b"), "is already --label a"),
        (("mine.csv", "--task", "no.yaml"), "There is no file no.yaml"),
    ],
)
def test_what_is_wrong_is_one_clear_error(place: Path, words: tuple[str, ...], said: str) -> None:
    rows(place / "mine.csv")
    assert said in told(*words, status=1)


async def test_an_endpoint_without_embeddings_does_not_fail_the_report(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    async with Endpoint(lambda _, __: failure(404, "no such route")) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("TARGEN_EMBEDDING_MODEL", "e")
        await asyncio.to_thread(told, rows(place / "mine.csv"), "--task", "rte")
    content = json.loads((place / "reports" / "mine.report.json").read_text())
    assert "e at http" in content["skipped"]["mean_similarity"]
    assert "gives no embeddings: it answers 404" in content["skipped"]["mean_similarity"]


def test_a_secret_that_only_runs_read_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGEN_API_KEY_SECRET", "a/name")
    monkeypatch.setenv("TARGEN_EMBEDDING_MODEL", "e")
    said = told(rows(place / "mine.csv"), "--task", "rte", status=1)
    assert "Only Dagster runs read TARGEN_API_KEY_SECRET. Set OPENAI_API_KEY" in said
    # The simulator needs no key.
    monkeypatch.delenv("TARGEN_EMBEDDING_MODEL")
    told(place / "mine.csv", "--task", "rte")


def test_own_data_need_no_task(place: Path) -> None:
    frame = entailment(60, " w1").rename({"premise": "The text", "label": "y"})
    frame = frame.with_columns(
        y=pl.when(pl.int_range(60) < 6).then(None).otherwise(pl.col("y") == "entailment")
    )
    (place / "mine.csv").write_text(frame.write_csv(separator=";"))
    said = told("mine.csv", "--text", "The text,hypothesis", "--label", "y",
                "--label", "yes=true,no=false")  # fmt: skip
    assert said.startswith(
        "Read mine.csv: 60 rows; The_text (column The text), hypothesis, label (column y); cells "
        "separated by semicolons; empty cells: label 6. 60 rows of mine.csv: Not fit for release"
    )
    assert "10% of the rows (6) have an empty label." in said
    content = json.loads((place / "reports" / "mine.report.json").read_text())
    assert (content["title"], content["labels"]["names"]) == ("mine.csv", ["no", "yes"])
    # Gold rows have the same columns; a label that only they have counts as well.
    gold = frame.with_columns(y=pl.lit("maybe"))
    gold.write_ndjson(place / "gold.jsonl")
    told("mine.csv", "--text", "The text,hypothesis", "--label", "y", "--reference", "gold.jsonl")
    content = json.loads((place / "reports" / "mine.report.json").read_text())
    assert content["labels"]["names"] == ["false", "maybe", "true"]


def test_a_short_task_file_is_enough(place: Path) -> None:
    rows(place / "mine.jsonl")
    (place / "short.yaml").write_text(
        "report_only: true\nfields: [premise, hypothesis]\n"
        "answer: {labels: [entailment, not_entailment]}\n"
        "gates: [{metric: exact_duplicates, at_most: 0}]\n"
    )
    told("mine.jsonl", "--task", "short.yaml")
    content = json.loads((place / "reports" / "mine.report.json").read_text())
    assert (content["task"], len(content["gates"])) == ("short", 1)


def test_hostile_rows_and_names_stay_text(place: Path) -> None:
    cell = "<script>alert(1)</script>\u202e=cmd|' /C calc'!A0 ../../etc/passwd \x00"
    frame = entailment(40, " w1").with_columns(premise=pl.col("premise") + cell)
    file = place / "<b>mine<.jsonl"
    file.write_text(frame.write_ndjson())
    told(file, "--task", "rte")
    page = (place / "reports" / "<b>mine<.report.html").read_text()
    assert "<script>" not in page
    assert "<b>" not in page
    assert "\u202e" not in page


def test_rows_with_faults_are_listed(place: Path) -> None:
    frame = entailment(40, " w1")
    refused = "I'm sorry, but I cannot help with this request."
    texts = [refused, "=1+1 and some other words", *frame["hypothesis"][2:]]
    frame = frame.with_columns(hypothesis=pl.Series(texts))
    pl.concat([frame, frame[1:2]]).write_csv(place / "mine.csv")
    said = told(place / "mine.csv", "--task", "rte", "--rows", place / "faults.csv")
    assert "are refusals of a model. Drop the refusals." in said
    listed = pl.read_csv(place / "faults.csv", infer_schema=False)
    assert listed.columns == ["row", "faults", "suggested_label", "premise", "hypothesis", "label"]
    found = {row["row"]: row for row in listed.to_dicts()}
    assert "refusals" in found["1"]["faults"].split("; ")
    assert found["1"]["hypothesis"] == refused
    # The last row repeats the second one; a spreadsheet must not calculate its text.
    assert "exact_duplicates" in found["41"]["faults"].split("; ")
    assert found["41"]["hypothesis"].startswith("'=1+1")
    assert f"faults.csv ({listed.height})" in said
    # What is listed is what the figures count.
    content = json.loads((place / "reports" / "mine.report.json").read_text())
    share = {f["metric"]: f["value"] for f in content["figures"] if f["slice"] == "all"}
    for metric in ("refusals", "exact_duplicates", "near_duplicates", "odd_texts"):
        counted = sum(metric in row["faults"].split("; ") for row in found.values())
        assert counted == round(share[metric] * 41), metric


def test_a_text_may_be_called_like_a_reading_of_the_label(place: Path) -> None:
    (place / "one.csv").write_text("intended_label,label\nBuy milk today,do\n")
    said = told(place / "one.csv", "--text", "intended_label")
    read = "Read one.csv: 1 row; intended_label_ (column intended_label), label;"
    assert read in said
    assert "1 row of one.csv: " in said
