"""What is recorded of a file, and how a changed cell is found by it."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from targen import digests
from targen.llm.store import Store
from targen.places import LocalPlace
from targen.stored import Stored, Tables

FRAME = pl.DataFrame(
    {"a": ["x\u2028y", "line\nbreak", "z"], "n": [1, 2, None], "l": [["p"], [], None]}
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/s.db")
    yield made
    made.close()


def test_a_changed_cell_is_found() -> None:
    cells = digests.cells(FRAME)
    assert digests.difference(cells, FRAME) == digests.Difference((), (), (3, 3))
    other = FRAME.with_columns(n=pl.Series([1, 3, None]))
    assert digests.difference(cells, other) == digests.Difference(("n",), (1,), (3, 3))
    two = FRAME.with_columns(a=pl.Series(["x", "line\nbreak", "y"]))
    assert digests.difference(cells, two) == digests.Difference(("a",), (0, 2), (3, 3))


def test_rows_and_columns_that_came_or_went_are_found() -> None:
    cells = digests.cells(FRAME)
    assert digests.difference(cells, FRAME.head(2)).count == (3, 2)
    assert digests.difference(cells, FRAME.drop("n")).columns == ("n",)
    assert digests.difference(cells, FRAME.with_columns(m=1)).columns == ("m",)
    swapped = digests.difference(cells, FRAME[[1, 0, 2]])
    assert swapped.rows == (0, 1)
    empty = FRAME.clear()
    assert digests.difference(digests.cells(empty), empty).count == (0, 0)


def test_the_last_record_of_a_file_counts_and_the_ones_before_are_kept(
    store: Store, tmp_path: Path
) -> None:
    tables = Tables(LocalPlace(str(tmp_path)))
    for rows, run in ((FRAME, "one"), (FRAME.head(1), "two"), (FRAME, "three")):
        stored = Stored(rows, rejected=rows, pages={"html": "<p>"})
        written = tables.write("labels", "t", stored)
        assert [file.key for file in written] == [
            "labels/t.html",
            "rejected/labels/t.parquet",
            "labels/t.parquet",
        ]
        digests.record(store, written, {"step": "labels"}, run, {"seeds": "seeds/t.parquet"})
    latest = digests.recorded(store, "labels/t.parquet")
    assert latest is not None
    assert (latest.run_id, latest.latest) == ("three", True)
    assert latest.made_by == {"step": "labels", "upstream": {"seeds": None}}
    assert latest.data_version == stored.data_version
    digests.record(store, tables.write("labels", "t", Stored(FRAME.tail(1))), {}, "four")
    before = digests.recorded(store, "labels/t.parquet", latest.sha256)
    assert before is not None
    assert (before.run_id, before.latest) == ("three", False)
    assert digests.recorded(store, "labels/t.parquet", "0" * 64) is None
    assert digests.recorded(store, "none/t.parquet") is None
    page = digests.recorded(store, "labels/t.html")
    assert page is not None
    assert (page.cells, page.data_version) == (None, None)
