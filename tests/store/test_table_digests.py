"""What is recorded of a file, and how a changed cell is found by it."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from targen.hashing import digest, sha256_of
from targen.store import table_digests
from targen.store.completions import Store
from targen.tables.files import Stored, Tables
from targen.tables.storage import LocalStorage

FRAME = pl.DataFrame(
    {"a": ["x\u2028y", "line\nbreak", "z"], "n": [1, 2, None], "l": [["p"], [], None]}
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/s.db")
    yield made
    made.close()


def test_a_changed_cell_is_found() -> None:
    cells = table_digests.cells(FRAME)
    assert table_digests.difference(cells, FRAME) == table_digests.Difference((), (), (3, 3))
    other = FRAME.with_columns(n=pl.Series([1, 3, None]))
    assert table_digests.difference(cells, other) == table_digests.Difference(("n",), (1,), (3, 3))
    two = FRAME.with_columns(a=pl.Series(["x", "line\nbreak", "y"]))
    assert table_digests.difference(cells, two) == table_digests.Difference(("a",), (0, 2), (3, 3))


def test_rows_and_columns_that_came_or_went_are_found() -> None:
    cells = table_digests.cells(FRAME)
    assert table_digests.difference(cells, FRAME.head(2)).count == (3, 2)
    assert table_digests.difference(cells, FRAME.drop("n")).columns == ("n",)
    assert table_digests.difference(cells, FRAME.with_columns(m=1)).columns == ("m",)
    swapped = table_digests.difference(cells, FRAME[[1, 0, 2]])
    assert swapped.rows == (0, 1)
    empty = FRAME.clear()
    assert table_digests.difference(table_digests.cells(empty), empty).count == (0, 0)


def test_the_last_record_of_a_file_counts_and_the_ones_before_are_kept(
    store: Store, tmp_path: Path
) -> None:
    tables = Tables(LocalStorage(str(tmp_path)))
    for rows, run in ((FRAME, "one"), (FRAME.head(1), "two"), (FRAME, "three")):
        stored = Stored(rows, rejected=rows, pages={"html": "<p>"})
        written = tables.write("labels", "t", stored)
        assert [file.key for file in written] == [
            "labels/t.html",
            "rejected/labels/t.parquet",
            "labels/t.parquet",
        ]
        table_digests.record(store, written, {"step": "labels"}, run, {"seeds": "seeds/t.parquet"})
    latest = table_digests.recorded(store, "labels/t.parquet")
    assert latest is not None
    assert (latest.run_id, latest.latest) == ("three", True)
    assert latest.made_by == {"step": "labels", "upstream": {"seeds": None}}
    assert latest.data_version == stored.data_version
    table_digests.record(store, tables.write("labels", "t", Stored(FRAME.tail(1))), {}, "four")
    before = table_digests.recorded(store, "labels/t.parquet", latest.sha256)
    assert before is not None
    assert (before.run_id, before.latest) == ("three", False)
    assert table_digests.recorded(store, "labels/t.parquet", "0" * 64) is None
    assert table_digests.recorded(store, "none/t.parquet") is None
    page = table_digests.recorded(store, "labels/t.html")
    assert page is not None
    assert (page.cells, page.data_version) == (None, None)


def test_the_last_records_of_several_files_are_read_together(store: Store, tmp_path: Path) -> None:
    tables = Tables(LocalStorage(str(tmp_path)))
    for task, rows, turn in (
        ("a", FRAME, 1),
        ("b", FRAME, 2),
        ("a", FRAME.head(1), 3),
        ("a", FRAME, 4),
    ):
        written = tables.write("labels", task, Stored(rows))
        table_digests.record(store, written, {"turn": turn}, "run")
    keys = ["labels/a.parquet", "labels/b.parquet", "labels/never.parquet"]
    found = table_digests.latest(store, keys)
    assert {key: made["turn"] for key, made in found.items()} == {keys[0]: 4, keys[1]: 2}


def test_the_digests_of_a_table_in_parts_are_those_of_the_whole():
    frame = pl.DataFrame({"n": range(3_000), "a": ["line\u2028\n\x85", None, "é"] * 1_000})
    head, _, tail = table_digests.cells(frame).partition(b"\n")
    assert json.loads(head) == {
        name: digest(frame.select(name).write_ndjson())[:16] for name in frame.columns
    }
    lines = frame.write_ndjson().split("\n")
    assert len(lines) == 3_001 and tail == b"".join(
        bytes.fromhex(sha256_of(line.encode())[:8]) for line in lines[:-1]
    )
