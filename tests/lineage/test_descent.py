"""What the files of a data folder descend from."""

from pathlib import Path

import polars as pl
import pytest

from targen.errors import TableError
from targen.lineage import completions
from targen.tables.storage import LocalStorage

A, B, C, D = (digit * 64 for digit in "abcd")


def write(path: Path, **columns: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_parquet(path)


def test_tables_rejected_items_and_releases_are_read(tmp_path: Path) -> None:
    write(tmp_path / "seeds" / "rte.parquet", request_id=[A, None])
    write(tmp_path / "rejected" / "seeds" / "rte.failed.parquet", request_ids=[[B], [], None])
    write(tmp_path / "quality_report" / "rte.parquet", metric=["x"])
    release = tmp_path / "releases" / "cb" / "1"
    write(release / "corrected_set.parquet", request_ids=[[C]])
    (release / "rows.jsonl").write_text(f'{{"request_ids": ["{D}"]}}\n')
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / "no.parquet").write_text("no table")
    (tmp_path / "notes.txt").write_text("e" * 64)
    place = LocalStorage(str(tmp_path))
    assert completions.request_ids(place) == {A, B, C, D}
    assert completions.tasks(place) == {"rte"}


def test_nothing_descends_from_an_empty_folder(tmp_path: Path) -> None:
    assert completions.request_ids(LocalStorage(str(tmp_path / "none"))) == set()


def test_a_table_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "rte.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(TableError, match=r"rte\.parquet is not a readable Parquet"):
        completions.request_ids(LocalStorage(str(tmp_path)))
