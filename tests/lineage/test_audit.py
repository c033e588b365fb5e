"""What an audit proves: whole ways verified, and every changed byte found and named."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from targen.lineage.audit import Audit, Auditor, verdict_of
from targen.operators.verify import ROW_CHECKS
from targen.steps import CORRECTED_SET, QUALITY_REPORT, ROW_STEPS, TARGETS, schema
from targen.store import table_digests
from targen.store.completions import Store
from targen.tables.files import Stored, Tables
from targen.tables.storage import LocalStorage
from tests.lineage.conftest import TASKS
from tests.support.audited import store_url

Opened = Callable[[Path], Auditor]


def all_of(auditor: Auditor, task: str) -> tuple[list[Audit], str]:
    """Return the audits of every finished row, and the findings that are no notes as one text."""
    audits = auditor.audit(task, auditor.sample(task, 1000, 0))
    findings = [f for one in audits for f in [*one.findings, *one.file_findings]]
    findings += auditor.check_files(task)
    return audits, "\n".join(str(f) for f in findings if f.level != "note")


@pytest.mark.parametrize("task", TASKS)
def test_every_row_and_every_rejected_item_is_verified(
    original: Path, opened: Opened, task: str
) -> None:
    auditor = opened(original)
    audits, findings = all_of(auditor, task)
    rows = auditor.tables(task).file(CORRECTED_SET).frame
    assert rows is not None
    assert len(audits) == rows.height >= TASKS[task] - 2
    assert findings == ""
    for step in ROW_STEPS:
        rejected = auditor.tables(task).file(f"rejected/{step}").frame
        ids = [] if rejected is None else rejected["item_id"].to_list()
        again = auditor.audit(task, ids)
        assert len(again) == len(ids)
        assert [str(f) for one in again for f in one.findings if f.level != "note"] == []


def test_a_way_leads_from_the_terms_to_the_row(original: Path, opened: Opened) -> None:
    auditor = opened(original)
    (made,) = auditor.audit("axg", auditor.sample("axg", 1, 3))
    tables = [item.asset for item in made.lineage.items if item.role == "own"]
    assert tables == sorted(tables, key=ROW_STEPS.index)
    assert {*tables} == {*ROW_STEPS}
    assert made.lineage.one("labels", "twin") is not None
    # The other half has its own annotation and correction, and no text of its own.
    assert len(made.completions) == len(made.own) + 2
    assert all(made.completions[name].raw for name in made.own)


def test_rows_that_grew_from_rows_have_their_parents(original: Path, opened: Opened) -> None:
    auditor = opened(original)
    audits, _ = all_of(auditor, "rte-data-creator")
    deep = [one for one in audits if one.lineage.of("instances", "parent")]
    assert deep
    for one in deep:
        order = [item.row["depth"] for item in one.lineage.items if item.asset == "instances"]
        assert order == sorted(order)
        assert len(one.completions) > len(one.own)


def test_the_filter_calls_of_attribute_values_are_on_the_way(
    original: Path, opened: Opened
) -> None:
    auditor = opened(original)
    audits, _ = all_of(auditor, "sentiment-attrprompt")
    asked = {
        one.asked["schema_name"] for a in audits for one in a.completions.values() if one.asked
    }
    assert {"terms", "relevance", "instances"} <= asked


def test_what_the_user_brought_needs_no_completion(original: Path, opened: Opened) -> None:
    audits, _ = all_of(opened(original), "inbox")
    assert all(
        one.lineage.by_id["instances", one.lineage.item_id].row["request_id"] is None
        for one in audits
    )


def other_than(value: Any, random_: random.Random) -> Any:
    """Return a value that differs in little."""
    if isinstance(value, str) and value:
        place = random_.randrange(len(value))
        return value[:place] + ("q" if value[place] != "q" else "z") + value[place + 1 :]
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, list):
        if value and isinstance(value[0], str):
            return [other_than(value[0], random_), *value[1:]]
        if value and isinstance(value[0], dict):
            return [{**value[0], "value": other_than(value[0]["value"], random_)}, *value[1:]]
        return None
    return None


@pytest.mark.parametrize("step", ROW_STEPS)
@pytest.mark.parametrize("task", ["axg", "rte-data-creator"])
def test_one_changed_value_is_named_by_file_row_and_column(
    data: Path, opened: Opened, task: str, step: str
) -> None:
    path = data / step / f"{task}.parquet"
    before = path.read_bytes()
    frame, metadata = pl.read_parquet(path), pl.read_parquet_metadata(path)
    metadata.pop("ARROW:schema", None)
    random_ = random.Random(f"{task} {step}")
    for column in frame.columns:
        rows = frame.to_dicts()
        place = random_.randrange(len(rows))
        changed = other_than(rows[place][column], random_)
        if changed is None:
            continue
        name = rows[place][frame.columns[0]]
        rows[place][column] = changed
        after = pl.DataFrame(rows, schema=frame.schema)
        after.write_parquet(path, metadata=metadata)
        _, findings = all_of(opened(data), task)
        name = after[frame.columns[0]][place]
        expected = f"{step}/{task}.parquet, row {name}, column {column}: it is not what run run-1"
        assert expected in findings
    path.write_bytes(before)
    assert all_of(opened(data), task)[1] == ""


def test_a_changed_row_is_found_also_without_the_record(data: Path, opened: Opened) -> None:
    with sqlite3.connect(data / "completions.db") as raw:
        raw.execute("DELETE FROM table_digests")
    raw.close()
    audits, findings = all_of(opened(data), "rte")
    assert all(one.verdict == "unverifiable" for one in audits)
    assert "the store has no record of this file" in findings
    path = data / "corrected_set" / "rte.parquet"
    frame, metadata = pl.read_parquet(path), pl.read_parquet_metadata(path)
    metadata.pop("ARROW:schema", None)
    name = frame["instance_id"][0]
    changed = pl.col("instance_id") == name
    for column in ("premise", "label", "reason", "annotated_label"):
        value = pl.when(changed).then(pl.lit("other")).otherwise(pl.col(column))
        frame.with_columns(value.alias(column)).write_parquet(path, metadata=metadata)
        audits, findings = all_of(opened(data), "rte")
        assert f"corrected_set, row {name}, column {column}: " in findings
        assert [one.lineage.item_id for one in audits if one.verdict == "wrong"] == [name]


@pytest.mark.parametrize(
    ("task", "step", "column"),
    [
        ("sentiment-attrprompt", "vocabularies", "term"),
        ("sentiment-attrprompt", "contexts", "text"),
        ("stories-hierarchical", "contexts", "text"),
        ("rte", "contexts", "text"),
        ("rte", "seeds", "fields"),
        ("rte", "instances", "hypothesis"),
        ("rte-data-creator", "instances", "depth"),
        ("axg", "labels", "label"),
    ],
)
def test_a_value_that_no_record_keeps_is_held_against_its_completion(
    data: Path, opened: Opened, task: str, step: str, column: str
) -> None:
    with sqlite3.connect(data / "completions.db") as raw:
        raw.execute("DELETE FROM table_digests")
    raw.close()
    path = data / step / f"{task}.parquet"
    frame, metadata = pl.read_parquet(path), pl.read_parquet_metadata(path)
    metadata.pop("ARROW:schema", None)
    auditor = opened(data)
    ways = [one.lineage for one in auditor.audit(task, auditor.sample(task, 1000, 0))]
    on_the_way = {item.item_id for way in ways for item in way.items if item.asset == step}
    ids, rows = frame[frame.columns[0]].to_list(), frame.to_dicts()
    # Of the terms one that a row shows; others only led to it.
    shown = [n for n, row in enumerate(rows) if row.get("category", "product") == "product"]
    place = next(n for n in shown if ids[n] in on_the_way)
    value = rows[place][column]
    # Still JSON, where it is JSON.
    changed = value + 1 if column == "depth" else value.replace("e", "q")
    assert changed != value
    rows[place][column] = changed
    pl.DataFrame(rows, schema=frame.schema).write_parquet(path, metadata=metadata)
    audits, findings = all_of(opened(data), task)
    # The column is its own, or the id that is its digest.
    assert f"{step}, row {ids[place]}, column " in findings
    assert any(one.verdict == "wrong" for one in audits)


@pytest.mark.parametrize("number", range(12))
def test_a_flipped_byte_of_a_file_is_found(data: Path, opened: Opened, number: int) -> None:
    random_ = random.Random(number)
    path = data / random_.choice(ROW_STEPS) / "rte.parquet"
    content = bytearray(path.read_bytes())
    content[random_.randrange(len(content))] ^= 1 << random_.randrange(8)
    path.write_bytes(content)
    auditor = opened(data)
    findings = [f for f in auditor.check_files("rte") if f.level == "wrong"]
    assert findings
    assert all(f.where.startswith(f"{path.parent.name}/rte.parquet") for f in findings)


def with_pages(folder: Path) -> dict[str, Path]:
    """Write the report and the targets of `rte`, and return key -> path of their files."""
    tables, paths = Tables(LocalStorage(str(folder))), {}
    with closing(Store(store_url(folder))) as store:
        for step, suffixes in ((QUALITY_REPORT, ("json", "html")), (TARGETS, ("html", "yaml"))):
            frame = pl.DataFrame(schema=schema(step, {}))
            stored = Stored(frame, step_digest="d", pages=dict.fromkeys(suffixes, "text"))
            written = tables.write(step, "rte", stored)
            table_digests.record(store, written, {"step_digest": "d"}, "run-2")
            paths |= {file.key: folder / file.key for file in written}
    return paths


def test_a_changed_page_of_report_or_targets_is_found(data: Path, opened: Opened) -> None:
    paths = with_pages(data)
    assert opened(data).check_files("rte") == []
    # People edit the file of targets.
    paths.pop("targets/rte.yaml").write_text("edited")
    assert opened(data).check_files("rte") == []
    for key, path in paths.items():
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        found = opened(data).check_files("rte")
        assert verdict_of(found) == "wrong"
        assert {one.where for one in found} == {key}
        path.write_bytes(before)


def test_a_lost_file_is_found(data: Path, opened: Opened) -> None:
    paths = with_pages(data)
    paths.pop("targets/rte.yaml").unlink()
    paths |= {key: data / key for key in ("seeds/rte.parquet", "rejected/labels/rte.parquet")}
    for key, path in paths.items():
        before = path.read_bytes()
        path.unlink()
        found = opened(data).check_files("rte")
        assert verdict_of(found) == "unverifiable"
        assert [one.where for one in found] == [key]
        assert "wrote it, and it is missing" in found[0].what
        path.write_bytes(before)


def flipped(packed: bytes, random_: random.Random) -> bytes:
    """Return a packed text with one letter changed, packed as the store does it."""
    text = bytearray(zstandard.decompress(packed))
    letters = [i for i, byte in enumerate(text) if chr(byte).isalpha()]
    text[random_.choice(letters)] ^= 1
    return zstandard.ZstdCompressor(level=1).compress(bytes(text))


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("column", ["raw", "identity"])
def test_a_flipped_byte_of_a_completion_is_found_and_named(
    data: Path, opened: Opened, column: str, number: int
) -> None:
    random_ = random.Random(f"{column} {number}")
    auditor = opened(data)
    (before,) = auditor.audit("rte", auditor.sample("rte", 1, number))
    name = random_.choice(before.own)
    with sqlite3.connect(data / "completions.db") as raw:
        query = f"SELECT {column} FROM completions WHERE request_id = ?"
        (packed,) = raw.execute(query, (name,)).fetchone()
        if number % 2:
            # As the store keeps it: whatever comes of unpacking it.
            changed = bytearray(packed)
            changed[random_.randrange(len(changed))] ^= 1 << random_.randrange(8)
        else:
            changed = bytearray(flipped(packed, random_))
        raw.execute(
            f"UPDATE completions SET {column} = ? WHERE request_id = ?", (bytes(changed), name)
        )
    raw.close()
    (after,) = opened(data).audit("rte", [before.lineage.item_id])
    assert after.verdict == "wrong"
    assert f"completion {name}" in {f.where for f in after.findings if f.level == "wrong"}


@pytest.mark.parametrize(
    ("column", "value"),
    [("run_id", "other"), ("cost_usd", 0.5), ("created_at", 1.0), ("served_model", "x")],
)
def test_a_changed_account_of_a_completion_is_found(
    data: Path, opened: Opened, column: str, value: Any
) -> None:
    auditor = opened(data)
    (before,) = auditor.audit("rte", auditor.sample("rte", 1, 0))
    with sqlite3.connect(data / "completions.db") as raw:
        raw.execute(
            f"UPDATE completions SET {column} = ? WHERE request_id = ?", (value, before.own[0])
        )
    raw.close()
    (after,) = opened(data).audit("rte", [before.lineage.item_id])
    assert f"completion {before.own[0]}: it is not what was stored" in str(after.findings[0])


def test_a_lost_completion_makes_a_row_unverifiable(data: Path, opened: Opened) -> None:
    auditor = opened(data)
    (before,) = auditor.audit("rte", auditor.sample("rte", 1, 0))
    with sqlite3.connect(data / "completions.db") as raw:
        raw.execute("DELETE FROM completions WHERE request_id = ?", (before.own[-1],))
    raw.close()
    (after,) = opened(data).audit("rte", [before.lineage.item_id])
    assert after.verdict == "unverifiable"
    assert before.own[-1] in str(after.findings[0])


def test_a_lost_store_leaves_the_way_and_no_proof(original: Path) -> None:
    auditor = Auditor(LocalStorage(str(original)), ROW_CHECKS, None, "there is no completion store")
    (made,) = auditor.audit("rte", auditor.sample("rte", 1, 0))
    assert made.verdict == "unverifiable"
    assert {item.asset for item in made.lineage.items} >= {
        "contexts",
        "seeds",
        "instances",
        "labels",
    }
    assert not made.completions


def test_a_lost_table_is_a_hole_and_the_rest_is_walked(data: Path, opened: Opened) -> None:
    (data / "seeds" / "rte.parquet").unlink()
    auditor = opened(data)
    (made,) = auditor.audit("rte", auditor.sample("rte", 1, 0))
    assert made.verdict == "unverifiable"
    assert "seeds/rte.parquet cannot be used, the file is missing" in str(made.findings[0])
    assert made.lineage.one("contexts") is not None


def test_a_row_that_ended_nowhere_is_found(data: Path, opened: Opened) -> None:
    auditor = opened(data)
    name = auditor.sample("rte", 1, 0)[0]
    path = data / "corrected_set" / "rte.parquet"
    metadata = pl.read_parquet_metadata(path)
    metadata.pop("ARROW:schema", None)
    pl.read_parquet(path).filter(pl.col("instance_id") != name).write_parquet(
        path, metadata=metadata
    )
    auditor = opened(data)
    (made,) = auditor.audit("rte", [name])
    assert "neither in corrected_set" in "".join(map(str, made.findings))
    found = auditor.check_files("rte")
    assert verdict_of(found) == "wrong"
    assert "8 rows were written, 7 were found" in str(found[0])


def test_an_id_that_nobody_has_gives_nothing(original: Path, opened: Opened) -> None:
    auditor = opened(original)
    assert auditor.audit("rte", ["0" * 16, "", "../../etc/passwd"]) == []
    assert auditor.find("' OR 1=1", auditor.tasks()) == []


@pytest.mark.parametrize(
    ("column", "part", "value", "says"),
    [
        ("readings", "label", "other", "differ from the answer of first"),
        ("readings", "flaw", "ambiguous", "differ from the answer of first"),
        ("readings", "naturalness", 1, "differ from the answer of first"),
        ("readings", "constraint_met", False, "differ from the answer of first"),
        ("readings", "weight", 0.0, "confidence: does not follow from the readings"),
        ("readings", "request_id", "f" * 64, "are not those of the instance"),
        ("label", None, "other", "label: does not follow from the readings"),
        ("corrected_label", None, "other", "corrected_label: does not follow from the readings"),
        ("confidence", None, 0.5, "confidence: does not follow from the readings"),
        ("flaw", None, "incoherent", "flaw: does not follow from the readings"),
        ("intended_label", None, "other", "give the writer or the annotator another label"),
    ],
)
def test_a_changed_reading_of_a_panel_is_named(
    data: Path, opened: Opened, column: str, part: str | None, value: Any, says: str
) -> None:
    path = data / "corrected_set/rte-panel.parquet"
    frame, metadata = pl.read_parquet(path), pl.read_parquet_metadata(path)
    metadata.pop("ARROW:schema", None)
    rows = frame.to_dicts()
    row = rows[0]
    first = next(one for one in row["readings"] if one["reader"] == "first")
    changed, name = (row, column) if part is None else (first, part)
    if value == "other":
        value = "entailment" if changed[name] == "not_entailment" else "not_entailment"
    changed[name] = value
    pl.DataFrame(rows, schema=frame.schema).write_parquet(path, metadata=metadata)
    (made,) = opened(data).audit("rte-panel", [row["instance_id"]])
    assert says in "\n".join(map(str, made.findings))
