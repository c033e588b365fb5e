"""`targen audit` from the shell: what it says, what it writes, and when its status is 0."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from targen.cli import app
from targen.hashing import digest
from targen.steps import PLANTED, frame, schema
from targen.tables.files import Tables
from targen.tables.storage import LocalStorage

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def here(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_DATA_DIR", str(data))
    monkeypatch.delenv("TARGEN_STORE_URL", raising=False)


def told(*words: str, status: int = 0) -> str:
    result = RUNNER.invoke(app, ["audit", *words])
    assert result.exit_code == status, result.output
    return result.output


def finished(folder: Path, task: str = "rte") -> pl.DataFrame:
    return pl.read_parquet(folder / "corrected_set" / f"{task}.parquet")


def test_a_row_is_told_in_words_as_json_and_as_a_page(data: Path, tmp_path: Path) -> None:
    name = finished(data)["instance_id"][0]
    said = told(name, "--html", str(tmp_path / "row.html"))
    assert re.search(
        r"This row of rte \(slot \d+, label \w+\) was written by the operator "
        r"label_constrained of the recipe targen by targen-embedded at embedded on "
        r"\d{4}-\d\d-\d\d ",
        said,
    )
    for words in ("It comes from seed ", "in context ", "The annotator, ", "The corrector, ",
                  "because: ", "by the policy majority.", "0 USD (simulated)"):  # fmt: skip
        assert words in said
    # A slot whose first answers were rejected has more calls.
    calls = re.search(r"(\d+) calls, ", said)
    assert calls
    assert 5 <= int(calls[1]) <= 8
    assert f"Verified: {calls[1]} completions" in said
    known = json.loads(told(name, "--json"))
    assert known["verdict"] == "verified"
    assert [one["table"] for one in known["tables"]][-2:] == ["labels", "corrected_set"]
    assert all(one["recorded"] and one["operator"] for one in known["tables"])
    for one in known["completions"]:
        assert one["messages"][0]["role"] == "system"
        assert one["raw"] and one["run_id"] == "run-1" and one["created_at"].endswith("Z")
    page = (tmp_path / "row.html").read_text()
    assert all(one["request_id"] in page for one in known["completions"])
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_task_without_tables_is_named(data: Path) -> None:
    for words in (("--sample", "3"), ("some-id",)):
        text = told(*words, "--task", "rtee", status=1)
        assert "has no tables of a task 'rtee'; did you mean 'rte'?" in text


def test_the_name_of_a_task_gets_the_command_that_audits_it() -> None:
    assert "`targen audit --task rte --sample 200` audits its rows" in told("rte", status=1)


def test_every_table_and_rejected_items_can_be_asked_for(data: Path) -> None:
    tables = {"contexts": "context_id", "seeds": "seed_id", "rejected/instances": "item_id"}
    for table, column in tables.items():
        name = pl.read_parquet(data / table / "rte.parquet")[column][0]
        assert "Verified" in told(name, "--task", "rte")
    left = pl.read_parquet(data / "rejected" / "corrected_set" / "rte.parquet")["item_id"][0]
    assert "It was rejected as surplus" in told(left)


def test_a_sample_of_all_tasks_is_verified_and_a_changed_table_is_not(data: Path) -> None:
    known = json.loads(told("--sample", "5", "--json"))
    assert known["verdict"] == "verified"
    assert known["rows"] == sum(made["verified"] for made in known["tasks"].values()) == 44
    assert told("--sample", "3", "--seed", "1").count("3 of     3 rows verified") == 9
    path = data / "labels" / "rte.parquet"
    frame, metadata = pl.read_parquet(path), pl.read_parquet_metadata(path)
    metadata.pop("ARROW:schema", None)
    frame.with_columns(agreement=pl.lit(0.5)).write_parquet(path, metadata=metadata)
    said = told("--sample", "2", "--task", "rte", status=1)
    assert "labels/rte.parquet, row" in said
    assert "column agreement" in said
    assert "NOT VERIFIED" in said


def test_a_lost_store_is_said_and_nothing_is_made_anew(data: Path) -> None:
    (data / "completions.db").unlink()
    said = told(finished(data)["instance_id"][0], status=1)
    assert "UNVERIFIABLE: completion store: There is no completion store sqlite:///" in said
    assert "This row of rte (slot" in said
    assert not (data / "completions.db").exists()


def test_descendants_are_found_down_to_the_finished_rows(data: Path) -> None:
    rows = pl.read_parquet(data / "instances" / "rte.parquet")
    context = rows["context_id"][0]
    want = set(rows.filter(pl.col("context_id") == context)["instance_id"])
    known = json.loads(told("--descendants", context, "--json"))
    got = {(one["table"], one["id"]) for one in known["rows"] if one["task"] == "rte"}
    assert {name for table, name in got if table == "instances"} == want
    ended = {n for t, n in got if t in ("corrected_set", "rejected/corrected_set")}
    assert ended == want
    request = rows["request_id"][0]
    mine = set(rows.filter(pl.col("request_id") == request)["instance_id"])
    known = json.loads(told("--descendants", request, "--json"))
    assert mine <= {one["id"] for one in known["rows"]}
    assert "have no id" in told("--descendants", "f" * 64, status=1)


def test_a_planted_error_comes_from_its_request_and_no_row_does(data: Path) -> None:
    tables = Tables(LocalStorage(str(data)))
    stored = tables.read("corrected_set", "rte")
    row, request = stored.table["instance_id"][0], "a" * 64
    error = {"instance_id": row, "planted_label": "x", "corrected_label": "y"}
    planted = frame([{**error, "request_id": request}], schema(PLANTED, {}))
    tables.write("corrected_set", "rte", replace(stored, planted=planted))
    known = json.loads(told("--descendants", request, "--json"))
    assert known["rows"] == [{"task": "rte", "table": "planted/corrected_set", "id": row}]
    assert "planted/corrected_set" in told("--descendants", row)
    # Made again without, the file of before is nobody's.
    tables.write("corrected_set", "rte", stored)
    assert "have no id" in told("--descendants", request, status=1)


def test_the_help_says_what_an_id_is() -> None:
    said = told("--help")
    assert "[ID]" in said and "[[ID]]" not in said and "instance_id" in said


def test_what_makes_no_sense_is_told(data: Path, tmp_path: Path) -> None:
    assert "Give one of these" in told(status=1)
    assert "Give one of these" in told("abc", "--sample", "2", status=1)
    assert "No table in" in told("\x1b[31mabc", status=1)
    assert "\x1b" not in told("\x1b[31mabc", status=1)
    assert "shows one row" in told("--sample", "2", "--html", str(tmp_path / "x"), status=1)
    name = finished(data)["instance_id"][0]
    (tmp_path / "file").write_text("no folder")
    page = str(tmp_path / "file" / "x")
    assert "name another --html" in told(name, "--html", page, status=1)
    assert "has no tables of a task" in told(name, "--task", "../../etc", status=1)


def release(folder: Path, task: str = "rte") -> Path:
    """Write a release as releases are laid out: rows, where they are from, and a manifest."""
    at = folder / "releases" / task / "draft"
    (at / "data").mkdir(parents=True)
    rows = finished(folder, task).drop("request_ids", "reason")
    rows.head(5).write_parquet(at / "data" / "train.parquet")
    rows.tail(-5).write_parquet(at / "data" / "test.parquet")
    asked = finished(folder, task).select("instance_id", "request_ids")
    asked.write_parquet(at / "provenance.parquet")
    (at / "README.md").write_text("A card.\n")

    def fingerprint(path: Path) -> dict[str, object]:
        content = path.read_bytes()
        return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}

    steps = ("vocabularies", "contexts", "seeds", "instances", "labels", "corrected_set")
    upstream = [f"{step}/{task}.parquet" for step in steps]
    files = [path for path in sorted(at.rglob("*")) if path.is_file()]
    manifest = {
        "task": task,
        "files": {path.relative_to(at).as_posix(): fingerprint(path) for path in files},
        "upstream": {key: fingerprint(folder / key) for key in upstream},
    }
    manifest["version"] = digest(manifest)[:16]
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (at / "manifest.json").write_text(text)
    return at.rename(at.with_name(str(manifest["version"])))


def test_a_release_is_read_back_to_its_completions(data: Path) -> None:
    at = release(data)
    said = told("--release", str(at))
    assert f"Verified: release rte {at.name} with 8 rows; 8 were traced" in said
    request = pl.read_parquet(data / "instances" / "rte.parquet")["request_id"][0]
    known = json.loads(told("--descendants", request, "--json"))
    assert {one.get("release") for one in known["rows"]} >= {f"releases/rte/{at.name}"}


@pytest.mark.parametrize(
    "path", ["data/train.parquet", "README.md", "provenance.parquet", "manifest.json"]
)
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_byte_of_a_release_is_found_and_named(
    data: Path,
    path: str,
    place: float,
) -> None:
    at = release(data)
    content = bytearray((at / path).read_bytes())
    content[int(place * len(content))] ^= 1
    (at / path).write_bytes(content)
    said = told("--release", str(at), status=1)
    assert "NOT VERIFIED" in said
    assert f"wrong    {path}" in said


def test_a_release_whose_tables_were_made_anew_is_held_against_its_completions(
    data: Path,
) -> None:
    at = release(data)
    for path in data.glob("*/rte.parquet"):
        path.unlink()
    said = told("--release", str(at))
    assert "the table has changed since" in said
    assert "8 rows are no longer in the corrected set; their completions still contain them" in said


def test_a_row_that_nobody_made_is_found_in_a_release(data: Path) -> None:
    path = data / "corrected_set" / "rte.parquet"
    before = path.read_bytes()
    frame, metadata = pl.read_parquet(path), pl.read_parquet_metadata(path)
    metadata.pop("ARROW:schema", None)
    frame.with_columns(premise=pl.lit("Invented.")).write_parquet(path, metadata=metadata)
    at = release(data)
    path.write_bytes(before)
    said = told("--release", str(at), status=1)
    assert "column premise: it differs from the corrected set" in said
    assert "no recorded run wrote the version that the release names" in said


def test_what_is_no_release_is_told(data: Path, tmp_path: Path) -> None:
    said = told("--release", str(tmp_path / "none"), status=1)
    assert "is not a release, or it is incomplete" in said
