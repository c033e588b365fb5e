"""`targen export`: files in the forms asked for, and one clear error for what cannot be."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from targen.cli import app
from targen.tables.files import Stored
from tests.support.samples import corrected, corrected_of, instances_of, stored
from tests.support.specs import RECIPES, TASKS, real_task

runner = CliRunner()


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(TASKS))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.chdir(tmp_path)
    made = [stored(tmp_path / "data", *corrected_of(task)) for task in ("boolq", "copa")][-1]
    for name, count in (("rte", 40), ("rte-zerogen", 80)):
        spec = real_task(name)
        rows = corrected(
            spec,
            [{"premise": f"{name} {'xyz'[n % 3] * n}", "hypothesis": str(n) * 9,
              "label": ("entailment", "not_entailment")[n % 2]} for n in range(count)],
        )  # fmt: skip
        made.write("corrected_set", name, Stored(rows))
        made.write("instances", name, Stored(instances_of(spec, rows)))
    return made


def told(*words: str, status: int = 0) -> str:
    result = runner.invoke(app, ["export", *words])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_superglue_is_the_default_and_lies_where_loaders_look(tmp_path: Path) -> None:
    output = told("rte")
    folder = tmp_path / "export" / "rte" / "RTE"
    assert {path.name for path in folder.iterdir()} == {"train.jsonl", "val.jsonl", "test.jsonl"}
    assert f"{Path('export/rte/RTE/train.jsonl')}: 32 rows" in output
    whole = [line for name in ("train", "val", "test") for line in lines(folder / f"{name}.jsonl")]
    assert len(whole) == 40
    assert [line["idx"] for line in lines(folder / "val.jsonl")] == [0, 1, 2, 3]


def test_a_task_that_is_none_of_the_eight_goes_out_as_json_lines(tmp_path: Path, tables) -> None:
    spec = real_task("ticket_urgency")
    labels = ("low", "high")
    rows = [{"subject": str(n), "body": str(n) * 9, "label": labels[n % 2]} for n in range(20)]
    made = corrected(spec, rows)
    tables.write("corrected_set", spec.name, Stored(made))
    tables.write("instances", spec.name, Stored(instances_of(spec, made)))
    told("ticket_urgency", "--whole")
    found = lines(tmp_path / "export" / "ticket_urgency" / "all.jsonl")
    assert {line["instance_id"] for line in found} == set(made["instance_id"])


def test_every_line_has_its_source(tmp_path: Path) -> None:
    told("rte-zerogen", "--format", "instructions")
    folder = tmp_path / "export" / "rte-zerogen"
    for name in ("train", "validation", "test"):
        talks, sources = lines(folder / f"{name}.jsonl"), lines(folder / f"sources/{name}.jsonl")
        assert len(talks) == len(sources) > 0
        assert {source["task"] for source in sources} == {"rte-zerogen"}
    told("rte")
    assert len(lines(tmp_path / "export/rte/sources/val.jsonl")) == 4


@pytest.mark.parametrize("words", [("--format", "instructions"), ("--format", "superglue"), ()])
def test_load_dataset_reads_rows_and_no_sources(tmp_path: Path, words) -> None:
    datasets = pytest.importorskip("datasets")
    task = ("rte",) if words else ("--tasks", "rte,rte-zerogen", "--whole")
    told(*task, *words)
    folder = tmp_path / "export" / ("rte" if words else "mixture")
    made = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    splits = {"train": 32, "validation": 4, "test": 4}
    assert {name: split.num_rows for name, split in made.items()} == (
        splits if words else {"train": 120}
    )
    assert "instance_id" not in made["train"].column_names


def test_a_readme_of_the_user_stays_and_that_of_an_export_goes(tmp_path: Path) -> None:
    readme = tmp_path / "export/rte/README.md"
    told("rte")
    assert "split: validation, path: RTE/val.jsonl" in readme.read_text()
    told("rte", "--format", "csv")
    assert not readme.exists()
    readme.write_text("mine")
    told("rte")
    assert readme.read_text() == "mine"


def test_tables_for_spreadsheets(tmp_path: Path, tables) -> None:
    told("rte", "--format", "csv")
    told("rte", "--format", "tsv", "--whole")
    folder = tmp_path / "export" / "rte"
    assert {path.name for path in folder.iterdir()} == {"all.tsv"}
    read = pl.read_csv(folder / "all.tsv", separator="\t", infer_schema=False)
    assert read.height == 40
    assert set(read["instance_id"]) == set(tables.read("corrected_set", "rte").table["instance_id"])


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_plain_tables_hold_the_same_rows(tmp_path: Path, form: str, tables) -> None:
    told("rte", "--format", form, "--output", "elsewhere")
    read = pl.read_parquet if form == "parquet" else pl.read_ndjson
    parts = [read(tmp_path / f"elsewhere/rte/{n}.{form}") for n in ("train", "validation", "test")]
    rows = pl.concat(parts).sort("instance_id")
    expected = tables.read("corrected_set", "rte").table.select(rows.columns)
    assert rows.equals(expected.sort("instance_id"))


def test_another_export_leaves_no_stale_split_and_no_other_file_goes(tmp_path: Path) -> None:
    told("rte", "--format", "jsonl")
    folder = tmp_path / "export" / "rte"
    own = folder / "my.jsonl"
    own.write_text("{}")
    told("rte", "--format", "jsonl", "--whole")
    assert {path.name for path in folder.iterdir()} == {"all.jsonl", "my.jsonl"}
    assert len(lines(folder / "all.jsonl")) == 40


def test_a_mixture_keeps_its_weights_and_its_splits(tmp_path: Path) -> None:
    told("--tasks", "rte,rte-zerogen", "--weights", "1,2")
    folder = tmp_path / "export" / "mixture"
    sources = {name: lines(folder / f"sources/{name}.jsonl") for name in ("train", "validation")}
    tasks = [source["task"] for source in sources["train"]]
    assert (tasks.count("rte"), tasks.count("rte-zerogen")) == (32, 64)
    ids = [{(s["task"], s["instance_id"]) for s in part} for part in sources.values()]
    assert len(ids[0]) == 96 and len(ids[1]) == 12 and not ids[0] & ids[1]
    assert len(lines(folder / "train.jsonl")) == 96
    talk = lines(folder / "train.jsonl")[0]["messages"]
    assert tasks[0] == ("rte-zerogen" if "rte-zerogen" in talk[1]["content"] else "rte")
    told("--tasks", "rte,rte-zerogen", "--rows", "9", "--seed", "4")
    assert len(lines(folder / "train.jsonl")) == 9


def test_rows_of_the_embedded_model_are_called_what_they_are(tables) -> None:
    report = {"json": json.dumps({"simulated": True})}
    tables.write("quality_report", "rte", Stored(pl.DataFrame(), pages=report))
    assert "rte: made by the simulator; not training data" in told("rte")
    assert "not training data" not in told("copa")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Give one task, or several"),
        (["rte", "--tasks", "rte"], "Give one task, or several"),
        (["rtee"], "no task 'rtee'; did you mean 'rte'?"),
        (["rte", "--format", "xlsx"], "Choose one of superglue, instructions, preference, parquet"),
        (["rte", "--weights", "1"], "apply to a mixture"),
        (["--tasks", "rte,rte"], "name each task once"),
        (["--tasks", "rte,,copa"], "name each task once"),
        (["--tasks", "rte,copa", "--weights", "1"], "one number above 0 for each of the 2"),
        (["--tasks", "rte,copa", "--weights", "1,nan"], "one number above 0"),
        (["--tasks", "rte,copa", "--weights", "1,-1"], "one number above 0"),
        (["--tasks", "rte,copa", "--format", "parquet"], "supports --format instructions only"),
        (["--tasks", "rte,copa", "--format", "superglue"], "supports --format instructions only"),
        (["--tasks", "rte,copa", "--weights", "1,1", "--rows", "99"], "Request at most"),
        (
            ["ticket_urgency", "--format", "superglue"],
            "has no SuperGLUE format; only axg, boolq",
        ),
        (["cb"], "does not exist. Run `make run TASK=cb`"),
    ],
)
def test_what_cannot_be_ends_in_one_error(words: list[str], message: str) -> None:
    output = told(*words, status=1)
    assert message in output and output.startswith("error: ")


def test_a_set_without_rows_is_an_error(tables) -> None:
    _, rows = corrected_of("copa")
    tables.write("corrected_set", "copa", Stored(rows.clear()))
    assert "The corrected set of copa has no row" in told("copa", status=1)
